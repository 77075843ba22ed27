"""Answers of the exchange, written from embedded solves: equal tables, and lies refused."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd
import pytest
from exchange_results import changed, result_files
from exchange_results import solved as solve_embedded
from solve_cases import pglib, request

from data_engineering.model.errors import AnswerRefused, BadInput
from data_engineering.model.problem import Options, SolveRequest, SolveResult
from data_engineering.orchestration.exchange_client import request_files
from data_engineering.solvers.commitment import commit, fixed
from data_engineering.solvers.julia import julia_method, result_of_answer
from data_engineering.solvers.lascopf import solve_lascopf
from data_engineering.solvers.outage_factors import outages_of
from data_engineering.transformation.exchange_answer import answer_from_files, facts_from_files
from tests.rts_day import rts_grid, rts_periods

EQUAL = {"rtol": 1e-9, "atol": 1e-7}
"""The same numbers, written with all their digits; angles go through degrees."""
SAME = ("generator_dispatch", "bus_results", "branch_flow_results", "interval_results")


@pytest.fixture(scope="module")
def rts_day() -> SolveRequest:
    """Six hours and two of look-ahead: stores, reserves, a DC line, starts, 120 outages."""
    periods = rts_periods(date(2020, 7, 6), 6, 2)
    grid = rts_grid()
    asked = SolveRequest("lascopf", grid, periods, outages_of(grid), Options("app", "uc", 0.02))
    return replace(asked, commitment=fixed(asked, commit(asked)))


@pytest.fixture(scope="module")
def tight_day() -> SolveRequest:
    """Four hours of case24 whose limits bind after outages, intact, and are broken."""
    grid = pglib("case24_ieee_rts")
    branches = grid.branches
    squeezed = replace(
        branches, rate_a_mva=branches.rate_a_mva * 0.45, rate_b_mva=branches.rate_a_mva * 0.6
    )
    grid = replace(grid, branches=squeezed)
    factors = (0.8, 0.95, 1.0, 0.9)
    return request(grid, "lascopf", factors, outages_of(grid), method="app")


_SOLVED: dict[str, SolveResult] = {}


def solved(asked: SolveRequest) -> SolveResult:
    """The embedded answer, found once for each grid."""
    name = asked.grid.case_name
    if name not in _SOLVED:
        _SOLVED[name] = solve_embedded(asked)
    return _SOLVED[name]


def read(asked: SolveRequest, files: dict[str, bytes]) -> SolveResult:
    manifest = request_files(asked)["manifest.json"].encode()
    request_id = json.loads(manifest)["request_id"]
    facts = facts_from_files(files, request_id, hashlib.sha256(manifest).hexdigest())
    return result_of_answer(asked, facts, answer_from_files(files, asked, request_id))


@pytest.mark.parametrize("name", ["rts_day", "tight_day"])
def test_an_embedded_answer_that_goes_through_the_exchange_gives_equal_tables(name, request):
    asked = request.getfixturevalue(name)
    whole = solved(asked)
    direct = solve_lascopf(replace(asked, options=replace(asked.options, method="default")))
    through = read(asked, result_files(asked, whole))
    assert through.status == "optimal"
    assert through.objective == pytest.approx(direct.objective, rel=1e-9)
    assert (through.solver, through.version, through.iterations) == ("embedded", "1", 3)
    assert through.residuals["disagreement_pu"] == 1e-5
    reported = asked.periods.reported
    for table in SAME:
        theirs = whole.tables[table]
        theirs = theirs[theirs["time_interval"] <= reported].reset_index(drop=True)
        pd.testing.assert_frame_equal(
            through.tables[table], theirs, check_dtype=False, **EQUAL, obj=table
        )
    history = through.tables["convergence_history"]
    assert history["objective_value"].iloc[-1] == pytest.approx(whole.objective, rel=1e-9)


def test_the_tight_day_binds_in_all_ways(tight_day):
    """Else the test above would compare nothing."""
    flows = solved(tight_day).tables["branch_flow_results"]
    intact = flows["contingency_id"] == "base"
    assert (flows[intact]["shadow_price"] > 1.0).any()
    assert (flows[intact]["violation_mw"] > 1.0).any()
    assert (flows[~intact]["violation_mw"] > 1.0).any()
    assert (flows[~intact]["violation_mw"] == 0.0).any()


@pytest.mark.parametrize("name", ["rts_day", "tight_day"])
def test_causes_of_prices_are_those_of_the_embedded_method_and_sum_to_congestion(name, request):
    asked = request.getfixturevalue(name)
    whole = solved(asked)
    through = read(asked, result_files(asked, whole)).tables
    keys = ["time_interval", "bus_id", "branch_id", "contingency_id"]
    ours = through["price_causes"].groupby(keys)["lmp_part"].sum()
    theirs = whole.tables["price_causes"]
    theirs = theirs[theirs["time_interval"] <= asked.periods.reported]
    theirs = theirs.groupby(keys)["lmp_part"].sum()
    assert len(ours) > 0
    # Shadow prices below 1e-6 are not written; parts below 0.005 USD/MWh are not listed.
    both = pd.concat([ours, theirs], axis=1).fillna(0.0).to_numpy()
    assert np.abs(both[:, 0] - both[:, 1]).max() < 0.006
    prices = through["bus_results"].set_index(["time_interval", "bus_id"])["lmp_congestion"]
    parts = through["price_causes"].groupby(["time_interval", "bus_id"])["lmp_part"].sum()
    missing = prices - parts.reindex(prices.index, fill_value=0.0)
    causes = whole.tables["price_causes"].groupby(["time_interval", "bus_id"]).size().max()
    assert missing.abs().max() < 0.005 * (causes + 4)


LIES = [
    ("generators.csv", "MW", 40, 1.0, "balance of a bus"),
    ("generators.csv", "Reserve Up MW", 3, 500.0, "upward reserve above"),
    ("stores.csv", "Energy MWh", 3, 1e4, "energy"),
    ("stores.csv", "Charge MW", 1, -3.0, "charge or discharge below zero"),
    ("buses.csv", "Shed MW", 5, 2.0, "balance of a bus"),
    ("branches.csv", "MW", 7, 1e-2, "flow other than its injections drive"),
    ("dc_branches.csv", "MW", 0, 250.0, "DC line beyond its limits"),
    ("system.csv", "Up Short MW", 2, -7.0, "up_short below zero"),
    ("system.csv", "Up Short MW", 7, 9.0, "total"),
]


@pytest.mark.parametrize(("name", "column", "row", "value", "said"), LIES)
def test_a_lie_is_refused_and_named(rts_day, name, column, row, value, said):
    files = changed(result_files(rts_day, solved(rts_day)), name, column, row, value)
    with pytest.raises(AnswerRefused) as error:
        read(rts_day, files)
    assert said in str(error.value)


def test_a_lie_in_the_look_ahead_is_refused(rts_day):
    files = result_files(rts_day, solved(rts_day))
    row = 7 * len(rts_day.grid.generators) + 1
    with pytest.raises(AnswerRefused, match="balance of a bus"):
        read(rts_day, changed(files, "generators.csv", "MW", row, 77.0))


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"objective": 1.0}, r"objective 1\.0000 USD, but its dispatch costs"),
        ({"total": 1.0}, r"total 1\.0000 USD"),
        ({"bound": 1e12}, "bound .* above the cost"),
        ({"request_id": "0" * 32}, "answers another request"),
        ({"manifest_sha256": "0" * 64}, "answers another request"),
        ({"format": "zip"}, "not of lascopf-result"),
        ({"status": "splendid"}, "status is 'splendid'"),
        ({"seconds": None}, "not of the format"),
        ({"left_out": ["A1"]}, "outages left out"),
        ({"files": {}}, "differ in"),
    ],
)
def test_facts_that_are_wrong_are_refused(rts_day, facts, said):
    files = result_files(rts_day, solved(rts_day), **facts)
    with pytest.raises(AnswerRefused, match=said):
        read(rts_day, files)


def test_an_excess_that_is_not_stated_is_refused(tight_day):
    whole = solved(tight_day)
    flows = whole.tables["branch_flow_results"]
    kept = (flows["contingency_id"] == "base") | (flows["violation_mw"] == 0.0)
    silent = replace(whole, tables={**whole.tables, "branch_flow_results": flows[kept]})
    with pytest.raises(AnswerRefused, match="excess after an outage that is not stated"):
        read(tight_day, result_files(tight_day, silent))


def test_a_file_that_was_changed_is_refused(rts_day):
    files = result_files(rts_day, solved(rts_day))
    files["buses.csv"] += b" "
    with pytest.raises(AnswerRefused, match=r"sha256 of buses\.csv"):
        read(rts_day, files)


@pytest.mark.parametrize("broken", ["order", "missing", "word"])
def test_a_table_that_is_not_whole_is_refused(rts_day, broken):
    files = result_files(rts_day, solved(rts_day))
    lines = files["stores.csv"].decode().splitlines()
    if broken == "order":
        lines[1], lines[2] = lines[2], lines[1]
    elif broken == "missing":
        del lines[-1]
    else:
        lines[1] = lines[1].rpartition(",")[0] + ",NaN"
    content = ("\n".join(lines) + "\n").encode()
    document = json.loads(files["result.json"])
    document["files"]["stores.csv"]["sha256"] = hashlib.sha256(content).hexdigest()
    changed_files = {
        **files,
        "stores.csv": content,
        "result.json": json.dumps(document).encode(),
    }
    with pytest.raises(AnswerRefused, match=r"stores\.csv"):
        read(rts_day, changed_files)


def test_infeasible_is_a_status(rts_day):
    nothing = SolveResult("infeasible", np.nan, {}, {}, "x", "", 0.0)
    result = read(rts_day, result_files(rts_day, nothing))
    assert result.status == "infeasible"
    assert result.tables == {}
    assert np.isnan(result.objective)


def test_what_did_not_converge_is_a_status_even_with_tables(rts_day):
    """Its dispatch need not keep any law, so it is no result."""
    files = changed(result_files(rts_day, solved(rts_day)), "generators.csv", "MW", 1, 9.0)
    document = json.loads(files["result.json"]) | {"status": "not_converged"}
    result = read(rts_day, {**files, "result.json": json.dumps(document).encode()})
    assert (result.status, result.tables) == ("not_converged", {})
    assert result.residuals == {"disagreement_pu": 1e-5}


def test_an_answer_far_from_its_bound_is_not_called_optimal(tight_day):
    whole = solved(tight_day)
    far = read(tight_day, result_files(tight_day, whole, bound=whole.objective * 0.99))
    near = read(tight_day, result_files(tight_day, whole, bound=whole.objective * 0.9999))
    assert (far.status, near.status) == ("feasible", "optimal")
    assert near.residuals["relative_gap"] == pytest.approx(1e-4, rel=1e-6)


@pytest.mark.parametrize("tables", [False, True])
def test_the_present_stub_of_powerlascopf_is_recognised(rts_day, tables):
    """An objective at random, residuals of zero, and no dispatch."""
    whole = solved(rts_day)
    files = result_files(rts_day, whole if tables else replace(whole, tables={}))
    if tables:
        for name in ("MW", "Reserve Up MW", "Reserve Down MW"):
            files = _zeros(files, "generators.csv", name)
        files = _zeros(files, "stores.csv", "Discharge MW")
    document = json.loads(files["result.json"])
    document |= {"objective": 51_234.56, "residuals": {"primal": 0.0, "dual": 0.0}}
    with pytest.raises(AnswerRefused, match=r"stub of PowerLASCOPF\.jl"):
        read(rts_day, {**files, "result.json": json.dumps(document).encode()})


def _zeros(files: dict[str, bytes], name: str, column: str) -> dict[str, bytes]:
    for row in range(len(files[name].splitlines()) - 1):
        files = changed(files, name, column, row, 0.0)
    return files


def test_methods():
    assert julia_method("default") == "app"
    assert julia_method("joint") == "joint"
    with pytest.raises(BadInput, match="for solver julia use one of app, joint"):
        julia_method("corrective")
