"""How a member of the stream is: counts, delays, and a sign of life in `stream_members`."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from data_engineering.model.errors import LascopfError
from data_engineering.model.grid import Floats
from data_engineering.model.stream import Claim, Member, MemberState, Place, RawMessage

if TYPE_CHECKING:
    from data_engineering.orchestration.stream_service import Source

_WINDOW_SECONDS = 60.0
_LOGGED_SECONDS = 30.0
_log = logging.getLogger(__name__)


@dataclass
class Health:
    """Counts what is stored and tells it every few seconds.

    Attributes:
        member: as it was told last.
        tell: writes the member's row; what it raises is logged and does not end the service.
    """

    member: Member
    tell: Callable[[Member], None]
    beat_seconds: float = 5.0
    _delays: deque[tuple[float, Floats]] = field(default_factory=deque)
    _next: float = 0.0
    _logged: float = 0.0

    def stored(self, messages: Sequence[RawMessage], rows: int, letters: int, at: datetime) -> None:
        """A batch was stored at a time."""
        sent = np.fromiter((m.timestamp_ms for m in messages), np.float64, len(messages))
        now = time.monotonic()
        self._delays.append((now, at.timestamp() - sent / 1000))
        while self._delays and self._delays[0][0] < now - _WINDOW_SECONDS:
            self._delays.popleft()
        old = self.member
        self.member = replace(
            old,
            state="running",
            messages=old.messages + len(messages),
            rows_stored=old.rows_stored + rows,
            dead_letters=old.dead_letters + letters,
        )

    def running(self) -> None:
        """All is well."""
        self.member = replace(self.member, state="running")

    def waiting(self, why: str) -> None:
        """The database or the broker does not answer."""
        now = time.monotonic()
        if self.member.state != "waiting" or now - self._logged > _LOGGED_SECONDS:
            _log.warning("waiting: %s", why)
            self._logged = now
        self.member = replace(self.member, state="waiting", detail=why)

    def beat(self, source: Source, claims: Mapping[Place, Claim]) -> None:
        """A sign of life, when it is time for one."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + self.beat_seconds
        p50, p99 = self.delays()
        self.member = replace(
            self.member,
            beat_at=datetime.now(UTC),
            partitions=len(claims),
            lag=source.lag(claims),
            latency_p50_seconds=p50,
            latency_p99_seconds=p99,
        )
        self._tell()

    def end(self, state: MemberState, detail: str) -> None:
        """The last word."""
        detail = detail or self.member.detail
        now = datetime.now(UTC)
        self.member = replace(self.member, state=state, detail=detail, beat_at=now, partitions=0)
        self._tell()

    def delays(self) -> tuple[float | None, float | None]:
        """Median and 99th percentile (s) from message to stored row in the newest minute."""
        if not self._delays:
            return None, None
        low, high = np.percentile(np.concatenate([some for _, some in self._delays]), [50, 99])
        return float(low), float(high)

    def _tell(self) -> None:
        try:
            self.tell(self.member)
        except LascopfError as error:
            _log.warning("no sign of life could be given: %s", error)
