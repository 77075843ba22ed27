"""`Grid`: a power grid as frozen columns of NumPy arrays.

Elements refer to buses by dense index; string ids stand beside. Powers are MW, Mvar or MVA,
impedances, voltages and admittances per unit on `base_mva`, angles degrees: the suffix of each
field says which, and one array never mixes them. Edits (`dataclasses.replace`) return new grids
that share the untouched arrays.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from data_engineering.model.errors import BadInput

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Texts = npt.NDArray[np.str_]

PQ, PV, REF, ISOLATED = 1, 2, 3, 4


@dataclass(frozen=True, eq=False)
class Elements:
    """Columns of one length; each is made read-only."""

    def __post_init__(self) -> None:
        length = len(getattr(self, fields(self)[0].name))
        for field in fields(self):
            values = getattr(self, field.name)
            if len(values) != length:
                raise BadInput(
                    f"{type(self).__name__}.{field.name}", len(values), f"give {length} values"
                )
            values.setflags(write=False)

    def __len__(self) -> int:
        return len(getattr(self, fields(self)[0].name))


@dataclass(frozen=True, eq=False)
class Buses(Elements):
    """Nodes. `kind` is 1 PQ, 2 PV, 3 reference, 4 isolated."""

    id: Texts
    name: Texts
    kind: Ints
    base_kv: Floats
    vm_pu: Floats
    va_deg: Floats
    vm_min_pu: Floats
    vm_max_pu: Floats
    gs_mw: Floats
    bs_mvar: Floats
    area: Texts
    zone: Texts
    latitude_deg: Floats
    longitude_deg: Floats


@dataclass(frozen=True, eq=False)
class Branches(Elements):
    """Lines and transformers. `tap` is 1 on a line; a rating of infinity is no limit.

    Ratings: `rate_a_mva` continuous, `rate_b_mva` long-term emergency, `rate_c_mva` short-term
    emergency. `b_pu` is the total line charging. `outages_per_year` and `outage_hours` are the
    permanent outage rate and its mean duration.
    """

    id: Texts
    from_bus: Ints
    to_bus: Ints
    r_pu: Floats
    x_pu: Floats
    b_pu: Floats
    tap: Floats
    shift_deg: Floats
    rate_a_mva: Floats
    rate_b_mva: Floats
    rate_c_mva: Floats
    angle_min_deg: Floats
    angle_max_deg: Floats
    in_service: Flags
    outages_per_year: Floats
    outage_hours: Floats


@dataclass(frozen=True, eq=False)
class Generators(Elements):
    """Units that inject power; storage units are in `Storages`.

    Cost in USD per hour, either piecewise linear through (`cost_mw`, `cost_usd_per_h`), both of
    shape (units, points) padded with NaN, or where the first point is NaN the polynomial
    `cost_c2 P^2 + cost_c1 P + cost_c0`. Start cost is `start_cost_usd` after at least
    `start_after_h` hours off, shape (units, 3): hot, warm, cold. `kind` is what the unit is
    (CT, CC, STEAM, NUCLEAR, WIND, PV, RTPV, HYDRO, CSP, SYNC_COND). `outage_rate` is the forced
    outage rate, the share of time out.
    """

    id: Texts
    bus: Ints
    kind: Texts
    fuel: Texts
    p_mw: Floats
    q_mvar: Floats
    vm_pu: Floats
    p_min_mw: Floats
    p_max_mw: Floats
    q_min_mvar: Floats
    q_max_mvar: Floats
    in_service: Flags
    ramp_mw_per_min: Floats
    min_up_h: Floats
    min_down_h: Floats
    start_after_h: Floats
    start_cost_usd: Floats
    cost_mw: Floats
    cost_usd_per_h: Floats
    cost_c2: Floats
    cost_c1: Floats
    cost_c0: Floats
    outage_rate: Floats


@dataclass(frozen=True, eq=False)
class Loads(Elements):
    """Demands at buses."""

    id: Texts
    bus: Ints
    p_mw: Floats
    q_mvar: Floats
    in_service: Flags


@dataclass(frozen=True, eq=False)
class Storages(Elements):
    """Units with a reservoir: batteries, pumped storage, the thermal store of a solar tower.

    Energy is MWh at the grid side of discharging: a discharge of 1 MWh takes
    1 / `discharge_efficiency` from the store, a charge of 1 MWh adds `charge_efficiency`.
    A store that cannot charge from the grid has `charge_max_mw` 0. While it discharges a unit
    gives at least `discharge_min_mw`; `start_cost_usd` is the cost of each start of discharging,
    the later stop included.
    """

    id: Texts
    bus: Ints
    kind: Texts
    charge_max_mw: Floats
    discharge_max_mw: Floats
    discharge_min_mw: Floats
    start_cost_usd: Floats
    energy_max_mwh: Floats
    energy_initial_mwh: Floats
    charge_efficiency: Floats
    discharge_efficiency: Floats
    q_min_mvar: Floats
    q_max_mvar: Floats
    vm_pu: Floats
    in_service: Flags


@dataclass(frozen=True, eq=False)
class DcLines(Elements):
    """Point-to-point DC lines: flow from `from_bus` to `to_bus` within its limits.

    What arrives is (1 - `loss_share`) of a flow, less `loss_fixed_mw`.
    """

    id: Texts
    from_bus: Ints
    to_bus: Ints
    p_mw: Floats
    p_min_mw: Floats
    p_max_mw: Floats
    loss_fixed_mw: Floats
    loss_share: Floats
    in_service: Flags


@dataclass(frozen=True, eq=False)
class Grid:
    """A whole grid of one case."""

    case_name: str
    base_mva: float
    buses: Buses
    branches: Branches
    generators: Generators
    loads: Loads
    storages: Storages
    dc_lines: DcLines
