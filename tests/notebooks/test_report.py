"""The report: one file, nothing from outside, nothing that runs, and the verdict first."""

import base64
import re
import time
from html.parser import HTMLParser
from typing import Any

import pytest

from ops_lib.model.finding import Finding, Remedy, Severity
from ops_lib.model.result import MIME_TYPE, Result, Table
from ops_lib.notebooks.cleaning import clean_html, markdown_html, picture_uri, plain_text
from ops_lib.notebooks.display import mimebundle
from ops_lib.notebooks.report import render_report

HOSTILE = (
    "</style></script><script>alert(1)</script>\"'><img src=x onerror=alert(1)><a href='javascript:alert(1)'>x</a>"
)
VOID = {"meta", "img", "br", "hr", "link", "input"}


class Page(HTMLParser):
    """What a browser would make of a page: elements, attributes, and whether all that opened was closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.badly_nested: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.badly_nested.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def assert_harmless(html: str) -> Page:
    """No script, handler, style attribute, frame, form, or address that is loaded from elsewhere."""
    page = Page(html)
    tags = [tag for tag, _ in page.elements]
    assert not set(tags) & {"script", "iframe", "object", "embed", "form", "link", "base", "svg", "input", "button"}
    assert tags.count("style") == 1
    assert tags.count("meta") == 5
    for tag, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on") or name == "style" or name == "srcset"]
        for name in ("src", "href", "action"):
            value = attributes.get(name)
            allowed = r"data:image/[a-z+]+;base64,[A-Za-z0-9+/=]+" if tag == "img" else r"#.*|https?:.*|mailto:.*"
            assert value is None or re.fullmatch(allowed, value), (tag, name, value)
    (style,) = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
    assert "url(" not in style
    assert "@import" not in style
    return page


def output_of(data: dict[str, Any]) -> dict[str, Any]:
    return {"output_type": "display_data", "data": data, "metadata": {}}


def test_a_report_is_whole_and_harmless(record, notebook):
    """Everything that opens is closed, nothing runs, and the policy says so to the browser as well."""
    html = render_report(record, notebook)
    page = assert_harmless(html)
    assert (page.open, page.badly_nested) == ([], [])
    assert "default-src 'none'; img-src data:; style-src 'unsafe-inline'" in html
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = {str(a["href"])[1:] for tag, a in page.elements if tag == "a" and str(a.get("href")).startswith("#")}
    assert targets <= set(ids)


def test_the_verdict_comes_first(record, notebook):
    """Outcome and headline, then the causes in order with their SQL, then what changed, then the notebook."""
    text = " ".join(Page(render_report(record, notebook)).text.split())
    places = [
        text.index(part)
        for part in (
            "The run succeeded and found critical",
            "2 things to act on, explaining 2 symptoms.",
            "Act on, in this order",
            "raw.odds_history dropped-index",
            "CREATE INDEX CONCURRENTLY odds_history_game_id_idx ON raw.odds_history USING btree (game_id);",
            "Explains 2 symptoms",
            "raw.weather_hourly stale-statistics",
            "Since the last run",
            "Not seen",
            "Plans of 3 queries are not visible",
            "The notebook as it ran",
            "Is anyone waiting?",
        )
    ]
    assert places == sorted(places)
    for told in (
        "platform, database nfl, PostgreSQL 18",
        "a role that cannot write",
        "person ana",
        "OPS-812",
        "20 of 133",
    ):
        assert told in text


def test_a_healthy_run_has_nothing_to_act_on(record, notebook):
    """The page says so, and has no list of things to do."""
    html = render_report({**record, "findings": [], "since_last": None}, notebook)
    assert "Nothing to act on in what was answered. Not answered:" in html
    assert "Act on, in this order" not in html
    assert 'class="tone-warning"' in html


@pytest.mark.parametrize("outcome", ["failed", "timed-out", "interrupted", "refused"])
def test_a_run_that_did_not_succeed_points_at_its_cell(record, notebook, outcome):
    """The reason stands first, the cell is a step away, and cells that never ran say so."""
    record["cells"][-2].update(status="failed")
    record["cells"][-1].update(status="not-run", seconds=None)
    record["error"] = {"type": "X", "message": "the connection was lost", "hint": None, "cell": "replication"}
    page = Page(render_report({**record, "outcome": outcome, "started_at": None}, notebook))
    text = " ".join(page.text.split())
    assert "the connection was lost" in text
    assert "7 ok, 1 failed, 1 not run" in text
    assert ("a", {"href": "#cell-replication"}) in page.elements
    assert "not run" in text


def test_a_run_without_target_cells_or_notebook_has_a_report(record):
    """A refused run has next to nothing, and still its page."""
    bare = {**record, "outcome": "refused", "target": None, "cells": [], "findings": [], "started_at": None}
    html = render_report({**bare, "parameters": {}, "since_last": None, "software": {}}, {"cells": []})
    assert_harmless(html)
    assert "Refused" in html


def hostile_notebook() -> dict[str, Any]:
    """Every place of a notebook that others write into, with an attack in it."""
    result = Result(
        title=HOSTILE,
        verdict=HOSTILE,
        findings=(),
        table=Table.of([HOSTILE, "query"], [[HOSTILE, HOSTILE]]),
        notes=(HOSTILE,),
        next_step=HOSTILE,
    )
    svg = "<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'><script>alert(1)</script></svg>"
    outputs = [
        output_of(mimebundle(result)),
        output_of({MIME_TYPE: HOSTILE, "text/plain": HOSTILE}),
        output_of({MIME_TYPE: {"title": 1, "findings": [HOSTILE]}, "text/html": HOSTILE}),
        output_of({"text/html": f"<table style='position:fixed;background:url(//x)' onclick=a()>{HOSTILE}<td>1"}),
        output_of({"text/html": "<style>body{display:none}</style><p class='rb' id='x'>seen</p>"}),
        output_of({"image/png": '"><script>alert(1)</script>', "text/plain": "no picture"}),
        output_of({"image/svg+xml": svg}),
        output_of({"application/javascript": "alert(1)"}),
        output_of({"text/markdown": f"[x](javascript:alert(1)) ![x](http://x/y.png) {HOSTILE}"}),
        {"output_type": "stream", "name": HOSTILE, "text": HOSTILE},
        {"output_type": "error", "ename": HOSTILE, "evalue": HOSTILE, "traceback": [HOSTILE, "\x1b[31mred\x1b[0m"]},
        {"output_type": HOSTILE},
        {"output_type": "display_data", "data": HOSTILE},
    ]
    cells = [
        {
            "cell_type": "markdown",
            "id": HOSTILE,
            "metadata": {},
            "source": f"# {HOSTILE}\n\n[a]: javascript:alert(1)\n[a]",
        },
        {"cell_type": "markdown", "id": "m", "metadata": {}, "source": "<img src=x onerror=alert(1)> ![i](//x/y.png)"},
        {"cell_type": "code", "id": HOSTILE, "metadata": {"tags": [HOSTILE]}, "source": HOSTILE, "outputs": outputs},
        {"cell_type": HOSTILE, "id": "h", "metadata": {}, "source": HOSTILE},
    ]
    return {"cells": cells}


def test_hostile_content_stays_text(record):
    """Names, values, outputs and prose that attack the page are shown as what they are."""
    evil = Finding(
        check="x",
        subject=HOSTILE,
        severity=Severity.CRITICAL,
        cause=HOSTILE,
        summary=HOSTILE,
        evidence={HOSTILE: HOSTILE, "rows": [{HOSTILE: HOSTILE}], "query": HOSTILE},
        remedy=Remedy(text=HOSTILE, sql=HOSTILE, runbook=HOSTILE, parameters={HOSTILE: HOSTILE}),
    )
    poisoned = {
        **record,
        "runbook": {**record["runbook"], "title": HOSTILE, "file": HOSTILE},
        "target": {**record["target"], "name": HOSTILE, "database": HOSTILE},
        "reason": HOSTILE,
        "parameters": {HOSTILE: HOSTILE},
        "findings": [evil.to_json()],
        "cells": [{"id": HOSTILE, "heading": HOSTILE, "status": HOSTILE, "started_at": None, "seconds": None}],
        "since_last": {**record["since_last"], "new": [HOSTILE], "run_id": HOSTILE},
        "steps": [{"name": HOSTILE, "status": HOSTILE, "started_at": None, "seconds": 1, "evidence": HOSTILE}],
        "statements": [{"sql": HOSTILE, "at": HOSTILE, "seconds": None}],
        "undo": {"text": HOSTILE, "runbook": None, "parameters": None},
    }
    page = assert_harmless(render_report(poisoned, hostile_notebook()))
    assert (page.open, page.badly_nested) == ([], [])
    assert "seen" in page.text
    assert "no picture" in page.text


def test_huge_outputs_are_cut_and_said_to_be(record):
    """Megabytes of text and thousands of outputs make a page that opens, and that says what is missing."""
    outputs = [{"output_type": "stream", "name": "stdout", "text": "x" * 5_000_000}]
    outputs += [output_of({"text/plain": "y"})] * 5000
    cells = [{"cell_type": "code", "id": "a", "metadata": {}, "source": "z = 1\n" * 50_000, "outputs": outputs}]
    began = time.monotonic()
    html = render_report(record, {"cells": cells})
    assert time.monotonic() - began < 2
    assert len(html) < 1_000_000
    assert "4,980,000 characters are not shown" in html
    assert "4,961 more outputs are not shown" in html


def test_a_report_takes_milliseconds(record, notebook):
    """Once templates are read, a normal report is no part of anybody's wait."""
    render_report(record, notebook)
    times = []
    for _ in range(5):
        began = time.perf_counter()
        render_report(record, notebook)
        times.append(time.perf_counter() - began)
    assert min(times) < 0.05


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("\x1b[31;1mred\x1b[0m", "red"),
        ("\x1b]8;;http://x\x07link\x1b]8;;\x07", "link"),
        ("10 %\r20 %\r\n", "20 %\n"),
        ("a\r\nb", "a\nb"),
        ("a\x00\x08b\u202e", "ab"),
        ("tab\tstays", "tab\tstays"),
    ],
)
def test_terminal_text_is_plain(raw, shown):
    """Escape sequences and controls are gone, lines and tabs stay."""
    assert plain_text(raw) == (shown, 0)


def test_pictures_are_pictures():
    """Only base64 of a known type becomes a data URI, and an SVG is wrapped as a picture."""
    png = base64.b64encode(b"\x89PNG").decode()
    assert picture_uri("image/png", png) == f"data:image/png;base64,{png}"
    assert picture_uri("image/png", [png[:4], "\n" + png[4:]]) == f"data:image/png;base64,{png}"
    assert picture_uri("image/png", 'x" onerror="alert(1)') is None
    assert picture_uri("text/html", png) is None
    assert picture_uri("image/png", "A" * 10_000_000) is None
    assert str(picture_uri("image/svg+xml", "<svg/>")).startswith("data:image/svg+xml;base64,")


def test_prose_keeps_its_form():
    """Emphasis, lists, tables, code and links to the web survive; links to files do not, since they lead nowhere."""
    html = markdown_html("*a* **b** `c`\n\n- d\n\n|e|f|\n|-|-|\n|1|2|\n\n[g](https://x.org) [h](other.ipynb)")
    for part in (
        "<em>a</em>",
        "<strong>b</strong>",
        "<code>c</code>",
        "<li>d</li>",
        "<td>1</td>",
        'href="https://x.org"',
    ):
        assert part in html
    assert "other.ipynb" not in html
    assert "h</a>" in html


def test_data_frames_keep_their_table():
    """What pandas writes keeps rows and columns, and loses its style."""
    html = clean_html('<style scoped>td{x}</style><table border="1" class="dataframe"><tr><th>a</th></tr></table>')
    assert html == "<table><tbody><tr><th>a</th></tr></tbody></table>"
