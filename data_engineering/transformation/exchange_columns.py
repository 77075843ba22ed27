"""The columns of the exchange bundle's tables and the fields of the grid that they hold.

docs/EXCHANGE.md is the format. What stands here beyond it rides along: a solver does not need it,
reading the bundle back does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from data_engineering.model.grid import ISOLATED, PQ, PV, REF

Kind = Literal["number", "flag", "text", "bus"]

BUS_TYPES = {PQ: "PQ", PV: "PV", REF: "Ref", ISOLATED: "Isolated"}
COST_MW, COST_USD = "Cost MW", "Cost USD/h"
"""Heads of the columns of a cost's points; a number follows."""


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes:
        name: in the file.
        field: of the grid's part.
        kind: how values are written; a `bus` is written by its number.
        missing: what `NA` stands for; None where a value is needed.
        place: which of a field's several values; None where it has one.
    """

    name: str
    field: str
    kind: Kind = "number"
    missing: float | None = None
    place: int | None = None


def _informal(name: str, field: str) -> Column:
    """A value that a dispatch does without."""
    return Column(name, field, missing=math.nan)


def _most(name: str, field: str) -> Column:
    return Column(name, field, missing=math.inf)


def _least(name: str, field: str) -> Column:
    return Column(name, field, missing=-math.inf)


def _starts() -> list[Column]:
    """Start categories: hours off after which each applies, and what it costs."""
    found = []
    for place, name in enumerate(("Hot", "Warm", "Cold")):
        hours = Column(f"Start Time {name} Hr", "start_after_h", missing=math.nan, place=place)
        cost = Column(f"Start Cost {name} USD", "start_cost_usd", missing=math.nan, place=place)
        found += [hours, cost]
    return found


BUS = (
    Column("Bus UID", "id", "text"),
    Column("Bus Name", "name", "text"),
    _informal("BaseKV", "base_kv"),
    _informal("V Mag", "vm_pu"),
    _informal("V Angle", "va_deg"),
    Column("MW Shunt G", "gs_mw"),
    Column("MVAR Shunt B", "bs_mvar"),
    Column("Area", "area", "text"),
    Column("Zone", "zone", "text"),
    _informal("lat", "latitude_deg"),
    _informal("lng", "longitude_deg"),
    _informal("Vmin", "vm_min_pu"),
    _informal("Vmax", "vm_max_pu"),
)
"""Besides `Bus ID`, `Bus Type`, `MW Load` and `MVAR Load`."""

BRANCH = (
    Column("UID", "id", "text"),
    Column("From Bus", "from_bus", "bus"),
    Column("To Bus", "to_bus", "bus"),
    Column("R", "r_pu"),
    Column("X", "x_pu"),
    Column("B", "b_pu"),
    _most("Cont Rating", "rate_a_mva"),
    _most("LTE Rating", "rate_b_mva"),
    _most("STE Rating", "rate_c_mva"),
    _informal("Perm OutRate", "outages_per_year"),
    _informal("Duration", "outage_hours"),
    Column("Tr Ratio", "tap"),
    Column("Shift", "shift_deg"),
    _least("Angle Min", "angle_min_deg"),
    _most("Angle Max", "angle_max_deg"),
    Column("In Service", "in_service", "flag"),
)

GENERATOR = (
    Column("GEN UID", "id", "text"),
    Column("Bus ID", "bus", "bus"),
    Column("Unit Type", "kind", "text"),
    Column("Fuel", "fuel", "text"),
    _informal("MW Inj", "p_mw"),
    _informal("MVAR Inj", "q_mvar"),
    _informal("V Setpoint p.u.", "vm_pu"),
    Column("PMax MW", "p_max_mw"),
    Column("PMin MW", "p_min_mw"),
    _most("QMax MVAR", "q_max_mvar"),
    _least("QMin MVAR", "q_min_mvar"),
    Column("Min Down Time Hr", "min_down_h"),
    Column("Min Up Time Hr", "min_up_h"),
    _most("Ramp Rate MW/Min", "ramp_mw_per_min"),
    _informal("FOR", "outage_rate"),
    Column("In Service", "in_service", "flag"),
    _informal("Cost C2", "cost_c2"),
    _informal("Cost C1", "cost_c1"),
    _informal("Cost C0", "cost_c0"),
    *_starts(),
)
"""Besides `Thermal`, `Must Take`, `Before MW` and the points of the cost."""

DC_BRANCH = (
    Column("UID", "id", "text"),
    Column("From Bus", "from_bus", "bus"),
    Column("To Bus", "to_bus", "bus"),
    Column("MW Min", "p_min_mw"),
    Column("MW Max", "p_max_mw"),
    Column("Loss Fixed MW", "loss_fixed_mw"),
    Column("Loss Share", "loss_share"),
    Column("In Service", "in_service", "flag"),
    _informal("MW Load", "p_mw"),
)

STORAGE = (
    Column("UID", "id", "text"),
    Column("Bus ID", "bus", "bus"),
    Column("Charge Max MW", "charge_max_mw"),
    Column("Discharge Max MW", "discharge_max_mw"),
    Column("Discharge Min MW", "discharge_min_mw"),
    Column("Energy Max MWh", "energy_max_mwh"),
    Column("Energy Initial MWh", "energy_initial_mwh"),
    Column("Charge Efficiency", "charge_efficiency"),
    Column("Discharge Efficiency", "discharge_efficiency"),
    Column("In Service", "in_service", "flag"),
    Column("Unit Type", "kind", "text"),
    Column("Start Cost USD", "start_cost_usd"),
    _most("QMax MVAR", "q_max_mvar"),
    _least("QMin MVAR", "q_min_mvar"),
    _informal("V Setpoint p.u.", "vm_pu"),
)
"""Besides `Energy End MWh`."""

LOAD = (
    Column("UID", "id", "text"),
    Column("Bus ID", "bus", "bus"),
    Column("MW Load", "p_mw"),
    _informal("MVAR Load", "q_mvar"),
    Column("In Service", "in_service", "flag"),
)

UNITS = {
    "MW Load": "MW",
    "MVAR Load": "Mvar",
    "BaseKV": "kV",
    "V Mag": "p.u.",
    "V Angle": "deg",
    "MW Shunt G": "MW at 1 p.u.",
    "MVAR Shunt B": "Mvar at 1 p.u.",
    "lat": "deg",
    "lng": "deg",
    "Vmin": "p.u.",
    "Vmax": "p.u.",
    "R": "p.u.",
    "X": "p.u.",
    "B": "p.u.",
    "Cont Rating": "MVA",
    "LTE Rating": "MVA",
    "STE Rating": "MVA",
    "Perm OutRate": "1/year",
    "Duration": "h",
    "Shift": "deg",
    "Angle Min": "deg",
    "Angle Max": "deg",
    "MW Inj": "MW",
    "MVAR Inj": "Mvar",
    "V Setpoint p.u.": "p.u.",
    "PMax MW": "MW",
    "PMin MW": "MW",
    "QMax MVAR": "Mvar",
    "QMin MVAR": "Mvar",
    "Min Down Time Hr": "h",
    "Min Up Time Hr": "h",
    "Ramp Rate MW/Min": "MW/min",
    "Cost C2": "USD/h per MW^2",
    "Cost C1": "USD/h per MW",
    "Cost C0": "USD/h",
    "Start Time Hot Hr": "h",
    "Start Time Warm Hr": "h",
    "Start Time Cold Hr": "h",
    "Start Cost Hot USD": "USD",
    "Start Cost Warm USD": "USD",
    "Start Cost Cold USD": "USD",
    "Before MW": "MW",
    COST_MW: "MW",
    COST_USD: "USD/h",
    "MW Min": "MW",
    "MW Max": "MW",
    "Loss Fixed MW": "MW",
    "Charge Max MW": "MW",
    "Discharge Max MW": "MW",
    "Discharge Min MW": "MW",
    "Energy Max MWh": "MWh",
    "Energy Initial MWh": "MWh",
    "Energy End MWh": "MWh",
    "Start Cost USD": "USD",
}
"""Of the columns that have one; of numbered columns by their head."""
