"""What is different between two records of one runbook on one target."""

from collections.abc import Mapping
from typing import Any

from ops_lib.model.finding import Severity

Record = Mapping[str, Any]


def since_last(earlier: Record | None, later: Record) -> dict[str, Any] | None:
    """Findings that are new, gone or worse since an earlier run, and metrics that moved; nothing without one."""
    if earlier is None:
        return None
    before = {finding["key"]: finding for finding in earlier["findings"]}
    now = {finding["key"]: finding for finding in later["findings"]}
    return {
        "run_id": earlier["run_id"],
        "ended_at": earlier["ended_at"],
        "outcome": earlier["outcome"],
        "new": [key for key in now if key not in before],
        "gone": [key for key in before if key not in now],
        "worse": [key for key in now if key in before and _weight(now[key]) > _weight(before[key])],
        "metrics": {
            name: {"before": earlier["metrics"][name]["value"], "now": metric["value"], "unit": metric["unit"]}
            for name, metric in later["metrics"].items()
            if name in earlier["metrics"] and earlier["metrics"][name]["value"] != metric["value"]
        },
    }


def _weight(finding: Mapping[str, Any]) -> int:
    return Severity(finding["severity"]).weight
