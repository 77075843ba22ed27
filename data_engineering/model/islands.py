"""Which buses are joined: the islands of a grid."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from data_engineering.model.grid import Flags, Grid, Ints


def islands(grid: Grid, lost: Ints | None = None, live: Flags | None = None) -> Ints:
    """The number of the island that each bus is in, by the AC branches in service.

    Args:
        grid: the case.
        lost: rows of branches that are out besides.
        live: buses that join what they touch, shape (buses,); None: all.

    Returns:
        Numbers from 0, shape (buses,).
    """
    branches, count = grid.branches, len(grid.buses)
    kept = branches.in_service.copy()
    kept[[] if lost is None else lost] = False
    if live is not None:
        kept &= live[branches.from_bus] & live[branches.to_bus]
    ends = (branches.from_bus[kept], branches.to_bus[kept])
    joined = coo_matrix((np.ones(kept.sum()), ends), (count, count))
    number: Ints = connected_components(joined, directed=False)[1].astype(np.int64)
    return number
