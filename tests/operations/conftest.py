"""A desk in a temporary folder, and runbooks that are written on the spot."""

import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ops_lib.model.errors import BadTarget
from ops_lib.model.run import Cause, Request
from ops_lib.model.target import Hazard, Login, Target
from ops_lib.operations.desk import Desk

CAUSE = Cause(kind="person", who="ana", how_known="test")


def _no_target(target: Target, hazard: Hazard) -> Login:
    raise BadTarget(f"no target for a test: {target.name} {hazard}")


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A desk whose archive and runbooks are in a folder of their own, and whose targets cannot be reached."""
    return Desk(
        archive=tmp_path / "outputs",
        runbooks=(tmp_path / "runbooks",),
        targets={"demo": Target(name="demo", embedded=True)},
        default_target="demo",
        who="ana",
        how_known="test",
        clock=lambda: datetime.now(UTC),
        randomness=os.urandom,
        reach=_no_target,
        experiments=lambda: None,
        scratch=lambda run_id: Path(tempfile.gettempdir()) / f"runbook-{run_id[-12:].lower()}",
        environment=dict(os.environ),
        configuration=tmp_path / "configuration",
        cwd=tmp_path,
    )


@pytest.fixture
def write_runbook(desk: Desk) -> Callable[..., Request]:
    """Writes a runbook of some code cells, and answers with a request for it."""

    def write(
        *cells: str,
        timeout: str = "60s",
        front: str = "",
        declares: str = "",
        hazard: str = "read-only",
        **request: object,
    ) -> Request:
        matter = f"---\nid: TST-001\ntitle: A test\nhazard: {hazard}\nowner: ana\ntimeout: {timeout}\n{front}\n---"
        content = [{"cell_type": "raw", "id": "front", "metadata": {}, "source": matter}]
        if declares:
            content.append(_code("given", declares, tags=["parameters"]))
        for number, cell in enumerate(cells):
            heading = {"cell_type": "markdown", "id": f"h{number}", "metadata": {}, "source": f"## Question {number}"}
            content += [heading, _code(f"c{number}", cell)]
        folder = desk.runbooks[0]
        folder.mkdir(exist_ok=True)
        notebook = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": content}
        (folder / "tst-001-a-test.ipynb").write_text(json.dumps(notebook))
        return replace(Request(runbook="TST-001", cause=CAUSE), **request)

    return write


def _code(name: str, source: str, tags: list[str] | None = None) -> dict[str, object]:
    metadata = {"tags": tags} if tags else {}
    return {
        "cell_type": "code", "id": name, "metadata": metadata, "source": source, "outputs": [], "execution_count": None,
    }  # fmt: skip
