"""What was measured of each variant, and what follows from it."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Times:
    """What was measured of each variant, in milliseconds, round by round."""

    of: dict[str, list[float]] = field(default_factory=dict)

    def take(self, name: str, action: Callable[[], object]) -> None:
        began = time.perf_counter()
        action()
        self.of.setdefault(name, []).append((time.perf_counter() - began) * 1000)

    def put(self, name: str, milliseconds: float) -> None:
        self.of.setdefault(name, []).append(milliseconds)

    def shown(self, name: str) -> str:
        return f"{self.p(name, 50):,.0f} / {self.p(name, 95):,.0f}"

    def p(self, name: str, percent: float) -> float:
        ordered = sorted(self.of[name])
        return ordered[min(len(ordered) - 1, round(percent / 100 * (len(ordered) - 1)))]

    def ratio(self, slow: str, fast: str, less: str = "") -> float:
        floor = self.of[less] if less else [0.0] * len(self.of[slow])
        return statistics.median(
            max(0.0, s - f0) / max(0.1, f - f0) for s, f, f0 in zip(self.of[slow], self.of[fast], floor, strict=True)
        )
