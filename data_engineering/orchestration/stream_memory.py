"""What the reaction to a stream remembers: restored, refreshed from the tables, saved."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pandas as pd

from data_engineering.model.decisions import Decision
from data_engineering.model.errors import NoRows, Retryable
from data_engineering.model.snapshot import NEVER_NS, instant
from data_engineering.model.stream import Committed
from data_engineering.model.tables import LOAD_FORECASTS, MARKET_PRICES, RENEWABLE_FORECASTS
from data_engineering.model.time import Window
from data_engineering.orchestration.reoptimise import known_document
from data_engineering.runtime import Runtime
from data_engineering.storage import metadata, reoptimization, timeseries
from data_engineering.storage.reoptimization import StateClaim
from data_engineering.storage.stream_reads import newest_streamed, read_committed
from data_engineering.storage.topology import read_topology
from data_engineering.transformation import stream_state
from data_engineering.transformation.grid_document import grid_from_document
from data_engineering.transformation.recording import known_after
from data_engineering.transformation.stream_measures import expected
from data_engineering.transformation.stream_state import CaseFacts, Reaction, StreamState

log = logging.getLogger(__name__)

FORECAST_HOURS = 4
REFRESH_SECONDS = 60.0
"""Between looks for newer forecasts, by the machine's clock and by the stream's ..."""
WALL_SECONDS = 1.0
"""... but not sooner than this by the machine's."""
FIRST_CHANGES = timedelta(days=30)
"""How far back the changes of topology count where nothing is remembered."""
NEWEST_GRID = """
    SELECT topology_id FROM network_topology WHERE case_name = :case
    ORDER BY valid_until IS NULL DESC, valid_from DESC LIMIT 1
"""


@dataclass(eq=False)
class Memory:
    """The state of one case, of which this process holds the claim."""

    runtime: Runtime
    case_name: str
    claim: StateClaim
    facts: CaseFacts
    state: StreamState
    prices: dict[tuple[str, str, datetime], float] = field(default_factory=dict)
    _looked_at: float = -math.inf
    _looked_for: datetime | None = None

    @classmethod
    def take_over(cls, runtime: Runtime, holder: str) -> Memory:
        """Claim the decisions of the settings' case, and remember what was saved of it.

        Raises:
            NoRows: the case has no grid.
        """
        case = runtime.settings.case_name
        found = metadata.query(runtime.metadata, NEWEST_GRID, {"case": case})
        if found.empty:
            remedy = "run `lascopf ingest --day YYYY-MM-DD` first"
            raise NoRows("network_topology", f"case {case}", remedy)
        number = int(found["topology_id"].iloc[0])
        grid = grid_from_document(read_topology(runtime.metadata, number))
        claim = reoptimization.claim_state(runtime.metadata, case, holder)
        document = claim.document
        state = (
            stream_state.new_state(case)
            if document is None
            else stream_state.state_from_document(document)
        )
        return cls(runtime, case, claim, stream_state.case_facts(grid), state)

    def present(self, wall: datetime) -> datetime:
        """The present of the stream, UTC."""
        return stream_state.present(self.state, self.runtime.settings.reoptimization, wall)

    def catch_up(self, wall: datetime) -> Reaction:
        """Take in from the tables what others committed, or this process before it ended."""
        rules, found = self.runtime.settings.reoptimization, self.committed()
        if found is None:
            return Reaction(self.state)
        return stream_state.absorb(self.state, self.facts, rules, found, wall)

    def committed(self) -> Committed | None:
        """What the tables hold of the stream's present; of a recording, what was not played."""
        rules, engine = self.runtime.settings.reoptimization, self.runtime.timeseries
        if rules.clock in ("event", "recording") and self.state.newest_ns == NEVER_NS:
            return None  # a recording begins with its own first message
        newest = newest_streamed(engine, self.case_name)
        if newest is None:
            return None
        stale = timedelta(seconds=rules.stale_seconds)
        since = newest - stale
        changes = newest - FIRST_CHANGES
        if self.state.newest_ns != NEVER_NS:
            changes = instant(self.state.newest_ns) - timedelta(days=1)
        if rules.clock != "recording":
            return read_committed(engine, self.case_name, since, changes, newest)
        played = instant(self.state.newest_ns)
        found = read_committed(engine, self.case_name, played - stale, changes, newest)
        return known_after(found, played)

    def refresh(self, wall: datetime) -> None:
        """Take in newer forecasts and prices, now and then; those known stay where none answers."""
        clock, now = self.runtime.settings.reoptimization.clock, self.present(wall)
        apart, passed = REFRESH_SECONDS, time.monotonic() - self._looked_at
        if self._looked_for is not None:
            apart = abs((now - self._looked_for).total_seconds())
        past = clock in ("event", "recording")
        # How fast a recording is read must not change what it gives: its own time counts alone.
        recent = passed < REFRESH_SECONDS or clock == "recording"
        if (passed < WALL_SECONDS and not past) or (recent and apart < REFRESH_SECONDS):
            return
        self._looked_at, self._looked_for = time.monotonic(), now
        try:
            self.look_up_forecasts(wall)
        except Retryable as error:
            log.warning("the forecasts stay as they were: %s", error)

    def look_up_forecasts(self, wall: datetime) -> None:
        """Take in the forecasts and prices that are known at the present."""
        now = self.present(wall)
        hour = timedelta(hours=1)
        window = Window(now - 2 * hour, now + FORECAST_HOURS * hour)
        loads, units, prices = (
            timeseries.read(
                self.runtime.timeseries, table, window, case_name=self.case_name, as_of=now
            )
            for table in (LOAD_FORECASTS, RENEWABLE_FORECASTS, MARKET_PRICES)
        )
        if len(loads) or len(units):
            rules = self.runtime.settings.reoptimization
            found = expected(loads, units, now)
            self.state = stream_state.with_expected(self.state, found, rules, wall)
        self._compare_prices(prices)

    def save(self, decisions: Sequence[Decision]) -> None:
        """Write decisions and the state after them, all or nothing.

        Raises:
            Fenced: another process decides for the case now.
        """
        fires = [each for each in decisions if each.action == "fire"]
        reoptimization.save(
            self.runtime.metadata,
            self.claim,
            decisions,
            stream_state.state_to_document(self.state),
            known_document(fires[-1]) if fires else None,
        )

    def _compare_prices(self, prices: pd.DataFrame) -> None:
        """Prices of a time that was known already, and are others now, are revisions.

        One for each node of a market: its greatest change.
        """
        known: dict[tuple[str, str, datetime], float] = {}
        changes: dict[str, tuple[float, datetime]] = {}
        for row in prices.to_dict("records"):
            key = (row["market"], row["node_id"], row["time"])
            price = known[key] = row["price_usd_per_mwh"]
            change = abs(price - self.prices.get(key, price))
            subject = f"{row['market']} {row['node_id']}"
            if subject not in changes or change > changes[subject][0]:
                changes[subject] = (change, row["available_at"])
        for subject, (change, issued) in sorted(changes.items()):
            if change:
                self.state = stream_state.with_price(self.state, subject, issued, change)
        self.prices = known
