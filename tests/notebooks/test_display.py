"""How a result shows itself: text, HTML, JSON and a picture."""

import base64
import json
import struct

import pytest

from ops_lib.model.finding import Finding, Remedy, Severity
from ops_lib.model.result import MIME_TYPE, Result, Table
from ops_lib.notebooks.display import mimebundle, results_in, text_of
from ops_lib.notebooks.pictures import Pair, before_and_now

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"


def finding(**changes):
    """A finding with a remedy in SQL."""
    plain = {
        "check": "locks",
        "subject": "application:etl",
        "severity": Severity.WARNING,
        "cause": "idle-in-transaction",
        "summary": "It has been idle for 7 minutes.",
        "remedy": Remedy(text="End it.", sql="SELECT pg_terminate_backend(4711);"),
    }
    return Finding(**{**plain, **changes})


def test_the_bundle_has_every_form():
    """Text, HTML, our JSON and a picture, and the JSON is the whole result but the picture."""
    result = Result(title="Locks", verdict="One waits.", findings=(finding(),), picture=b"\x89PNG")
    bundle = mimebundle(result)
    assert set(bundle) == {MIME_TYPE, "text/html", "text/plain", "image/png"}
    assert Result.from_json(json.loads(json.dumps(bundle[MIME_TYPE])), picture=b"\x89PNG") == result
    assert base64.b64decode(bundle["image/png"]) == b"\x89PNG"
    assert "image/png" not in mimebundle(Result(title="Locks", verdict="Nobody waits."))


def test_text_has_the_verdict_first_and_the_total_last():
    """The sentence, the finding with its SQL, at most 20 rows with the total, notes and the next step."""
    result = Result(
        title="Locks",
        verdict="One waits.",
        findings=(finding(),),
        table=Table.of(["pid", "query"], [[n, "select\n 1 " * 40] for n in range(3000)]),
        notes=("Plans are not visible.",),
        next_step="End it.",
    )
    lines = text_of(result).splitlines()
    assert lines[0] == "One waits."
    assert "          SELECT pg_terminate_backend(4711);" in lines
    assert "  20 of 3,000 rows" in lines
    assert lines[-3:] == ["Note: Plans are not visible.", "", "Next: End it."]
    assert max(map(len, lines)) < 120


def test_a_skipped_question_is_never_good_news():
    """The reason stands with the verdict in every form."""
    bundle = mimebundle(Result(title="Queries", verdict="Not known.", skipped="pg_stat_statements is not loaded"))
    assert "Not asked: pg_stat_statements is not loaded" in bundle["text/plain"]
    assert "pg_stat_statements is not loaded" in bundle["text/html"]


def test_html_is_escaped_and_brings_its_style():
    """Whatever a database is named, the HTML has no script, no handler and no outside reference."""
    result = Result(
        title=HOSTILE,
        verdict=HOSTILE,
        findings=(finding(subject=HOSTILE, summary=HOSTILE, remedy=Remedy(text=HOSTILE, sql=HOSTILE)),),
        table=Table.of([HOSTILE], [[HOSTILE], [{"a": HOSTILE}], [[HOSTILE]]]),
        notes=(HOSTILE,),
        next_step=HOSTILE,
    )
    html = mimebundle(result)["text/html"]
    assert "<script" not in html
    assert "<img" not in html
    assert html.count("<style>") == 1
    assert "http" not in html


@pytest.mark.parametrize("table", [Table.of([], []), Table.of(["a"], []), Table.of(["a", "b"], [[1], [1, 2, 3]])])
def test_odd_tables_are_shown(table):
    """No columns, no rows, and rows of another width are shown as far as they go."""
    bundle = mimebundle(Result(title="T", verdict="V", table=table))
    assert bundle["text/plain"].startswith("V")


def test_results_are_read_back_from_a_notebook(notebook):
    """Results are found in order; what claims to be one and is none is passed over."""
    broken = {"output_type": "display_data", "data": {MIME_TYPE: {"title": "no more"}}, "metadata": {}}
    notebook["cells"][2]["outputs"] = [broken, {"output_type": "stream", "name": "stdout", "text": "x"}]
    assert [result.title for result in results_in(notebook)] == [
        "Locks",
        "What changed",
        "Costly queries",
        "Sizes",
        "Replicas",
    ]


def test_a_picture_is_small_and_of_the_promised_size():
    """About 640 by 300 points at twice the density, whatever the labels hold."""
    pairs = [
        Pair(label="SELECT $1 + $2 \x1b[31m 東京 \n", before=0.001, now=12.0),
        Pair(label="", before=None, now=0.0),
    ]
    picture = before_and_now(pairs, before="yesterday", now="now")
    width, height = struct.unpack(">II", picture[16:24])
    assert picture.startswith(b"\x89PNG")
    assert width == 1280
    assert 300 <= height <= 800
    assert len(picture) < 100_000
    assert before_and_now([]).startswith(b"\x89PNG")
