"""`SolveRequest` and `SolveResult`: what every solver is asked and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

import pandas as pd

from data_engineering.model.grid import Flags, Floats, Grid

Kind = Literal["pf", "dcpf", "opf", "dcopf", "scopf", "lascopf"]
Status = Literal["optimal", "feasible", "infeasible", "not_converged", "failed"]
CommitmentChoice = Literal["uc", "on", "relaxed", "given"]

RESERVE_UP, RESERVE_DOWN = "reserve_up", "reserve_down"


@dataclass(frozen=True, eq=False)
class Periods:
    """The intervals of the horizon and what is known of each; the first has no history.

    Attributes:
        start: start of interval 1, timezone-aware UTC.
        minutes: length of an interval.
        load_mw: demand, shape (T, loads), MW.
        available_mw: greatest output (forecast), shape (T, generators), MW; the unit's p_max_mw
            where nothing limits it.
        must_take: units whose least output is their available_mw (run-of-river hydro and rooftop
            PV in RTS-GMLC), shape (generators,).
        inflow_mw: natural inflow into stores, shape (T, storages), MW.
        reserve_up_mw: upward reserve asked of the system, shape (T,), MW.
        reserve_down_mw: downward reserve asked of the system, shape (T,), MW.
        reported: how many intervals count in the result; those after are look-ahead.
        before_mw: realised dispatch before the first interval, shape (generators,), MW; NaN where
            a unit's is not known. None: the first interval is free.
        energy_end_mwh: least energy of the stores at the end of a dispatch, shape (storages,),
            MWh. None: no less than at the start, which a unit commitment always keeps.
    """

    start: datetime
    minutes: int
    load_mw: Floats
    available_mw: Floats
    must_take: Flags
    inflow_mw: Floats
    reserve_up_mw: Floats
    reserve_down_mw: Floats
    reported: int
    before_mw: Floats | None = None
    energy_end_mwh: Floats | None = None

    @property
    def count(self) -> int:
        """T, the number of intervals, look-ahead included."""
        return int(self.load_mw.shape[0])

    @property
    def hours(self) -> float:
        """Length of an interval in hours."""
        return self.minutes / 60.0

    def starts(self) -> list[datetime]:
        """The start of every interval."""
        return [self.start + timedelta(minutes=self.minutes * t) for t in range(self.count)]


@dataclass(frozen=True)
class Outage:
    """Elements that are lost together."""

    id: str
    branches: tuple[str, ...] = ()
    generators: tuple[str, ...] = ()


@dataclass(frozen=True)
class Penalties:
    """USD per MWh of each slack; far above any unit's cost, so slack is a last resort.

    An overload that an outage would cause costs less than one that is there, so that no load is
    shed to prevent what may never happen. It counts for each outage that would cause it.
    """

    load_shed: float = 10_000.0
    over_generation: float = 10_000.0
    branch_overload: float = 5_000.0
    outage_overload: float = 1_000.0
    reserve_shortfall: float = 1_000.0


@dataclass(frozen=True)
class Restoration:
    """The chains of the corrective method: what may happen after an outage.

    Attributes:
        redispatch_intervals: RND, intervals after which the normal rating must hold again.
        secure_intervals: RSD, intervals after those, at whose end the grid is N-1-1 secure.
        minutes: length of an interval of a chain.
        line_limit: `short_term` keeps flows within the short-term rating meanwhile,
            `temperature` keeps the line's normalised temperature below 1.
        thermal_minutes: tau, time constant of a line's temperature.
        weight: of the cost of each chain in the objective; 0 counts the base case alone.
    """

    redispatch_intervals: int = 2
    secure_intervals: int = 1
    minutes: float = 5.0
    line_limit: Literal["short_term", "temperature"] = "short_term"
    thermal_minutes: float = 15.0
    weight: float = 0.0


@dataclass(frozen=True)
class Decomposition:
    """Steps of the decomposed method to begin with; `alpha`, `beta`, `gamma` in p.u. on 100 MVA.

    The defaults converge to the optimum; the schedules and tolerances of the published program stop
    far from it. `workers` processes pay for large agents only.
    """

    alpha: float = 100.0
    beta: float = 200.0
    gamma: float = 100.0
    tolerance: float = 1e-4
    max_iterations: int = 2_000
    inner: Literal["qp", "message_passing"] = "qp"
    workers: int = 1


@dataclass(frozen=True)
class Options:
    """How to solve.

    Attributes:
        method: of the kind's methods; `default` is the one for production.
        relative_gap: at which a unit commitment ends.
        tolerance: relative accuracy of an objective.
        reactive_limits: a power flow's buses give up their voltage at a reactive limit.
        distributed_slack: a power flow shares what is missing among its units by their capability
            instead of giving it to the reference.
    """

    method: str = "default"
    commitment: CommitmentChoice = "uc"
    relative_gap: float = 0.005
    tolerance: float = 1e-6
    time_limit_seconds: float = 300.0
    penalties: Penalties = field(default_factory=Penalties)
    reactive_limits: bool = False
    distributed_slack: bool = False
    restoration: Restoration = field(default_factory=Restoration)
    decomposition: Decomposition = field(default_factory=Decomposition)


@dataclass(frozen=True, eq=False)
class Commitment:
    """Which units run, fixed before a dispatch.

    Attributes:
        on: shape (T, generators); units that need no commitment are on while in service.
        discharging: direction of each store, shape (T, storages); while it is false the store
            may charge and gives nothing.
        start_cost_usd: cost of the starts in each interval, shape (T, generators).
        store_start_cost_usd: the same of stores, shape (T, storages).
    """

    on: Flags
    discharging: Flags
    start_cost_usd: Floats
    store_start_cost_usd: Floats


@dataclass(frozen=True, eq=False)
class SolveRequest:
    """One problem.

    Attributes:
        commitment: what a unit commitment found, or what was given; needed unless
            options.commitment is `on` or `relaxed`.
    """

    kind: Kind
    grid: Grid
    periods: Periods
    outages: tuple[Outage, ...] = ()
    options: Options = field(default_factory=Options)
    commitment: Commitment | None = None


@dataclass(frozen=True, eq=False)
class SolveResult:
    """One answer. Infeasible is a status, never an exception.

    Attributes:
        objective: cost of the reported intervals, USD; NaN without a solution.
        tables: frames by table name, with the columns of the declared tables that do not
            depend on storage (execution_id, case_name are added when they are stored).
        residuals: largest violation of each kind of constraint, by name, in its unit.
        iterations: of the solver; of the outer method where there are two.
        notes: what the reader must know, such as the outages that were left out.
    """

    status: Status
    objective: float
    tables: Mapping[str, pd.DataFrame]
    residuals: Mapping[str, float]
    solver: str
    version: str
    seconds: float
    iterations: int = 0
    notes: tuple[str, ...] = ()
