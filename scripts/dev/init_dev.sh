#!/usr/bin/env bash
# Makes the platform's database, or brings it up to date: roles, migrations, functions, views.
#   scripts/dev/init_dev.sh             the embedded demonstration, with its synthetic rows
#   DATABASE_URL=... scripts/dev/init_dev.sh [--seeds]    a database of your own, as its superuser
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
[[ -x .venv/bin/runbook ]] || make install
exec .venv/bin/python scripts/dev/platform_database.py init "$@"
