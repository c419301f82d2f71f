"""The rules of the lint: each a generator of cell, line and message over a page."""

import ast
import builtins
import re
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from typing import Final

from ops_lib.model.runbook import TYPES, WORDS
from ops_lib.model.target import Hazard
from ops_lib.notebooks.page import IMPORT, Page, Section
from ops_lib.notebooks.parameters import TAG

Place = tuple[int | None, int | None, str]
NOTE: Final = "Operation note"
VERDICT: Final = "Verdict"
ELSEWHERE: Final = "If this did not help"
CHANGE: Final = ("Preconditions", "Plan", "Approval", "Apply", "Verify", "Undo")
TEAM_WORDS: Final = "runbook_words"
_LONGEST = 5
_EXPECT = re.compile(r"\bExpect:")
_SENTENCE = re.compile(r"[.!?](?=\s|$)")
_SQL = re.compile(
    r"\s*(select|insert\s+into|update|delete\s+from|create|alter|drop|truncate|with|explain|analyze|vacuum|grant|set)\s",
    re.IGNORECASE,
)
_TOO_MUCH = {
    ast.FunctionDef: "def", ast.AsyncFunctionDef: "def", ast.ClassDef: "class", ast.Try: "try", ast.TryStar: "try",
    ast.With: "with", ast.AsyncWith: "with", ast.For: "a loop", ast.AsyncFor: "a loop", ast.While: "a loop",
    ast.comprehension: "a loop",
}  # fmt: skip
_NOTEBOOK_KEYS = {"kernelspec", "language_info"}
_CELL_KEYS = {"tags"}


def one_title(page: Page) -> Iterator[Place]:
    titles = [(block, text) for block in page.prose for level, text in block.headings if level == 1]
    if not titles:
        yield None, None, "there is no H1: the first text opens with # and the title"
    elif titles[0][0] is not page.prose[0]:
        yield titles[0][0].number, None, "the H1 is not in the first text"
    for block, text in titles[1:]:
        yield block.number, None, f"a second H1: {text}"


def opening(page: Page) -> Iterator[Place]:
    if not page.prose:
        return
    first = page.prose[0]
    told = re.sub(r"^#.*$", "", first.text, flags=re.MULTILINE)
    if (count := len(_SENTENCE.findall(told))) != 3:
        expected = "expected three: when to open it, what it never does, how long it takes"
        yield first.number, None, f"the opening has {count} sentences, {expected}"


def import_cell(page: Page) -> Iterator[Place]:
    code = [block for block in page.blocks if block.kind == "code"]
    if not code or code[0].text.strip() != IMPORT:
        yield code[0].number if code else None, None, f"the first code cell is not {IMPORT}"
    tagged = [place for place, block in enumerate(code) if TAG in block.tags]
    if tagged and tagged[0] != 1:
        yield code[tagged[0]].number, None, "the parameters cell is not the second code cell"


def parameter_help(page: Page) -> Iterator[Place]:
    cell = next((block.number for block in page.blocks if TAG in block.tags), None)
    for parameter in page.runbook.parameters:
        if not parameter.help:
            yield cell, None, f"{parameter.name} has no help comment"


def operation_note(page: Page) -> Iterator[Place]:
    notes = [block for block in page.prose if re.match(rf"[#*\s]*{NOTE}", block.text)]
    if not notes:
        yield None, None, f"there is no blank **{NOTE}** for the person at the keyboard"
    for block in notes:
        if block.text.replace(NOTE, "").strip(" \n#*:"):
            yield block.number, None, f"the {NOTE.lower()} is not blank"


def expect(page: Page) -> Iterator[Place]:
    for section in _questions(page):
        if section.code and not _EXPECT.search(section.prose):
            yield section.blocks[0].number, None, f'"{section.title}" does not say *Expect: ...*, what good looks like'


def one_expression(page: Page) -> Iterator[Place]:
    for section in _questions(page):
        if len(section.code) > 1:
            yield section.code[1].number, None, f'"{section.title}" has {len(section.code)} cells, expected one'
        if not section.code and section.title not in CHANGE:
            yield section.blocks[0].number, None, f'"{section.title}" asks nothing: it has no code'
    for block in page.code:
        body = block.tree.body if block.tree else []
        if block.tree and not (len(body) == 1 and isinstance(body[0], ast.Expr | ast.Assign)):
            yield block.number, None, f"{len(body)} statements, expected one expression or assignment"


def five_lines(page: Page) -> Iterator[Place]:
    for block in page.code:
        if (lines := len(block.text.strip().splitlines())) > _LONGEST:
            yield block.number, None, f"{lines} lines of code, at most {_LONGEST}"


def prose(page: Page) -> Iterator[Place]:
    words, code = (sum(len(block.text) for block in blocks) for blocks in (page.prose, page.code))
    if words < code:
        yield None, None, f"{code} characters of code and only {words} of prose"


def plain_code(page: Page) -> Iterator[Place]:
    for block in page.code:
        if block.tree is None:
            yield block.number, None, "this is not plain Python"
        for node in ast.walk(block.tree) if block.tree else []:
            if word := _TOO_MUCH.get(type(node)):
                yield block.number, getattr(node, "lineno", None), f"{word} belongs into a word, not into a runbook"


def no_sql(page: Page) -> Iterator[Place]:
    for block in page.code:
        for node in ast.walk(block.tree) if block.tree else []:
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and _SQL.match(node.value):
                yield block.number, node.lineno, "SQL belongs into a .sql file of a check, not into a runbook"


def imports(page: Page) -> Iterator[Place]:
    for block in page.blocks:
        for node in ast.walk(block.tree) if block.tree else []:
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for module in modules:
                if module not in ("ops_lib.runbook", TEAM_WORDS):
                    line = getattr(node, "lineno", None)
                    yield block.number, line, f"{module} is imported, only ops_lib.runbook may be"


def words(page: Page) -> Iterator[Place]:
    known = {*WORDS, *TYPES, *dir(builtins), *_team_words(page)} | {p.name for p in page.runbook.parameters}
    for block in page.code:
        names = [node for node in ast.walk(block.tree) if isinstance(node, ast.Name)] if block.tree else []
        stored = {node.id for node in names if isinstance(node.ctx, ast.Store)}
        bound = {node.arg for node in ast.walk(block.tree or ast.Module([], [])) if isinstance(node, ast.arg)}
        for node in names:
            if isinstance(node.ctx, ast.Load) and node.id not in known | bound:
                yield block.number, node.lineno, f"{node.id} is no word: the words are {', '.join(WORDS)}"
        known |= stored


def ending(page: Page) -> Iterator[Place]:
    sections = page.sections
    if [section.title for section in sections[-2:]] != [VERDICT, ELSEWHERE]:
        yield None, None, f"the last sections are not ## {VERDICT} and ## {ELSEWHERE}"
        return
    calls = [block.text.strip() for block in sections[-2].code]
    if calls != ["verdict()"]:
        yield sections[-2].blocks[0].number, None, f"## {VERDICT} has one cell: verdict()"
    if not any(block.links for block in sections[-1].blocks if block.kind == "markdown"):
        yield sections[-1].blocks[0].number, None, f"## {ELSEWHERE} links to no other runbook"


def links(page: Page) -> Iterator[Place]:
    for block in page.prose:
        for link in block.links:
            name = PurePosixPath(link.split("#")[0]).name
            if name.endswith(".ipynb") and "://" not in link and name not in page.neighbours:
                yield block.number, None, f"the link {link} names no runbook that is there"
    stems = [name.lower() for name in page.neighbours]
    for related in page.runbook.related:
        if not any(stem == related.lower() or stem.startswith(f"{related.lower()}-") for stem in stems):
            yield 1, None, f"related: there is no runbook {related}"


def no_outputs(page: Page) -> Iterator[Place]:
    for number, cell in enumerate(page.notebook["cells"], start=1):
        if cell.get("outputs") or cell.get("execution_count") is not None:
            yield number, None, "has outputs: runbooks are kept without, outputs/ keeps them all"


def metadata(page: Page) -> Iterator[Place]:
    for key in page.notebook.get("metadata", {}):
        if key not in _NOTEBOOK_KEYS:
            yield None, None, f"nothing reads the notebook's metadata key {key}"
    for number, cell in enumerate(page.notebook["cells"], start=1):
        for key in cell.get("metadata", {}):
            if key not in _CELL_KEYS:
                yield number, None, f"nothing reads the metadata key {key}"
    for block in page.blocks:
        for tag in block.tags:
            if tag != TAG:
                yield block.number, None, f"nothing reads the tag {tag}"


def cell_ids(page: Page) -> Iterator[Place]:
    seen: set[str] = set()
    for number, cell in enumerate(page.notebook["cells"], start=1):
        name = cell.get("id")
        if not name or name in seen:
            yield number, None, "has the id of another cell" if name else "has no id: save it as notebook format 4.5"
        seen.add(str(name))


def change_headings(page: Page) -> Iterator[Place]:
    if page.runbook.hazard is Hazard.READ_ONLY:
        return
    found = [section.title for section in page.sections if section.title in CHANGE]
    if found != list(CHANGE):
        missing = ", ".join(title for title in CHANGE if title not in found) or "their order is another"
        yield None, None, f"a runbook that changes something has the sections {', '.join(CHANGE)}; missing: {missing}"


def _questions(page: Page) -> list[Section]:
    return [section for section in page.sections if section.title not in (VERDICT, ELSEWHERE, NOTE)]


def _team_words(page: Page) -> set[str]:
    """What a module of words beside the runbook defines, read as syntax."""
    try:
        tree = ast.parse((page.path.parent / f"{TEAM_WORDS}.py").read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):
        return set()
    assigned = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    return assigned | {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}


RULES: Final[dict[str, Callable[[Page], Iterator[Place]]]] = {
    rule.__name__.replace("_", "-"): rule
    for rule in (
        one_title, opening, import_cell, parameter_help, operation_note, expect, one_expression, five_lines, prose,
        plain_code, no_sql, imports, words, ending, links, no_outputs, metadata, cell_ids, change_headings,
    )
}  # fmt: skip
