"""How far a run is: counts, rate, and the time that is left."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from data_engineering.orchestration.scenario_plan import Say

SHOW_SECONDS, LOG_SECONDS = 0.5, 10.0


@dataclass
class Progress:
    """Counts what is done and says it now and then.

    Attributes:
        samples: how many there are, or a bound.
        show: takes a line for people, often.
        log: takes the same lines, seldom.
        done, failed: samples so far, with those of earlier runs.
        partitions: written so far.
    """

    samples: int
    show: Say
    log: Say
    done: int = 0
    failed: int = 0
    partitions: int = 0
    clock: Callable[[], float] = time.monotonic
    _began: float = field(init=False)
    _before: int | None = None
    _shown: float = field(default=float("-inf"))
    _logged: float = field(default=float("-inf"))

    def __post_init__(self) -> None:
        self._began = self.clock()

    def count(self, solved: int, failed: int) -> None:
        """Note samples that were just solved or have failed."""
        if self._before is None:  # starting the workers is not part of the rate
            self._before, self._began = self.done, self.clock()
        self.done += solved + failed
        self.failed += failed

    def tell(self) -> None:
        """Say how far the run is, unless it was said a moment ago."""
        now = self.clock()
        if now - self._shown >= SHOW_SECONDS:
            self._shown = now
            self.show(self.text())
        if now - self._logged >= LOG_SECONDS:
            self._logged = now
            self.log(self.text())

    @property
    def rate(self) -> float:
        """Samples a second in this run."""
        seconds = self.clock() - self._began
        return (
            (self.done - (self._before or 0)) / seconds
            if self._before is not None and seconds
            else 0.0
        )

    def text(self) -> str:
        """One line."""
        parts = [f"{self.done:,} of {self.samples:,} samples"]
        if self.failed:
            parts.append(f"{self.failed:,} failed")
        parts.append(f"{self.partitions:,} partition" + "s" * (self.partitions != 1))
        if self.rate > 0.0:
            left = max(self.samples - self.done, 0) / self.rate
            parts += [f"{self.rate:,.1f}/s", f"{duration(left)} left"]
        return ", ".join(parts)


def duration(seconds: float) -> str:
    """A length of time for people: 1 h 05 min, 3 min 20 s, 12 s."""
    whole = round(seconds)
    hours, minutes = whole // 3600, whole % 3600 // 60
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {whole % 60:02d} s" if minutes else f"{whole} s"
