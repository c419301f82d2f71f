"""What others wrote, made harmless: Markdown, HTML, terminal text and pictures that go into a page of ours.

Nothing that leaves this module runs, loads something from elsewhere, or styles the page around it.
"""

import base64
import functools
import re
from collections.abc import Callable
from typing import Any, Final

import mistune
import nh3
import pygments
from markupsafe import Markup
from pygments.formatters import HtmlFormatter
from pygments.lexers.python import PythonLexer

LONGEST_TEXT: Final = 20_000
LONGEST_HTML: Final = 300_000
LARGEST_PICTURE: Final = 6_000_000
LONGEST_CODE: Final = 20_000
PICTURES: Final = ("image/png", "image/jpeg", "image/gif", "image/webp", "image/svg+xml")
_TAG = re.compile(r"(<style>.*?</style>|<[^>]*>)", re.DOTALL)
_TOLD = re.compile(r"(?<= href=\")[^\"]*|(?<= title=\")[^\"]*|(?<= (?:alt|src)=\")[^\"]*")
_ESCAPES = re.compile(r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b\[[0-?]*[ -/]*[@-~]?|\x1b[ -/]*[0-~]?")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_BASE64 = re.compile(r"[A-Za-z0-9+/\s]*={0,2}\s*")
_DATA_PICTURE = re.compile(r"data:image/(?:png|jpeg|gif|webp);base64,[A-Za-z0-9+/=\s]+")
# fmt: off
_TAGS: Final = frozenset((
    "a", "abbr", "b", "blockquote", "br", "caption", "code", "dd", "del", "details", "div", "dl", "dt", "em",
    "h1", "h2", "h3", "h4", "h5", "h6", "hr", "i", "img", "kbd", "li", "ol", "p", "pre", "q", "s", "samp",
    "small", "span", "strong", "sub", "summary", "sup", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "u",
    "ul",
))
# fmt: on
_ATTRIBUTES: Final[dict[str, set[str]]] = {
    "a": {"href", "title"},
    "img": {"src", "alt", "width", "height"},
    "td": {"colspan", "rowspan", "align"},
    "th": {"colspan", "rowspan", "align", "scope"},
    "ol": {"start"},
}


def plain_text(text: str) -> tuple[str, int]:
    """Terminal text without its escape sequences, and how many characters were cut from its middle.

    What a carriage return would have overwritten is gone, as it was for whoever watched.

    >>> plain_text("10 %\\r100 %\\n\\x1b[31mred\\x1b[0m")
    ('100 %\\nred', 0)
    """
    cut = max(len(text) - LONGEST_TEXT, 0)
    if cut:
        text = f"{text[: LONGEST_TEXT * 2 // 3]}\n\n… {cut:,} characters are cut here …\n\n{text[-LONGEST_TEXT // 3 :]}"
    text = _ESCAPES.sub("", text).replace("\r\n", "\n")
    lines = [line.rstrip("\r").rsplit("\r", 1)[-1] for line in text.split("\n")]
    return _CONTROLS.sub("", "\n".join(lines)), cut


def clean_html(html: str) -> Markup:
    """HTML without scripts, styles, handlers, forms, and whatever would load something."""
    cleaned = nh3.clean(
        html,
        tags=set(_TAGS),
        clean_content_tags={"script", "style", "title", "template", "iframe", "object", "svg", "math"},
        attributes=_ATTRIBUTES,
        attribute_filter=_attribute,
        url_schemes={"http", "https", "mailto", "data"},
    )
    return Markup(cleaned)  # noqa: S704 -- nh3 has cleaned it


def markdown_html(text: str) -> Markup:
    """Markdown as HTML; HTML within it is shown as text."""
    return clean_html(_markdown()(text[:LONGEST_HTML]))


def code_html(source: str) -> Markup:
    """Python with its syntax marked by classes."""
    if len(source) > LONGEST_CODE:
        return Markup("{}").format(source)
    return Markup(pygments.highlight(source, _lexer(), _formatter()))  # noqa: S704 -- pygments escapes


@functools.cache
def _formatter() -> "HtmlFormatter[str]":
    return HtmlFormatter(nowrap=True)


def picture_uri(mime: str, data: object) -> str | None:
    """A picture as a data URI, or nothing where it is none or too large. An SVG in an img element runs no script."""
    content = "".join(data) if isinstance(data, list) else data
    if mime not in PICTURES or not isinstance(content, str) or len(content) > LARGEST_PICTURE:
        return None
    if mime == "image/svg+xml":
        content = base64.b64encode(content.encode("utf-8", "replace")).decode("ascii")
    return f"data:{mime};base64,{''.join(content.split())}" if _BASE64.fullmatch(content) else None


def hide_in_page(html: str, hide: Callable[[str], str]) -> str:
    """A page of ours with its texts passed through `hide`, and its markup left whole.

    A reader sees text without the colours and controls that may have cut a secret up before.

    >>> hide_in_page('<p class="word" title="word">a word</p>', lambda text: text.replace("word", "…"))
    '<p class="word" title="…">a …</p>'
    """
    parts = _TAG.split(html)
    texts = [hide(part) for part in parts[::2]]
    tags = [part if part.startswith("<style>") else _TOLD.sub(lambda told: hide(told[0]), part) for part in parts[1::2]]
    return "".join(part for pair in zip(texts, [*tags, ""], strict=True) for part in pair)


def _attribute(tag: str, name: str, value: str) -> str | None:
    if tag == "img" and name == "src":
        return value if _DATA_PICTURE.fullmatch(value) else None
    if name == "href":
        return value if re.match(r"(?:https?|mailto):", value.strip(), re.IGNORECASE) else None
    return value


@functools.cache
def _markdown() -> Callable[[str], Any]:
    return mistune.create_markdown(escape=True, plugins=["table", "strikethrough"])


@functools.cache
def _lexer() -> PythonLexer:
    return PythonLexer(stripnl=False)
