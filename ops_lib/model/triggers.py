"""The handoffs that teams have agreed on: who sends which one to whom, and what its context holds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

DEVOPS, ETL, RESEARCH = "devops", "etl", "research"


class Kind(StrEnum):
    """What a value of a context is, in the words with which another value is refused."""

    TEXT = "text"
    TEXTS = "a list of texts"
    FLAG = "true or false"
    LEVEL = "low, medium or high"
    SCALAR = "text, a number, true, false or null"
    COLUMNS = "a list of columns, each with column_name and data_type"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """The keys of a mapping: those that it must have, and those that it may have."""

    required: Mapping[str, Kind]
    optional: Mapping[str, Kind] = field(default_factory=dict)

    @property
    def keys(self) -> Mapping[str, Kind]:
        return {**self.required, **self.optional}


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """What makes one team turn to another."""

    sender: str
    recipient: str
    context: Shape


COLUMN: Final = Shape(
    required={"column_name": Kind.TEXT, "data_type": Kind.TEXT},
    optional={"nullable": Kind.FLAG, "default": Kind.SCALAR},
)

TRIGGERS: Final[Mapping[str, Trigger]] = {
    "database_migration_complete": Trigger(
        sender=DEVOPS,
        recipient=ETL,
        context=Shape(
            required={"migration_files": Kind.TEXTS, "affected_tables": Kind.TEXTS, "breaking_changes": Kind.FLAG},
            optional={"new_columns": Kind.TEXTS, "performance_impact": Kind.TEXT},
        ),
    ),
    "model_infrastructure_ready": Trigger(
        sender=DEVOPS,
        recipient=RESEARCH,
        context=Shape(
            required={"environment": Kind.TEXT, "model_storage": Kind.TEXT},
            optional={
                "serving_endpoint": Kind.TEXT, "database_views": Kind.TEXTS, "compute_resources": Kind.TEXT,
            },
        ),
    ),
    "database_optimization_complete": Trigger(
        sender=DEVOPS,
        recipient=RESEARCH,
        context=Shape(
            required={"optimized_views": Kind.TEXTS, "query_speedup": Kind.TEXT},
            optional={"indexed_columns": Kind.TEXTS},
        ),
    ),
    "pipeline_resource_exhausted": Trigger(
        sender=ETL,
        recipient=DEVOPS,
        context=Shape(
            required={"pipeline": Kind.TEXT, "error": Kind.TEXT},
            optional={"current_config": Kind.TEXT},
        ),
    ),
    "schema_change_needed": Trigger(
        sender=ETL,
        recipient=DEVOPS,
        context=Shape(
            required={"reason": Kind.TEXT, "tables": Kind.TEXTS},
            optional={
                "requester": Kind.TEXT, "new_columns": Kind.COLUMNS, "migration_complexity": Kind.LEVEL,
                "data_backfill_required": Kind.FLAG,
            },
        ),
    ),
    "model_deployment_request": Trigger(
        sender=RESEARCH,
        recipient=DEVOPS,
        context=Shape(
            required={"model_name": Kind.TEXT, "model_location": Kind.TEXT},
            optional={
                "dependencies": Kind.TEXTS, "input_requirements": Kind.TEXT, "inference_frequency": Kind.TEXT,
                "resource_needs": Kind.TEXT,
            },
        ),
    ),
    "query_performance_degraded": Trigger(
        sender=RESEARCH,
        recipient=DEVOPS,
        context=Shape(
            required={"query": Kind.TEXT, "current_runtime": Kind.TEXT},
            optional={"query_type": Kind.TEXT, "data_size": Kind.TEXT},
        ),
    ),
}  # fmt: skip
