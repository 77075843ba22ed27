"""Outages: against brute force and networkx, and the law of the random ones."""

from __future__ import annotations

from collections import Counter
from dataclasses import fields, replace
from functools import cache
from itertools import combinations
from typing import Any

import networkx as nx
import numpy as np
import pytest
from solve_cases import pglib

from data_engineering.model.errors import BadInput
from data_engineering.model.grid import REF, Flags, Grid
from data_engineering.scenarios.case import prepare
from data_engineering.scenarios.config_blocks import TopologyBlock
from data_engineering.scenarios.cuts import cuts_of
from data_engineering.scenarios.topology import DrawnOutages, ListedOutages, topologies


@cache
def grid_of(name: str) -> Grid:
    return prepare(pglib(name)).grid


def block(**values: Any) -> TopologyBlock:
    return TopologyBlock.model_validate(values)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(seed))


def variants(grid: Grid, rows: int = 1000, seed: int = 0, **values: Any) -> tuple[Flags, Flags]:
    pieces = list(topologies(grid, block(**values)).pieces(rng(seed), rows))
    return np.concatenate([p[0] for p in pieces]), np.concatenate([p[1] for p in pieces])


def connected(grid: Grid, branch_on: Flags) -> bool:
    """By networkx, which knows nothing of vectors."""
    graph = nx.MultiGraph()
    graph.add_nodes_from(range(len(grid.buses)))
    ends = zip(grid.branches.from_bus[branch_on], grid.branches.to_bus[branch_on], strict=True)
    graph.add_edges_from((int(a), int(b)) for a, b in ends)
    return bool(nx.is_connected(graph))


def out_of(on: Flags, base: Flags) -> list[tuple[int, ...]]:
    return [tuple(np.flatnonzero(base & ~row).tolist()) for row in on]


@pytest.mark.parametrize(
    ("name", "k"), [("case3_lmbd", 2), ("case14_ieee", 3), ("case24_ieee_rts", 2)]
)
def test_n_minus_k_is_every_set_that_leaves_the_grid_connected(name: str, k: int) -> None:
    """case24 has parallel circuits, case14 a bridge; the order is by size, then by branch."""
    grid = grid_of(name)
    base = grid.branches.in_service
    expected = []
    for size in range(k + 1):
        for out in combinations(np.flatnonzero(base).tolist(), size):
            on = base.copy()
            on[list(out)] = False
            if connected(grid, on):
                expected.append(out)
    branch_on, unit_on = variants(grid, type="n_minus_k", k=k)
    assert out_of(branch_on, base) == expected
    assert (unit_on == grid.generators.in_service).all()
    assert topologies(grid, block(type="n_minus_k", k=k)).most() == len(expected)


def test_n_minus_k_leaves_out_what_is_out_already() -> None:
    grid = grid_of("case14_ieee")
    on = grid.branches.in_service.copy()
    on[2] = False
    grid = replace(grid, branches=replace(grid.branches, in_service=on))
    branch_on, _ = variants(grid, type="n_minus_k", k=1)
    assert not branch_on[:, 2].any()
    assert all(connected(grid, row) for row in branch_on)
    graph = nx.Graph(
        zip(grid.branches.from_bus[on].tolist(), grid.branches.to_bus[on].tolist(), strict=True)
    )
    assert len(branch_on) == 1 + int(on.sum()) - len(list(nx.bridges(graph)))


def test_sets_of_any_size_are_judged_as_networkx_judges_them() -> None:
    """Random grids with parallel branches and loops, sets of up to four branches."""
    rng_ = rng(5)
    template = grid_of("case14_ieee").branches
    for _ in range(60):
        buses, extra = int(rng_.integers(2, 9)), int(rng_.integers(0, 7))
        path = np.column_stack([np.arange(1, buses), [rng_.integers(b) for b in range(1, buses)]])
        ends = np.concatenate([path, rng_.integers(buses, size=(extra, 2))]).astype(np.int64)
        ends = ends[rng_.permutation(len(ends))]
        rows = np.zeros(len(ends), dtype=np.int64)
        columns = {f.name: getattr(template, f.name)[rows] for f in fields(template)}
        branches = replace(type(template)(**columns), from_bus=ends[:, 0], to_bus=ends[:, 1])
        cuts = cuts_of(branches, buses)
        for size in range(1, min(4, len(ends)) + 1):
            found = [tuple(s) for sets in cuts.outages(size) for s in sets.tolist()]
            expected = []
            for out in combinations(range(len(ends)), size):
                graph = nx.MultiGraph()
                graph.add_nodes_from(range(buses))
                graph.add_edges_from(np.delete(ends, out, axis=0).tolist())
                if nx.is_connected(graph):
                    expected.append(out)
                assert cuts.connected_without(out) == nx.is_connected(graph)
            assert found == expected


def test_pieces_hold_the_same_variants_whatever_their_size() -> None:
    grid = grid_of("case14_ieee")
    for values in (
        {"type": "n_minus_k", "k": 2},
        {"type": "random", "k": 2, "n_topology_variants": 25},
        {"type": "random", "k": 9, "n_topology_variants": 25},
    ):
        whole = variants(grid, 10_000, **values)
        sizes = [len(p[0]) for p in topologies(grid, block(**values)).pieces(rng(), 7)]
        assert set(sizes[:-1]) == {7}
        for one, other in zip(whole, variants(grid, 7, **values), strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("name", "k", "kind"),
    [
        ("case14_ieee", 1, ListedOutages),
        ("case24_ieee_rts", 2, ListedOutages),
        ("case118_ieee", 3, DrawnOutages),
        ("case30_ieee", 8, DrawnOutages),
    ],
)
def test_random_outages_are_distinct_connected_and_spare_the_reference(
    name: str, k: int, kind: type
) -> None:
    grid = grid_of(name)
    made = topologies(grid, block(type="random", k=k, n_topology_variants=15))
    assert isinstance(made, kind)
    reference = np.flatnonzero(grid.buses.kind[grid.generators.bus] == REF)
    for seed in range(20):
        pieces = list(made.pieces(rng(seed), 1000))
        (branch_on, unit_on), = pieces  # fmt: skip
        outs = list(
            zip(
                out_of(branch_on, grid.branches.in_service),
                out_of(unit_on, grid.generators.in_service),
                strict=True,
            )
        )
        assert len(set(outs)) == len(outs) == 15
        assert all(1 <= len(b) + len(u) <= k for b, u in outs)
        assert all(connected(grid, row) for row in branch_on)
        assert unit_on[:, reference].all()


def test_elements_are_those_asked() -> None:
    grid = grid_of("case24_ieee_rts")
    branch_on, unit_on = variants(grid, type="random", k=2, elements=["branch"])
    assert unit_on.all()
    assert not branch_on.all(axis=1).any()
    branch_on, unit_on = variants(grid, type="random", k=2, elements=["gen"])
    assert branch_on.all()
    assert not unit_on.all(axis=1).any()


def test_all_sets_are_given_where_fewer_exist_than_asked() -> None:
    """case3: of three branches any one may be out; of generators the one not at the reference.

    PGLib's case3_lmbd has generators at buses 1 (reference), 2 and 3: two may be out.
    """
    grid = grid_of("case3_lmbd")
    made = topologies(grid, block(type="random", k=1, n_topology_variants=20))
    assert made.most() == 5
    branch_on, unit_on = variants(grid, type="random", k=1, n_topology_variants=20)
    assert Counter((~branch_on).sum(axis=1).tolist()) == {1: 3, 0: 2}
    assert Counter((~unit_on).sum(axis=1).tolist()) == {0: 3, 1: 2}


def test_more_variants_begin_with_the_same_ones() -> None:
    grid = grid_of("case118_ieee")
    for k in (1, 3):
        few = variants(grid, type="random", k=k, n_topology_variants=5)
        many = variants(grid, type="random", k=k, n_topology_variants=30)
        for one, other in zip(few, many, strict=True):
            np.testing.assert_array_equal(one, other[:5])


def test_probabilities_of_the_number_of_outages() -> None:
    """The first variant of each of 4,000 draws has 0, 1, 2 outages with the given probabilities.

    Sets that split the grid are drawn again, which moves the shares: the
    expected ones are p_r a_r / sum, a_r the share of sets of r elements that stay connected, from
    networkx. Four standard deviations of a share are at most 4 sqrt(0.25 / 4000) = 0.032.
    """
    grid = grid_of("case14_ieee")
    shares = np.array([0.2, 0.5, 0.3])
    values = {"type": "random", "k": 2, "n_topology_variants": 1}
    made = topologies(grid, block(**values, outage_count_probabilities=shares.tolist()))
    found = np.zeros(3)
    for seed in range(4000):
        ((branch_on, unit_on),) = made.pieces(rng(seed), 10)
        found[(~branch_on).sum() + (~unit_on).sum()] += 1
    units = int((grid.buses.kind[grid.generators.bus] != REF).sum())
    expected = shares * [1.0, *(_connected_share(grid, units, size) for size in (1, 2))]
    np.testing.assert_allclose(found / 4000, expected / expected.sum(), atol=0.032)


def _connected_share(grid: Grid, units: int, size: int) -> float:
    count = len(grid.branches)
    good, sets = 0, list(combinations(range(count + units), size))
    for out in sets:
        on = np.ones(count, dtype=np.bool_)
        on[[e for e in out if e < count]] = False
        good += connected(grid, on)
    return good / len(sets)


def test_drawing_from_the_list_has_the_law_of_drawing_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Inclusion of each element, listed and drawn, in 2,000 load scenarios of 5 variants.

    An element's share in 10,000 variants has a standard deviation below sqrt(0.1 / 10,000) =
    0.0032 (shares are below 0.1); the difference of two, 0.0045; four of them over 24 elements.
    """
    grid = grid_of("case14_ieee")
    values = {"type": "random", "k": 2, "n_topology_variants": 5}
    listed = topologies(grid, block(**values))
    monkeypatch.setattr("data_engineering.scenarios.topology.LISTED", 0)
    drawn = topologies(grid, block(**values))
    assert isinstance(listed, ListedOutages)
    assert isinstance(drawn, DrawnOutages)
    shares = []
    for made, offset in ((listed, 0), (drawn, 10_000)):
        out = np.zeros(len(grid.branches) + len(grid.generators))
        for seed in range(2000):
            ((branch_on, unit_on),) = made.pieces(rng(offset + seed), 10)
            out += np.concatenate([~branch_on, ~unit_on], axis=1).sum(axis=0)
        shares.append(out / 10_000)
    assert shares[0].max() < 0.1
    np.testing.assert_allclose(shares[0], shares[1], atol=0.018)


def test_no_outage_may_be_one_of_the_variants_and_only_once() -> None:
    grid = grid_of("case14_ieee")
    branch_on, unit_on = variants(
        grid, type="random", k=1, n_topology_variants=10,
        outage_count_probabilities={0: 0.9, 1: 0.1},
    )  # fmt: skip
    intact = branch_on.all(axis=1) & unit_on.all(axis=1)
    assert len(branch_on) == 10
    assert intact.sum() == 1


def test_more_outages_than_elements_are_refused() -> None:
    grid = grid_of("case3_lmbd")
    for values, line in (
        ({"type": "random", "k": 6}, r"k: 6 .* has 5 branch and gen that may be out; give at most"),
        ({"type": "random", "k": 3, "elements": ["gen"]}, r"k: 3 .* has 2 gen that may be out"),
        ({"type": "n_minus_k", "k": 4}, r"k: 4 .* has 3 branches in service; give at most that"),
    ):
        with pytest.raises(BadInput, match=f"topology_perturbation.{line}"):
            topologies(grid, block(**values))


def test_outages_that_always_split_the_grid_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of three branches of a triangle: never connected."""
    grid = grid_of("case3_lmbd")
    values = {"type": "random", "k": 2, "elements": ["branch"]}
    refused = block(**values, outage_count_probabilities=[0, 0, 1.0])
    with pytest.raises(BadInput, match="no such set of outages leaves the grid connected"):
        topologies(grid, refused)
    monkeypatch.setattr("data_engineering.scenarios.topology.LISTED", 0)
    with pytest.raises(BadInput, match="no such set of outages leaves the grid connected"):
        list(topologies(grid, refused).pieces(rng(), 10))


def test_more_variants_than_anybody_can_solve_are_refused() -> None:
    with pytest.raises(BadInput, match=r"k: 5 .* up to [\d,]+ variants; give a smaller k"):
        topologies(grid_of("case118_ieee"), block(type="n_minus_k", k=5))


def test_a_grid_in_two_parts_is_refused() -> None:
    grid = grid_of("case14_ieee")
    ends = np.column_stack([grid.branches.from_bus, grid.branches.to_bus])
    leaf = int(np.flatnonzero(np.bincount(ends.ravel()) == 1)[0])
    on = ~(ends == leaf).any(axis=1)
    split = replace(grid, branches=replace(grid.branches, in_service=on))
    with pytest.raises(BadInput, match="must be joined by branches in service"):
        topologies(split, block(type="n_minus_k"))


def test_without_perturbation_the_grid_is_given_once() -> None:
    grid = grid_of("case14_ieee")
    branch_on, unit_on = variants(grid, type="none")
    np.testing.assert_array_equal(branch_on, grid.branches.in_service[None])
    np.testing.assert_array_equal(unit_on, grid.generators.in_service[None])
