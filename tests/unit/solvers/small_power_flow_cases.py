"""Cases as MATPOWER text: the nine-bus system of its manual, and two buses with a line."""

from __future__ import annotations

from dataclasses import replace

from data_engineering.model.grid import Branches, Grid
from data_engineering.transformation.matpower import grid_from_matpower

CASE9 = """function mpc = case9
mpc.version = '2';
mpc.baseMVA = 100;
mpc.bus = [
 1 3 0 0 0 0 1 1 0 345 1 1.1 0.9;
 2 2 0 0 0 0 1 1 0 345 1 1.1 0.9;
 3 2 0 0 0 0 1 1 0 345 1 1.1 0.9;
 4 1 0 0 0 0 1 1 0 345 1 1.1 0.9;
 5 1 90 30 0 0 1 1 0 345 1 1.1 0.9;
 6 1 0 0 0 0 1 1 0 345 1 1.1 0.9;
 7 1 100 35 0 0 1 1 0 345 1 1.1 0.9;
 8 1 0 0 0 0 1 1 0 345 1 1.1 0.9;
 9 1 125 50 0 0 1 1 0 345 1 1.1 0.9;
];
mpc.gen = [
 1 0 0 300 -300 1 100 1 250 10;
 2 163 0 300 -300 1 100 1 300 10;
 3 85 0 300 -300 1 100 1 270 10;
];
mpc.branch = [
 1 4 0 0.0576 0 250 250 250 0 0 1 -360 360;
 4 5 0.017 0.092 0.158 250 250 250 0 0 1 -360 360;
 5 6 0.039 0.17 0.358 150 150 150 0 0 1 -360 360;
 3 6 0 0.0586 0 300 300 300 0 0 1 -360 360;
 6 7 0.0119 0.1008 0.209 150 150 150 0 0 1 -360 360;
 7 8 0.0085 0.072 0.149 250 250 250 0 0 1 -360 360;
 8 2 0 0.0625 0 250 250 250 0 0 1 -360 360;
 8 9 0.032 0.161 0.306 250 250 250 0 0 1 -360 360;
 9 4 0.01 0.085 0.176 250 250 250 0 0 1 -360 360;
];
mpc.gencost = [
 2 1500 0 3 0.11 5 150;
 2 2000 0 3 0.085 1.2 600;
 2 3000 0 3 0.1225 1 335;
];
"""
TWO = """function mpc = two
mpc.version = '2';
mpc.baseMVA = 100;
mpc.bus = [
 1 3 0 0 0 0 1 1.02 0 230 1 1.1 0.9;
 2 1 80 30 0 0 1 1 0 230 1 1.1 0.9;
];
mpc.gen = [ 1 0 0 300 -300 1.02 100 1 250 0; ];
mpc.branch = [ 1 2 0.02 0.1 0 0 0 0 0 0 1 -360 360; ];
mpc.gencost = [ 2 0 0 3 0 1 0; ];
"""


def case9() -> Grid:
    return grid_from_matpower(CASE9, "case9")


def two_buses() -> Grid:
    return grid_from_matpower(TWO, "two")


def with_branches(grid: Grid, **fields) -> Grid:
    return replace(grid, branches=replace(grid.branches, **fields))


def with_units(grid: Grid, **fields) -> Grid:
    return replace(grid, generators=replace(grid.generators, **fields))


def branches_taken(grid: Grid, rows) -> Branches:
    """Branches by row, perhaps some of them twice."""
    taken = {name: values[rows] for name, values in vars(grid.branches).items()}
    return Branches(**taken)
