"""What a change is made of: its statements one by one, and the objects that they name."""

from collections.abc import Sequence

import pglast
from pglast.visitors import referenced_relations

from ops_lib.model.errors import BadInput


def statements_in(text: str) -> list[str]:
    """The statements of a text, without what stands between them.

    >>> statements_in("CREATE TABLE a (b int); -- then\\nDROP TABLE c;")
    ['CREATE TABLE a (b int)', '-- then\\nDROP TABLE c']
    """
    try:
        return [part.strip() for part in pglast.split(text, with_parser=False) if part.strip()]
    except pglast.Error as error:
        raise BadInput(f"this is not SQL that can be planned: {error}", hint="see the statement") from None


def objects_in(statements: Sequence[str]) -> list[str]:
    """The relations that statements name, sorted; none of a statement that only the server can read.

    >>> objects_in(["CREATE INDEX i ON raw.games (a)", "no SQL"])
    ['raw.games']
    """
    found: set[str] = set()
    for statement in statements:
        try:
            found |= referenced_relations(statement)
        except pglast.Error:
            continue
    return sorted(found)
