"""AC-OPF against pandapower's and, on larger cases, against PGLib's published objectives."""

from __future__ import annotations

import numpy as np
import pytest
from ac_opf_cases import pglib_grid, published, solved

from data_engineering.transformation.matpower import grid_from_matpower

LARGER = sorted(
    (name for name, (buses, _) in published().items() if 600 < buses < 2_000),
    key=lambda name: published()[name][0],
)
LARGEST = ["case2000_goc", "case2853_sdet__sad", "case4661_sdet__api", "case10000_goc"]
"""Every case up to 10,000 buses is solved by tests/benchmarks/ac_opf_table.py."""

pytestmark = [pytest.mark.oracle, pytest.mark.slow]


@pytest.mark.parametrize("name", LARGER + LARGEST)
def test_the_objective_is_the_published_one(name):
    """The publication has five digits, so up to 5e-5 of the difference is rounding."""
    assert solved(pglib_grid(name)).objective == pytest.approx(published()[name][1], rel=1e-4)


def _as_text(arrays: dict[str, np.ndarray]) -> str:
    """PYPOWER's arrays, whose buses count from 0, as a MATPOWER case."""
    bus, gen, branch = (arrays[name].real.copy() for name in ("bus", "gen", "branch"))
    bus[:, 0] += 1
    gen[:, 0] += 1
    branch[:, :2] += 1
    tables = {
        "bus": bus[:, :13],
        "gen": gen[:, :10],
        "branch": branch[:, :13],
        "gencost": arrays["gencost"],
    }
    lines = ["function mpc = case", "mpc.version = '2';", f"mpc.baseMVA = {arrays['baseMVA']!r};"]
    for name, table in tables.items():
        rows = [" ".join(repr(float(value)) for value in row) + ";" for row in table]
        lines += [f"mpc.{name} = [", *rows, "];"]
    return "\n".join(lines)


@pytest.mark.filterwarnings("default")  # pandapower's own
@pytest.mark.parametrize("name", ["case9", "case14", "case_ieee30", "case39"])
def test_the_objective_is_pandapower_s_on_its_own_arrays(name):
    """The very arrays that it hands to its solver, which ends at a relative 1e-6 of the cost."""
    import pandapower
    from pandapower import networks

    net = getattr(networks, name)()
    pandapower.runopp(net, numba=False)
    grid = grid_from_matpower(_as_text(net._ppc_opf), name)
    assert solved(grid).objective == pytest.approx(net.res_cost, rel=1e-6)
