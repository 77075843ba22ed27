"""Confirmed statuses, and the grids that they make."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from small_grids import three_buses
from stream_batches import CASE, SECOND, START, change

from data_engineering.model.grid import ISOLATED, PV, REF
from data_engineering.model.snapshot import Topology
from data_engineering.transformation.grid_checks import check_grid
from data_engineering.transformation.topology_state import (
    Statuses,
    apply_topology,
    element_index,
    scan,
    statuses_from_document,
    statuses_to_document,
    topology_of,
)

GRID = three_buses()
INDEX = element_index(GRID)


def after(*batches: list[tuple[int, str, bool]], kind: str = "branch") -> Statuses:
    """Statuses after batches of (second, element, closed)."""
    statuses = Statuses(CASE)
    for rows in batches:
        changes = [change(START + s * SECOND, name, closed, kind) for s, name, closed in rows]
        statuses = scan(statuses, changes, 2).statuses
    return statuses


def opened(statuses: Statuses) -> Topology:
    return topology_of(statuses, INDEX)


def test_two_agreeing_scans_confirm() -> None:
    assert opened(after([(0, "L1", False)])) == Topology()
    assert opened(after([(0, "L1", False)], [(1, "L1", False)])).branches == {"L1"}
    assert opened(after([(0, "L1", False), (1, "L1", False)])).branches == {"L1"}
    closed_again = after([(0, "L1", False), (1, "L1", False), (2, "L1", True)])
    assert opened(closed_again).branches == {"L1"}
    assert opened(after([(s, "L1", s > 1) for s in range(4)])) == Topology()


def test_the_same_scan_again_confirms_nothing() -> None:
    assert opened(after(*[[(0, "L1", False)]] * 5)) == Topology()


def test_an_older_scan_counts_for_nothing() -> None:
    statuses = after([(5, "L1", True), (6, "L1", True)])
    late = scan(statuses, [change(START + s * SECOND, "L1", False) for s in (1, 2)], 2)
    assert late.late == 2
    assert opened(late.statuses) == Topology()


def test_scans_of_a_batch_are_taken_in_the_order_of_their_times() -> None:
    rows = [(3, "L1", False), (1, "L1", True), (2, "L1", False)]
    assert opened(after(rows)).branches == {"L1"}


def test_a_scan_that_is_corrected_confirms_nothing() -> None:
    first = [change(START, "L1", False), change(START + SECOND, "L1", False)]
    corrected = change(START + SECOND, "L1", True, known=START + 3 * SECOND)
    one = scan(Statuses(CASE), first[:1], 2).statuses
    assert opened(scan(one, [corrected], 2).statuses) == Topology()
    assert opened(scan(one, [corrected, first[1]], 2).statuses).branches in ({"L1"}, set())
    again = change(START + 2 * SECOND, "L1", True)
    both = scan(scan(one, [corrected], 2).statuses, [again], 2).statuses
    assert opened(both) == Topology()


def test_other_cases_are_left_out() -> None:
    other = replace(change(START, "L1", False), case_name="another")
    assert scan(Statuses(CASE), [other], 1).statuses.elements == {}


def test_what_changed_and_what_waits_is_told() -> None:
    statuses = after([(0, "L1", True), (1, "L1", True)])
    first = scan(statuses, [change(START + 2 * SECOND, "L1", False)], 2)
    assert (first.confirmed, first.unconfirmed) == ((), (("branch", "L1"),))
    second = scan(first.statuses, [change(START + 3 * SECOND, "L1", False)], 2)
    assert (second.confirmed, second.unconfirmed) == ((("branch", "L1"),), ())


@pytest.mark.parametrize("name", ["L1", "L1@1", "L1@2"])
def test_a_breaker_opens_its_branch(name: str) -> None:
    assert opened(after([(0, name, False), (1, name, False)], kind="breaker")).branches == {"L1"}


def test_a_branch_is_open_while_one_of_its_breakers_is() -> None:
    rows = [(s, name, name == "L1@2") for s in (0, 1) for name in ("L1@1", "L1@2")]
    assert opened(after(rows, kind="breaker")).branches == {"L1"}


def test_breakers_of_units_and_buses() -> None:
    unit = after([(0, "1_STEAM_1", False), (1, "1_STEAM_1", False)], kind="breaker")
    assert opened(unit).generators == {"1_STEAM_1"}
    assert opened(after([(0, "30", False), (1, "30", False)], kind="breaker")).buses == {"30"}
    assert opened(after([(0, "?", False), (1, "?", False)], kind="breaker")) == Topology()


def test_what_is_out_in_the_case_can_be_closed() -> None:
    closed = opened(after([(0, "L2", True), (1, "L2", True)]))
    assert closed == Topology(closed_branches=frozenset({"L2"}))
    assert apply_topology(GRID, closed).branches.in_service.tolist() == [True, True, True]
    assert opened(after([(0, "L2", False), (1, "L2", False)])) == Topology()


def test_nothing_open_is_the_same_grid() -> None:
    assert apply_topology(GRID, Topology()) is GRID


def test_open_elements_are_out_of_service_and_the_rest_is_shared() -> None:
    found = apply_topology(
        GRID, Topology(branches=frozenset({"T1", "DC1"}), generators=frozenset({"30_WIND_1"}))
    )
    assert found.branches.in_service.tolist() == [True, False, False]
    assert found.dc_lines.in_service.tolist() == [False]
    assert found.generators.in_service.tolist() == [True, False, False, True]
    assert found.loads is GRID.loads
    assert found.branches.x_pu is GRID.branches.x_pu


def test_a_store_opens_like_a_unit() -> None:
    found = apply_topology(GRID, Topology(generators=frozenset({"30_STORAGE_1"})))
    assert found.storages.in_service.tolist() == [False]


def test_an_island_gets_a_reference() -> None:
    found = apply_topology(GRID, Topology(branches=frozenset({"T1", "DC1"})))
    assert found.buses.kind.tolist() == [REF, PV, REF]
    check_grid(found)


def test_a_dead_bus_takes_all_with_it() -> None:
    found = apply_topology(GRID, Topology(buses=frozenset({"1"})))
    assert found.buses.kind.tolist() == [ISOLATED, PV, REF]  # its unit of 50 MW is out
    assert found.branches.in_service.tolist() == [False, True, False]
    assert found.dc_lines.in_service.tolist() == [False]
    assert found.generators.in_service.tolist() == [False, False, True, True]
    assert found.loads.in_service.tolist() == GRID.loads.in_service.tolist()


def test_a_dead_bus_sheds_its_loads() -> None:
    found = apply_topology(GRID, Topology(buses=frozenset({"30"})))
    np.testing.assert_array_equal(found.loads.in_service, [True, True, False, False])
    assert found.storages.in_service.tolist() == [False]


def test_digests_are_of_the_elements() -> None:
    one = Topology(branches=frozenset({"a", "b"}))
    assert one.digest == Topology(branches=frozenset({"b", "a"})).digest
    others = [
        Topology(),
        Topology(branches=frozenset({"a"})),
        Topology(generators=frozenset({"a", "b"})),
        Topology(closed_branches=frozenset({"a", "b"})),
    ]
    assert len({each.digest for each in [one, *others]}) == 5


def test_statuses_come_back_from_their_document() -> None:
    statuses = after([(0, "L1", False), (1, "T1", False)], [(2, "L1", False)])
    back = statuses_from_document(statuses_to_document(statuses))
    assert (back.case_name, back.elements) == (statuses.case_name, statuses.elements)
