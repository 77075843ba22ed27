"""Names of the columns of MATPOWER's tables (MATPOWER User's Manual, appendix B)."""

from __future__ import annotations


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


COLUMNS: dict[str, tuple[str, ...]] = {
    "bus": _names("bus_i type Pd Qd Gs Bs area Vm Va baseKV zone Vmax Vmin"),
    "gen": _names(
        "bus Pg Qg Qmax Qmin Vg mBase status Pmax Pmin Pc1 Pc2 Qc1min Qc1max Qc2min Qc2max "
        "ramp_agc ramp_10 ramp_30 ramp_q apf"
    ),
    "branch": _names("fbus tbus r x b rateA rateB rateC ratio angle status angmin angmax"),
    "gencost": _names("model startup shutdown n"),
    "dcline": _names(
        "fbus tbus status Pf Pt Qf Qt Vf Vt Pmin Pmax QminF QmaxF QminT QmaxT loss0 loss1"
    ),
}
LEAST = {"bus": 13, "gen": 10, "branch": 13, "gencost": 5, "dcline": 17}
"""How many columns a table has at least."""
EXACT = "grid."
"""Begins the names of the tables, `grid.PART.FIELD`, of what the standard ones cannot hold."""
FULL_TURN_DEG = 360.0
"""Angle limits from here on are none."""
