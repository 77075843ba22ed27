"""Requests to exchange bundles and back, to the last bit."""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields, replace
from datetime import UTC, date, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_engineering.model.errors import BadInput
from data_engineering.model.problem import (
    Commitment,
    Decomposition,
    Options,
    Outage,
    Penalties,
    Periods,
    SolveRequest,
)
from data_engineering.transformation.exchange_bundle import bundle_files
from data_engineering.transformation.exchange_request import request_from_files
from data_engineering.transformation.horizon import periods_from_grid
from data_engineering.transformation.matpower import grid_from_matpower
from tests.rts_day import rts_grid, rts_periods
from tests.solve_cases import pglib
from tests.unit.transformation.equal_grids import assert_same_grid, with_any_values
from tests.unit.transformation.small_grids import three_buses

START = datetime(2020, 7, 6, tzinfo=UTC)


def bundle(request: SolveRequest) -> dict[str, str]:
    thermal = ~np.isin(request.grid.generators.kind, ("WIND", "PV", "RTPV", "HYDRO", "CSP"))
    return bundle_files(request, thermal, 10.0)


def encoded(files: dict[str, str]) -> dict[str, bytes]:
    return {name: text.encode() for name, text in files.items()}


def there_and_back(request: SolveRequest) -> SolveRequest:
    return request_from_files(encoded(bundle(request)))


def assert_same_arrays(ours, theirs) -> None:
    for field in fields(ours):
        a, b = getattr(ours, field.name), getattr(theirs, field.name)
        if isinstance(a, np.ndarray):
            assert a.dtype.kind == b.dtype.kind, field.name
            assert np.array_equal(a, b, equal_nan=a.dtype.kind == "f"), field.name
        else:
            assert a == b, field.name


def assert_same_request(ours: SolveRequest, theirs: SolveRequest) -> None:
    assert_same_grid(theirs.grid, ours.grid)
    end = ours.periods.energy_end_mwh
    said = ours.grid.storages.energy_initial_mwh if end is None else end
    assert_same_arrays(replace(ours.periods, energy_end_mwh=said), theirs.periods)
    assert (ours.kind, ours.outages, ours.options) == (theirs.kind, theirs.outages, theirs.options)
    if ours.commitment is None:
        assert theirs.commitment is None
    else:
        assert theirs.commitment is not None
        assert_same_arrays(ours.commitment, theirs.commitment)


def all_on(grid, factors=(1.0,), **options) -> SolveRequest:
    periods = periods_from_grid(grid, np.array(factors), start=START)
    return SolveRequest("lascopf", grid, periods, (), Options("app", "on", **options))


def three_bus_day() -> SolveRequest:
    """Everything that the format knows: states, starts, reserve, inflow, outages of each form."""
    grid, count = three_buses(), 3
    units, stores = len(grid.generators), len(grid.storages)
    random = np.random.default_rng(1)
    periods = Periods(
        start=START,
        minutes=15,
        load_mw=random.random((count, len(grid.loads))) * 50.0,
        available_mw=random.random((count, units)) * 40.0,
        must_take=np.arange(units) == 2,
        inflow_mw=random.random((count, stores)),
        reserve_up_mw=np.array([1.0, 2.0, 3.0]),
        reserve_down_mw=np.array([0.1, 0.2, 0.30000000000000004]),
        reported=2,
        before_mw=np.array([55.0, np.nan, 20.0, np.nan]),
        energy_end_mwh=np.full(stores, 7.5),
    )
    commitment = Commitment(
        on=random.random((count, units)) < 0.5,
        discharging=random.random((count, stores)) < 0.5,
        start_cost_usd=random.random((count, units)) * 100.0,
        store_start_cost_usd=random.random((count, stores)),
    )
    outages = (
        Outage("one", ("L1",)),
        Outage("two, quoted", ("L1", "T1")),
        Outage('a "unit"', (), ("2_CT_1",)),
        Outage("both", ("T1",), ("1_STEAM_1", "2_CT_1")),
    )
    options = Options(
        method="joint",
        commitment="given",
        tolerance=1e-7,
        time_limit_seconds=12.5,
        penalties=Penalties(1.0, 2.0, 3.0, 4.0, 5.0),
        decomposition=Decomposition(1.0, 2.0, 3.0, 1e-5, 77),
    )
    return SolveRequest("lascopf", grid, periods, outages, options, commitment)


def test_everything_that_a_request_says_comes_back():
    assert_same_request(three_bus_day(), there_and_back(three_bus_day()))


@pytest.mark.parametrize("name", ["case14_ieee", "case24_ieee_rts", "case118_ieee"])
def test_published_cases(name):
    request = replace(all_on(pglib(name), (0.7, 1.0)), kind="scopf")
    assert_same_request(request, there_and_back(request))


def test_a_day_of_rts_gmlc():
    grid, periods = rts_grid(), rts_periods(date(2020, 7, 6), 24, 6)
    random = np.random.default_rng(2)
    shape, stores = (30, len(grid.generators)), (30, len(grid.storages))
    commitment = Commitment(
        random.random(shape) < 0.5, random.random(stores) < 0.5, np.ones(shape), np.ones(stores)
    )
    outages = tuple(Outage(name, (name,)) for name in grid.branches.id.tolist())
    request = SolveRequest("lascopf", grid, periods, outages, Options("app", "given"), commitment)
    assert_same_request(request, there_and_back(request))


@settings(deadline=None, max_examples=60)
@given(with_any_values(three_buses()), st.lists(st.floats(0.0, 1e9), min_size=1, max_size=3))
def test_any_values(grid, factors):
    """What has no place in the format is refused; all else comes back to the last bit."""
    request = all_on(grid)
    load = np.outer(factors, np.ones(len(grid.loads)))
    available = np.outer(factors, np.ones(len(grid.generators)))
    periods = replace(
        request.periods,
        load_mw=load,
        available_mw=available,
        inflow_mw=np.zeros((len(factors), len(grid.storages))),
        reserve_up_mw=np.array(factors),
        reserve_down_mw=np.zeros(len(factors)),
        reported=1,
    )
    request = replace(request, periods=periods)
    try:
        files = bundle(request)
    except BadInput as error:
        assert "finite" in str(error)  # noqa: PT017 - both outcomes are right
        return
    assert_same_request(request, request_from_files(encoded(files)))


def test_equal_requests_have_one_id_and_other_requests_another():
    ours, again = bundle(three_bus_day()), bundle(three_bus_day())
    assert ours == again
    request = three_bus_day()
    other = replace(request, periods=replace(request.periods, load_mw=request.periods.load_mw + 1))
    ids = [json.loads(files["manifest.json"])["request_id"] for files in (ours, bundle(other))]
    assert ids[0] != ids[1]


def test_the_id_is_the_digest_that_the_format_names():
    files = bundle(three_bus_day())
    manifest = json.loads(files["manifest.json"])
    lines = ""
    for name in sorted(files):
        if name != "manifest.json":
            digest = hashlib.sha256(files[name].encode()).hexdigest()
            assert manifest["files"][name] == {
                "sha256": digest,
                "bytes": len(files[name].encode()),
            }
            lines += f"{name} {digest}\n"
    assert manifest["request_id"] == hashlib.sha256(lines.encode()).hexdigest()[:32]


def test_tables_say_what_the_format_names():
    files = bundle(three_bus_day())
    lines = files["gen.csv"].splitlines()
    row = dict(zip(lines[0].split(","), lines[1].split(","), strict=True))
    wanted = {"GEN UID": "1_STEAM_1", "Bus ID": "1", "Thermal": "1", "Before MW": "55.0"}
    assert {name: row[name] for name in wanted} == wanted
    assert files["contingencies.csv"].splitlines()[1:] == [
        "one,L1,",
        '"two, quoted",L1;T1,',
        '"a ""unit""",,2_CT_1',
        "both,T1,1_STEAM_1;2_CT_1",
    ]
    branch = files["branch.csv"].splitlines()
    # The rating C of the last branch is none; it is out of service.
    assert branch[3].split(",")[8] == "NA"
    assert branch[3].endswith(",0")
    assert files["series/reserve.csv"].splitlines()[3] == "3,3.0,0.30000000000000004"


def test_matpower_reads_the_grid_of_the_bundle():
    text = bundle(three_bus_day())["matpower/case.m"]
    assert_same_grid(grid_from_matpower(text, "three_buses"), three_buses())


def test_what_powersystems_cannot_hold_is_noted():
    notes = json.loads(bundle(three_bus_day())["manifest.json"])["notes"]
    assert "powersystems/ has no branches out of service: L2" in notes
    grid = three_buses()
    shifted = replace(grid, branches=replace(grid.branches, shift_deg=np.array([3.0, 0, 0])))
    files = bundle(all_on(shifted))
    assert not any(name.startswith("powersystems/") for name in files)
    (note,) = json.loads(files["manifest.json"])["notes"]
    assert "L1" in note
    assert "phase shifters" in note


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("bus.csv", "138.0", "x", "bus.csv row 1, column BaseKV: 'x' is not usable"),
        ("bus.csv", "BaseKV", "Base", "add the column BaseKV"),
        ("branch.csv", "L1,1,2", "L1,1,9", "branch.csv row 1, column To Bus: '9'"),
        ("gen.csv", "40.0", "NA", "column PMin MW: 'NA' is not usable; give a finite number"),
        ("gen.csv", "CT", "CT,CT", "gen.csv row 2"),
        ("contingencies.csv", "L1;T1", "L1;T9", "contingencies.csv two, quoted: 'T9'"),
        ("series/load.csv", "\n2,", "\n4,", "series/load.csv Interval"),
        ("commitment/on.csv", "\n2,", "\n2,9", "commitment/on.csv row 2, column 1_STEAM_1: '9"),
        ("options.json", "2020-07-06T00:00:00+00:00", "yesterday", "options.json start"),
        ("options.json", '"joint"', '"simplex"', "use one of app, joint"),
        ("options.json", '"alpha": 1.0', '"alfa": 1.0', "alfa"),
        ("options.json", '"load_shed": 1.0', '"load_shed": "1"', "options.json load_shed: '1'"),
        ("options.json", '"intervals": 3', '"intervals": true', "options.json intervals: True"),
        ("load.csv", "UID", '"UID', "write it as CSV"),
    ],
)
def test_a_wrong_value_is_named(name, old, new, said):
    files = bundle(three_bus_day())
    assert old in files[name]
    files[name] = files[name].replace(old, new, 1)
    with pytest.raises(BadInput) as error:
        request_from_files(encoded(signed(files)))
    assert said in str(error.value)


def signed(files: dict[str, str]) -> dict[str, str]:
    """The same files with a manifest that is true of them."""
    digests = {
        name: hashlib.sha256(text.encode()).hexdigest()
        for name, text in files.items()
        if name != "manifest.json"
    }
    manifest = json.loads(files["manifest.json"])
    manifest["files"] = {name: {"sha256": digest} for name, digest in digests.items()}
    lines = "".join(f"{name} {digests[name]}\n" for name in sorted(digests))
    manifest["request_id"] = hashlib.sha256(lines.encode()).hexdigest()[:32]
    return {**files, "manifest.json": json.dumps(manifest)}


def test_a_changed_or_missing_file_is_found():
    files = encoded(bundle(three_bus_day()))
    with pytest.raises(BadInput, match=r"gen\.csv sha256"):
        request_from_files({**files, "gen.csv": files["gen.csv"] + b" "})
    with pytest.raises(BadInput, match=r"'load\.csv'"):
        request_from_files({name: data for name, data in files.items() if name != "load.csv"})
    manifest = json.loads(files["manifest.json"])
    manifest["request_id"] = "0" * 32
    with pytest.raises(BadInput, match="request_id"):
        request_from_files({**files, "manifest.json": json.dumps(manifest).encode()})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"kind": "opf"}, "use one of lascopf, scopf, dcopf"),
        ({"options": Options("extensive", "given")}, "use one of app, joint"),
        ({"commitment": None, "options": Options("app", "uc")}, "give the request a commitment"),
        ({"outages": (Outage("x", ("a;b",)),)}, "give an id without ;"),
    ],
)
def test_what_has_no_place_in_the_format_is_refused(change, said):
    with pytest.raises(BadInput, match=said):
        bundle(replace(three_bus_day(), **change))


def test_ids_that_are_no_numbers_are_numbered():
    grid = three_buses()
    named = replace(grid, buses=replace(grid.buses, id=np.array(["north", "2", "coast"])))
    files = bundle(all_on(named))
    assert [line.split(",")[:2] for line in files["bus.csv"].splitlines()[1:]] == [
        ["1", "north"],
        ["2", "2"],
        ["3", "coast"],
    ]
    assert_same_request(all_on(named), request_from_files(encoded(files)))
