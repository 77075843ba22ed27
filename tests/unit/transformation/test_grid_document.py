"""Documents of grids hold every number there is, NaN and infinity included."""

from __future__ import annotations

import json

from hypothesis import given, settings

from data_engineering.transformation.grid_document import grid_from_document, grid_to_document
from tests.unit.transformation.equal_grids import assert_same_grid, with_any_values
from tests.unit.transformation.small_grids import three_buses


@settings(deadline=None, max_examples=100)
@given(with_any_values(three_buses()))
def test_any_values_come_back(grid):
    text = json.dumps(grid_to_document(grid), allow_nan=False)
    assert_same_grid(grid_from_document(json.loads(text)), grid)
