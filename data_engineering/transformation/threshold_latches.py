"""Limits with hysteresis: a subject counts once, and again only after it was over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from data_engineering.model.decisions import Cause, Hindrance, Reason
from data_engineering.model.snapshot import NEVER_NS, instant
from data_engineering.transformation.stream_measures import Measures, Watched

OVER, BETWEEN, BEYOND = 0, 1, 2


@dataclass(frozen=True)
class Latch:
    """What the newest scans of a subject were.

    Attributes:
        on: it counted, and is not over yet.
        levels: of the newest scans, oldest first: below the lower limit, between, above.
        scan_ns: time of the newest.
        state: good, bad or stale.
    """

    on: bool = False
    levels: tuple[int, ...] = ()
    scan_ns: int = NEVER_NS
    state: str = "good"

    @property
    def idle(self) -> bool:
        """Whether there is nothing to remember."""
        return not self.on and self.state == "good" and not any(self.levels)


@dataclass(frozen=True, eq=False)
class Latched:
    """What new scans made of the latches.

    Attributes:
        latches: by reason and subject, those that are not idle.
        causes: what counts now and did not before.
        held: what was above its limit and does not count, or could not be judged any more.
    """

    latches: Mapping[str, Latch]
    causes: tuple[Cause, ...]
    held: tuple[tuple[Hindrance, Cause], ...]


def latch_name(cause: Cause) -> str:
    """The name of a cause's latch."""
    return f"{cause.reason}:{cause.subject}"


def latch(latches: Mapping[str, Latch], watched: Watched, now_ns: int) -> Latched:
    """The latches after the newest scan of each subject; the same scan counts once.

    Args:
        latches: those of all reasons.
        watched: what is compared.
        now_ns: the present of the stream.
    """
    found = watched.measures
    with np.errstate(invalid="ignore"):
        levels = np.where(found.observed > found.fire, BEYOND, BETWEEN)
        levels = np.where(found.observed < found.clear, OVER, levels)
    names = [f"{watched.reason}:{name}" for name in found.subject.tolist()]
    asks = np.array([name in latches for name in names], dtype=np.bool_)
    asks |= (levels > OVER) | (found.state != "good")
    kept, causes, held = dict(latches), [], []
    for row in np.flatnonzero(asks).tolist():
        old = latches.get(names[row], Latch())
        new, hindrance = _next(old, watched, row, int(levels[row]))
        cause = _cause(watched.reason, found, row, now_ns) if new is not old else None
        if cause is not None and new.on and not old.on:
            causes.append(cause)
        elif cause is not None and hindrance is not None:
            held.append((hindrance, cause))
        kept[names[row]] = new
        if new.idle:
            del kept[names[row]]
    return Latched(kept, tuple(causes), tuple(held))


def _next(old: Latch, watched: Watched, row: int, level: int) -> tuple[Latch, Hindrance | None]:
    found = watched.measures
    state, scan_ns = str(found.state[row]), int(found.scan_ns[row])
    if state != "good":
        words: Hindrance = "bad_quality" if state == "bad" else "stale"
        return (old, None) if state == old.state else (replace(old, state=state), words)
    if scan_ns <= old.scan_ns:
        return (old if old.state == "good" else replace(old, state="good")), None
    levels = (*old.levels, level)[-watched.window :]
    new = Latch(old.on, levels, scan_ns)
    if not old.on and sum(each == BEYOND for each in levels) >= watched.scans:
        return replace(new, on=True), None
    if old.on and len(levels) == watched.window and not any(levels):
        return replace(new, on=False), None
    crossed = level == BEYOND and old.levels[-1:] != (BEYOND,)
    if not crossed:
        return new, None
    return new, "hysteresis" if old.on else "unconfirmed"


def _cause(reason: Reason, found: Measures, row: int, now_ns: int) -> Cause:
    usable = found.state[row] == "good"
    observed, limit = float(found.observed[row]), float(found.fire[row])
    return Cause(
        reason,
        str(found.subject[row]),
        observed if usable and np.isfinite(observed) else None,
        limit if np.isfinite(limit) else None,
        instant(now_ns),
    )
