"""Rewriting: the safe form of a statement, where there is a known one."""

# mypy: disable-error-code="union-attr,arg-type"

from collections.abc import Callable, Iterator
from itertools import groupby
from typing import Any, Final

from pglast import ast, parse_sql
from pglast.parser import ParseError

from ops_lib.postgres.lint.act import Act, Placed
from ops_lib.postgres.lint.locks import TABLES, concurrently
from ops_lib.postgres.lint.names import kind, sql
from ops_lib.postgres.lint.safe import altering
from ops_lib.postgres.lint.safe.piece import Mode, Piece
from ops_lib.postgres.lint.story import Story


def rewritten(place: Placed, story: Story) -> list[Piece]:
    """The pieces that do what a statement does; none where it stays as it is.

    So it does where the parser's tree cannot be written as SQL again, or not as SQL that can be read.
    """
    known = _FORMS.get(kind(place.statement.node))
    try:
        pieces = known(place, story) if known else []
        for piece in pieces:
            parse_sql(piece.text)
    except (NotImplementedError, ParseError):
        return []
    return pieces


def _index(place: Placed, story: Story) -> list[Piece]:
    node = place.statement.node
    if story.is_new(story.name(node.relation)) or (node.concurrent and not node.if_not_exists and not place.bracketed):
        return []
    changed = ast.IndexStmt(**{**_fields(node), "concurrent": True, "if_not_exists": False})
    return [Piece(text=sql(changed), mode=Mode.ALONE, label="index", mentions=node.idxname)]


def _drop_index(place: Placed, story: Story) -> list[Piece]:
    node = place.statement.node
    if node.removeType.name != "OBJECT_INDEX" or node.concurrent or node.behavior.name != "DROP_RESTRICT":
        return []
    names = [story.dotted(each) for each in node.objects]
    if any(story.is_new(story.tables_of_indexes.get(name, name)) for name in names):
        return []
    single = (ast.DropStmt(**{**_fields(node), "objects": (each,), "concurrent": True}) for each in node.objects)
    return [Piece(text=sql(each), mode=Mode.ALONE, label="drop_index") for each in single]


def _reindex(place: Placed, story: Story) -> list[Piece]:
    node = place.statement.node
    if node.relation is None or concurrently(place.acts[0]):
        return []
    word = "INDEX" if node.kind.name == "REINDEX_OBJECT_INDEX" else "TABLE"
    return [Piece(text=f"REINDEX {word} CONCURRENTLY {sql(node.relation)}", mode=Mode.ALONE, label="reindex")]


def _alter(place: Placed, story: Story) -> list[Piece]:
    """An ALTER TABLE parted at the subcommands that have a safe form; the others stay together."""
    node = place.statement.node
    if node.objtype.name not in TABLES or story.is_new(story.name(node.relation)):
        return []
    forms = [(act, altering.form(act, story)) for act in place.acts]
    if not any(form for _, form in forms):
        return []
    return list(_joined(forms))


def _joined(forms: list[tuple[Act, list[Piece]]]) -> Iterator[Piece]:
    for safe, group in groupby(forms, key=lambda pair: bool(pair[1])):
        pairs = list(group)
        if safe:
            yield from (piece for _, form in pairs for piece in form)
        else:
            yield altering.plain([act for act, _ in pairs])


def _fields(node: Any) -> dict[str, Any]:
    return {name: getattr(node, name) for name in node}


_FORMS: Final[dict[str, Callable[[Placed, Story], list[Piece]]]] = {
    "IndexStmt": _index,
    "DropStmt": _drop_index,
    "ReindexStmt": _reindex,
    "AlterTableStmt": _alter,
}
