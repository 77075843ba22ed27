"""From what a stream knows to the problem of a look-ahead dispatch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal

import numpy as np
import pandas as pd

from data_engineering.model.decisions import Decision
from data_engineering.model.errors import BadInput, NoRows
from data_engineering.model.grid import Floats, Grid
from data_engineering.model.problem import Options, SolveRequest
from data_engineering.model.snapshot import Snapshot, Topology
from data_engineering.model.tables import (
    LOAD_FORECASTS,
    RENEWABLE_FORECASTS,
    RESERVE_REQUIREMENTS,
)
from data_engineering.model.time import Window
from data_engineering.orchestration.realtime_plan import Present, read_plans
from data_engineering.runtime import Runtime
from data_engineering.settings import Settings
from data_engineering.solvers.outage_factors import outages_of
from data_engineering.solvers.realtime_commitment import (
    reachable_commitment,
    reachable_energy,
    realised_dispatch,
)
from data_engineering.storage import metadata, timeseries
from data_engineering.storage.topology import read_topology
from data_engineering.transformation.energised import live_buses
from data_engineering.transformation.grid_document import grid_from_document
from data_engineering.transformation.realtime_periods import (
    Horizon,
    Measured,
    realtime_periods,
)
from data_engineering.transformation.topology_state import apply_topology

Origin = Literal["EVENT", "SCHEDULED", "API", "MANUAL"]
KNOWN = (LOAD_FORECASTS, RENEWABLE_FORECASTS, RESERVE_REQUIREMENTS)
HELD_BACK_MW = 0.5
"""Curtailment above this makes a reading say little of what is available."""
CURRENT = """
    SELECT topology_id FROM network_topology
    WHERE case_name = :case AND valid_from <= :start
      AND (valid_until IS NULL OR valid_until > :start)
"""


@dataclass(frozen=True)
class Asked:
    """One dispatch that is asked for.

    Attributes:
        start: start of its first interval, UTC.
        now: the present of the stream, UTC; nothing that was known later is used.
        reason: why, in one word.
        key: what makes two of them the same one.
    """

    execution_id: str
    case_name: str
    start: datetime
    now: datetime
    topology: Topology
    snapshot: Snapshot
    reason: str
    key: str
    origin: Origin = "EVENT"
    request_id: str | None = None
    run_id: str | None = None

    @classmethod
    def by_decision(cls, decision: Decision, run_id: str | None = None) -> Asked:
        """What a fired decision asks for."""
        return cls(
            execution_id=decision.execution_id,
            case_name=decision.case_name,
            start=decision.interval_start,
            now=decision.decided_at,
            topology=decision.topology,
            snapshot=decision.snapshot or Snapshot(decision.case_name),
            reason=decision.reason,
            key=decision.idempotency_key,
            run_id=run_id,
        )


@dataclass(frozen=True, eq=False)
class Problem:
    """The request, with what is stored beside its answer."""

    request: SolveRequest
    topology_id: int
    notes: tuple[str, ...] = ()


@dataclass(eq=False)
class Grids:
    """Grids that were read, so that requests of one topology share their arrays."""

    read: dict[int, Grid] = field(default_factory=dict)
    opened: dict[tuple[int, str], Grid] = field(default_factory=dict)

    def of(self, runtime: Runtime, asked: Asked) -> tuple[int, Grid]:
        """The version that is valid at the start, with what is open out of service.

        Raises:
            NoRows: no grid of the case is valid then.
            BadInput: somebody asks about an element that the grid has not.
        """
        found = metadata.query(
            runtime.metadata, CURRENT, {"case": asked.case_name, "start": asked.start}
        )
        if found.empty:
            where = f"case {asked.case_name} at {asked.start.isoformat()}"
            day = asked.start.date().isoformat()
            raise NoRows("network_topology", where, f"run `lascopf ingest --day {day}` first")
        number = int(found["topology_id"].iloc[0])
        if number not in self.read:
            self.read = {number: grid_from_document(read_topology(runtime.metadata, number))}
        key = (number, asked.topology.digest)
        if key not in self.opened:
            _check_named(self.read[number], asked)
            self.opened = {key: apply_topology(self.read[number], asked.topology)}
        return number, self.opened[key]


def _check_named(grid: Grid, asked: Asked) -> None:
    if asked.request_id is None:
        return  # the messages of the stream were checked
    for field_name, named, parts in (
        ("open_branches", asked.topology.branches, (grid.branches, grid.dc_lines)),
        ("open_generators", asked.topology.generators, (grid.generators, grid.storages)),
    ):
        unknown = sorted(named.difference(*(part.id.tolist() for part in parts)))
        if unknown:
            raise BadInput(f"config.{field_name}", unknown[0], "name elements of the grid")


def build_problem(runtime: Runtime, asked: Asked, grids: Grids) -> Problem:
    """The look-ahead dispatch from the realised one.

    The grid is that of the confirmed topology; loads and renewables are the forecasts known at
    the present, brought to the readings; units and stores follow the newest plan as far as they
    can from where they are. Without a plan the minima of units are dropped, and a note says so.

    Raises:
        NoRows: there is no grid, or a load has neither forecast nor reading.
    """
    settings = runtime.settings
    horizon = _horizon(settings, asked)
    number, grid = grids.of(runtime, asked)
    present, plan = read_plans(runtime, grid, asked.case_name, horizon, asked.execution_id)
    measured = _measured(settings, grid, asked, present)
    stores = replace(grid.storages, energy_initial_mwh=present.energy_mwh)
    grid = replace(grid, storages=stores)
    frames = _frames(runtime, asked, horizon)
    periods, notes = realtime_periods(grid, frames, measured, horizon)
    unknown = np.isnan(measured.unit_mw)
    before = realised_dispatch(grid, np.where(unknown, present.unit_mw, measured.unit_mw))
    periods = replace(periods, before_mw=before)
    commitment = reachable_commitment(grid, plan, before, periods)
    if commitment is None:
        notes += ("no plan says which units run: their minima are dropped",)
    else:
        end = reachable_energy(grid, commitment.discharging, plan.energy_end_mwh, periods)
        periods = replace(periods, energy_end_mwh=end)
    request = SolveRequest(
        "lascopf",
        grid,
        periods,
        outages_of(grid) if settings.realtime.outages == "n-1" else (),
        Options(
            commitment="relaxed" if commitment is None else "given",
            time_limit_seconds=settings.realtime.time_limit_seconds,
        ),
        commitment,
    )
    return Problem(request, number, notes)


def _horizon(settings: Settings, asked: Asked) -> Horizon:
    return Horizon(
        start=asked.start,
        now=asked.now,
        minutes=settings.reoptimization.interval_minutes,
        count=settings.realtime.intervals,
        fade_minutes=settings.realtime.fade_minutes,
    )


def _measured(settings: Settings, grid: Grid, asked: Asked, present: Present) -> Measured:
    oldest = timedelta(seconds=settings.reoptimization.stale_seconds)
    points = asked.snapshot.points.get("load_mw")
    names = np.zeros(0, dtype=np.str_) if points is None else points.id

    def values(quantity: Any, ids: Any) -> Floats:
        found, _ = asked.snapshot.values(quantity, ids, now=asked.now, oldest=oldest)
        return found

    return Measured(
        load_mw=dict(zip(names.tolist(), values("load_mw", names).tolist(), strict=True)),
        unit_mw=values("generator_mw", grid.generators.id),
        held_back=present.curtailed_mw > HELD_BACK_MW,
        served=grid.loads.in_service & live_buses(grid)[grid.loads.bus],
    )


def _frames(runtime: Runtime, asked: Asked, horizon: Horizon) -> Mapping[str, pd.DataFrame]:
    """Forecasts and reserves of the hours around the horizon that were known at the present."""
    hour = timedelta(hours=1)
    first = horizon.start.replace(minute=0, second=0, microsecond=0) - hour
    last = horizon.start + timedelta(minutes=horizon.minutes * horizon.count) + hour
    return {
        table.name: timeseries.read(
            runtime.timeseries,
            table,
            Window(first, last),
            case_name=asked.case_name,
            as_of=asked.now,
        )
        for table in KNOWN
    }
