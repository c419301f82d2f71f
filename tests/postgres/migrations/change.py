"""What one migration of the test histories does, how it is undone, and what an audit says of it."""

from dataclasses import dataclass

REVERSIBLE, NO_REVERT, REVERT_FAILS = "reversible", "no-revert", "revert-fails"
NOT_RESTORED, APPLY_FAILS = "not-restored", "apply-fails"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What one migration does, statement by statement, how it is undone, and what an audit says of it."""

    name: str
    up: tuple[str, ...]
    down: tuple[str, ...] = ()
    verify: str | None = None
    transaction: bool = True
    verdict: str = REVERSIBLE


def change(name: str, up: str | tuple[str, ...], down: str | tuple[str, ...] = (), **more: object) -> Change:
    texts = [(text,) if isinstance(text, str) else text for text in (up, down)]
    return Change(name=name, up=texts[0], down=texts[1], **more)  # type: ignore[arg-type]
