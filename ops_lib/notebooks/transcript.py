"""The notebook as it ran, cell by cell, as a page shows it: harmless, within bounds, and saying what is left out."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from markupsafe import Markup

from ops_lib.model.result import MIME_TYPE, Result
from ops_lib.notebooks.cleaning import (
    LONGEST_HTML,
    PICTURES,
    clean_html,
    code_html,
    markdown_html,
    picture_uri,
    plain_text,
)
from ops_lib.notebooks.display import result_html
from ops_lib.notebooks.front_matter import source_of
from ops_lib.notebooks.parameters import tags

MOST_OUTPUTS: Final = 40
MOST_CHARACTERS: Final = 12_000_000
_FOREIGN: Final = Markup('<div class="rb-scroll rb-foreign" tabindex="0">{}</div>')
Anchors = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One output: HTML that is safe as it stands, with what was left out of it."""

    kind: str
    html: Markup
    cut: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One cell: prose, or code with its status, its time and its outputs."""

    kind: str
    id: str
    html: Markup
    status: str | None = None
    seconds: float | None = None
    tag: str | None = None
    deviates: str | None = None
    outputs: tuple[Shown, ...] = field(default=())


def transcript(notebook: Mapping[str, Any], ran: Sequence[Mapping[str, Any]], anchors: Anchors) -> Iterator[Cell]:
    """The cells of a notebook; `ran` are the `cells` of its record. Front matter is left out: the head tells it.

    Once the page is full, outputs are only counted.
    """
    statuses = {cell["id"]: cell for cell in ran}
    room = MOST_CHARACTERS
    for number, cell in enumerate(notebook.get("cells", [])):
        name, kind = str(cell.get("id", f"cell-{number}")), cell.get("cell_type")
        if kind == "markdown":
            yield Cell(kind="prose", id=name, html=markdown_html(source_of(cell)))
        elif kind == "code" and source_of(cell).strip():
            shown = _code(name, cell, statuses.get(name, {}), anchors)
            room -= sum(len(output.html) for output in shown.outputs)
            yield shown if room > 0 else replace(shown, outputs=_page_is_full(cell))


def _page_is_full(cell: Mapping[str, Any]) -> tuple[Shown, ...]:
    outputs = len(cell.get("outputs") or [])
    return (_left_out(f"{outputs:,} outputs are not shown: they are in notebook.ipynb"),) if outputs else ()


def _code(name: str, cell: Mapping[str, Any], ran: Mapping[str, Any], anchors: Anchors) -> Cell:
    outputs = cell.get("outputs") or []
    shown = [_output(output, anchors) for output in outputs[:MOST_OUTPUTS]]
    if len(outputs) > MOST_OUTPUTS:
        shown.append(_left_out(f"{len(outputs) - MOST_OUTPUTS:,} more outputs are not shown"))
    known = [tag for tag in tags(cell) if tag in ("parameters", "injected-parameters")]
    return Cell(
        kind="code",
        id=name,
        html=code_html(source_of(cell)),
        status=ran.get("status"),
        seconds=ran.get("seconds"),
        tag=known[0] if known else None,
        deviates=ran.get("deviates"),
        outputs=tuple(shown),
    )


def _output(output: Mapping[str, Any], anchors: Anchors) -> Shown:
    kind = output.get("output_type")
    if kind == "stream":
        return _text(_joined(output.get("text")), "error" if output.get("name") == "stderr" else "text")
    if kind == "error":
        return _error(output)
    data = output.get("data")
    return _bundle(data, anchors) if isinstance(data, Mapping) else _left_out("an output of an unknown kind")


def _bundle(data: Mapping[str, Any], anchors: Anchors) -> Shown:
    """The best form of a result that can be shown: ours, a picture, a table, text."""
    if MIME_TYPE in data and (result := _result(data, anchors)):
        return result
    for mime in PICTURES:
        if mime in data and (uri := picture_uri(mime, data[mime])):
            alt = plain_text(_joined(data.get("text/plain")))[0][:200]
            return Shown(kind="picture", html=Markup('<img class="rb-picture" alt="{}" src="{}">').format(alt, uri))
    html = _joined(data.get("text/html"))
    if html and len(html) <= LONGEST_HTML and (cleaned := clean_html(html)).striptags():
        return Shown(
            kind="html", html=Markup('<div class="rb-scroll rb-foreign" tabindex="0">{}</div>').format(cleaned)
        )
    if "text/markdown" in data and "text/plain" not in data:
        return Shown(kind="html", html=markdown_html(_joined(data["text/markdown"])))
    if "text/plain" in data:
        return _text(_joined(data["text/plain"]), "text")
    return _left_out(f"an output of type {', '.join(map(str, data)) or 'nothing'} is not shown")


def _result(data: Mapping[str, Any], anchors: Anchors) -> Shown | None:
    """A result of ours, read back into its noun, so that only what a result may hold is shown."""
    try:
        result = Result.from_json(data[MIME_TYPE]).to_json()
        picture = picture_uri("image/png", data.get("image/png"))
        html = result_html(result, picture=picture.partition(",")[2] if picture else None, anchors=anchors)
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
    return Shown(kind="result", html=html)


def _error(output: Mapping[str, Any]) -> Shown:
    told = plain_text(f"{output.get('ename', 'Error')}: {output.get('evalue', '')}")[0]
    trace, cut = plain_text("\n".join(map(str, output.get("traceback") or [])))
    folded = Markup("<details><summary>Traceback</summary><pre>{}</pre></details>").format(trace) if trace else Markup()
    html = Markup('<p class="failure">{}</p>{}').format(told[:2000], folded)
    return Shown(kind="error", html=html, cut=_cut(cut))


def _text(text: str, kind: str) -> Shown:
    shown, cut = plain_text(text)
    return Shown(kind=kind, html=Markup('<pre tabindex="0">{}</pre>').format(shown), cut=_cut(cut))


def _left_out(text: str) -> Shown:
    return Shown(kind="text", html=Markup(), cut=text)


def _cut(characters: int) -> str | None:
    return f"{characters:,} characters are not shown" if characters else None


def _joined(text: object) -> str:
    return "".join(map(str, text)) if isinstance(text, list) else "" if text is None else str(text)
