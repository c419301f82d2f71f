"""Drafts: the pieces of one script's safe form, gathered while its statements pass."""

from dataclasses import dataclass, field, replace

from pglast import ast
from pglast.parser import scan

from ops_lib.model.migration import Script
from ops_lib.postgres.lint.act import Placed
from ops_lib.postgres.lint.locks import locked_out
from ops_lib.postgres.lint.names import kind, literal, strings
from ops_lib.postgres.lint.observing import bounds
from ops_lib.postgres.lint.safe.piece import Mode, Piece
from ops_lib.postgres.lint.safe.rewriting import rewritten
from ops_lib.postgres.lint.story import Story
from ops_lib.postgres.migrations.script import stands_alone

_COMMENTS = ("SQL_COMMENT", "C_COMMENT")


@dataclass(slots=True, kw_only=True)
class Draft:
    """What a script becomes: its header, its settings, its pieces; `bracketed` where it has a BEGIN of its own."""

    script: Script
    header: str = ""
    settings: list[str] = field(default_factory=list)
    pieces: list[Piece] = field(default_factory=list)
    bracketed: bool = False
    begun: bool = False
    read: int = 0

    def take(self, place: Placed, story: Story) -> None:
        """Adds a statement, before it goes into the story."""
        comment = self._comment_before(place)
        self.bracketed |= place.bracketed
        if isinstance(node := place.statement.node, ast.VariableSetStmt):
            if node.name != "lock_timeout" or any(bounds(literal(value)) for value in node.args or ()):
                self.settings.append(f"{comment}\n{place.statement.text}".lstrip())
            return
        pieces = rewritten(place, story) or [self._unchanged(place, story)]
        self.pieces += [replace(pieces[0], comment=comment), *pieces[1:]]

    def rest(self) -> str:
        """The comments after the last statement."""
        return "\n".join(_comments(self.script.text[self.read :]))

    def _unchanged(self, place: Placed, story: Story) -> Piece:
        held = frozenset(table for act in place.acts for table in locked_out(act, story))
        return Piece(
            text=place.statement.text,
            mode=self._mode(place, story),
            kind=kind(place.statement.node),
            exclusive=held,
            label=min(held, default=".rest").split(".")[1],
            changed=False,
        )

    def _mode(self, place: Placed, story: Story) -> Mode:
        node = place.statement.node
        if stands_alone(node) or (not self.script.transaction and not place.bracketed and isinstance(node, ast.DoStmt)):
            return Mode.ALONE
        values = [story.enum_values[value] for value in strings(node) & story.enum_values.keys()]
        late = any(transaction == story.transaction for _, transaction in values)
        return Mode.FRESH if late and not isinstance(node, ast.AlterEnumStmt) else Mode.PLAIN

    def _comment_before(self, place: Placed) -> str:
        gap, self.read = self.script.text[self.read : place.start], place.start + len(place.statement.text)
        if self.begun:
            return "\n".join(_comments(gap))
        self.begun = True
        self.header = _header(gap)
        return "\n".join(_comments(gap[len(self.header) :]))


def _comments(gap: str) -> list[str]:
    """The comments between two statements, without what else stands there: BEGIN, COMMIT, semicolons."""
    tokens = [token for token in scan(gap) if token.name in _COMMENTS] if gap.strip() else []
    return [gap[token.start : token.end + 1] for token in tokens]


def _header(gap: str) -> str:
    """The comment lines at the top of a file, up to the first line that is none."""
    lines = gap.lstrip().splitlines()
    count = next((number for number, line in enumerate(lines) if not line.startswith("--")), len(lines))
    return gap[: len(gap) - len(gap.lstrip())] + "\n".join(lines[:count])
