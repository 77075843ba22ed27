"""What the reaction to a stream remembers: restored, refreshed from the tables, saved."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from data_engineering.model.decisions import Decision
from data_engineering.model.errors import NoRows
from data_engineering.model.snapshot import NEVER_NS, instant
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
from data_engineering.transformation.stream_measures import expected
from data_engineering.transformation.stream_state import CaseFacts, Reaction, StreamState

log = logging.getLogger(__name__)

FORECAST_HOURS = 4
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
        rules, engine = self.runtime.settings.reoptimization, self.runtime.timeseries
        if rules.clock == "event" and self.state.newest_ns == NEVER_NS:
            return Reaction(self.state)  # a recording begins with its own first message
        newest = newest_streamed(engine, self.case_name)
        if newest is None:
            return Reaction(self.state)
        stale = timedelta(seconds=rules.stale_seconds)
        since = newest - stale
        changes = newest - FIRST_CHANGES
        if self.state.newest_ns != NEVER_NS:
            changes = instant(self.state.newest_ns) - timedelta(days=1)
        found = read_committed(engine, self.case_name, since, changes, newest)
        return stream_state.absorb(self.state, self.facts, rules, found, wall)

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

    def _compare_prices(self, prices: object) -> None:
        """Prices of a time that was known already, and are others now, are revisions."""
        known: dict[tuple[str, str, datetime], float] = {}
        for row in prices.itertuples():  # type: ignore[attr-defined]
            key = (row.market, row.node_id, row.time)
            known[key] = row.price_usd_per_mwh
            change = row.price_usd_per_mwh - self.prices.get(key, row.price_usd_per_mwh)
            if change:
                subject, issued = f"{row.market} {row.node_id}", row.available_at
                self.state = stream_state.with_price(self.state, subject, issued, change)
        self.prices = known
