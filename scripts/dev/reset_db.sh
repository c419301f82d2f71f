#!/usr/bin/env bash
# Drops the platform's schemas and makes them afresh.
#   scripts/dev/reset_db.sh             the embedded demonstration
#   DATABASE_URL=... scripts/dev/reset_db.sh --drop DATABASE [--seeds]    a database of your own; its name is asked for
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
[[ -x .venv/bin/runbook ]] || make install
exec .venv/bin/python scripts/dev/platform_database.py reset "$@"
