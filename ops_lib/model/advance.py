"""How far something long has come, said with its rate and the time that is left."""

from dataclasses import dataclass

from ops_lib.model.times import format_seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Advance:
    """How far a backup or a restore has come, in bytes of what is saved."""

    phase: str
    done: int
    total: int
    seconds: float

    @property
    def rate(self) -> float:
        return self.done / self.seconds if self.seconds else 0.0

    @property
    def left(self) -> float | None:
        """The seconds that are left at this rate."""
        return (self.total - self.done) / self.rate if self.rate and self.total >= self.done else None

    def __str__(self) -> str:
        """What a person reads while it goes on.

        >>> str(Advance(phase="saving", done=50_000_000, total=100_000_000, seconds=2.0))
        'saving: 50 MB of 100 MB, 25 MB/s, 2.0 s left'
        """
        left = f", {format_seconds(self.left)} left" if self.left is not None else ""
        return f"{self.phase}: {size(self.done)} of {size(self.total)}, {size(self.rate)}/s{left}"


def size(count: float) -> str:
    """A number of bytes as a person says it.

    >>> size(512), size(1_500_000), size(2_340_000_000)
    ('512 B', '1.5 MB', '2.3 GB')
    """
    for unit, scale in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= scale:
            return f"{count / scale:.2g} {unit}" if count < 10 * scale else f"{count / scale:.0f} {unit}"
    return f"{count:.0f} B"
