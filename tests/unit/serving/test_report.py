"""The report: one file, no network, the same bytes, every number also in a table."""

from __future__ import annotations

import base64
import json
import re
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pandas as pd
import pytest
import report_example as example

from data_engineering.serving.blocks import shown_value
from data_engineering.serving.report import build_report


@pytest.fixture(scope="module")
def page() -> str:
    return build_report(
        example.execution(),
        example.tables(),
        example.quality(),
        example.rejected(),
        example.topology(),
    )


class Reader(HTMLParser):
    """Collects ids, links, addresses and open elements; void elements need no end."""

    VOID = ("meta", "br", "img", "link", "input")

    def __init__(self) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self.tags: list[str] = []
        self.open: list[str] = []
        self.loose: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(str(value))
            if name in ("src", "href", "srcset", "action", "data"):
                self.addresses.append(str(value))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.loose.append(tag)


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    return reader


def plots(page: str) -> dict[str, Any]:
    found = re.findall(r'<script type="application/json" data-plot="([^"]+)">(.*?)</script>', page)
    return {name: json.loads(text) for name, text in found}


def values(array: Any) -> np.ndarray:
    """Plotly writes long arrays as base64 of their bytes."""
    if isinstance(array, dict):
        return np.frombuffer(base64.b64decode(array["bdata"]), dtype=array["dtype"])
    return np.array(array, dtype=float)


def test_same_input_gives_the_same_bytes(page: str) -> None:
    again = build_report(
        example.execution(),
        {name: frame.sample(frac=1.0, random_state=1) for name, frame in example.tables().items()},
        example.quality().sample(frac=1.0, random_state=1),
        example.rejected(),
        example.topology(),
    )
    assert again == page, "neither time nor the order of rows may change the page"


def test_page_needs_no_network_and_holds_plotly_once(page: str) -> None:
    addresses = read(page).addresses
    assert addresses
    assert all(address.startswith("#") for address in addresses)
    assert "default-src 'none'" in page
    assert len(re.findall(r"plotly\.js v\d", page)) == 1


def test_markup_is_sound_and_can_be_read_aloud(page: str) -> None:
    reader = read(page)
    assert not reader.loose
    assert not reader.open
    assert len(reader.ids) == len(set(reader.ids))
    assert {address[1:] for address in reader.addresses} <= set(reader.ids)
    assert reader.tags.count("h1") == 1
    assert reader.tags.count("caption") == reader.tags.count("table")
    assert reader.tags.count("figcaption") == reader.tags.count("figure")
    assert '<html lang="en">' in page
    for name in plots(page):
        assert re.search(rf'id="{name}" role="img" aria-label="[^"]+"', page)


def test_all_chapters_have_content(page: str) -> None:
    assert 'class="nothing"' not in page.replace(
        '<p class="nothing">No branch is at its limit in any interval.</p>', ""
    )
    assert set(plots(page)) == {
        f"chart-{name}"
        for name in (
            "dispatch-stack",
            "hourly-cost",
            "reserve",
            "units-on",
            "unit-loading",
            "prices-over-time",
            "prices-by-bus",
            "price-map",
            "branch-loading",
            "storage",
            "curtailment",
            "ac-check",
            "quality-checks",
            "solver-progress",
        )
    }


def test_stack_of_fuels_adds_up_to_generation(page: str) -> None:
    traces = plots(page)["chart-dispatch-stack"]["data"]
    stacked = sum(values(trace["y"]) for trace in traces if trace["type"] == "bar")
    wanted = example.tables()["interval_results"]["generation_mw"].to_numpy()
    # The chart's numbers are rounded to 1e-4 MW, for each of at most 13 fuels.
    assert np.abs(stacked - wanted).max() < 13 * 0.5e-4
    load = next(trace for trace in traces if trace["name"] == "Load")
    assert values(load["y"])[:-1] == pytest.approx(wanted - 1.5)


def test_price_charts_hold_every_bus_and_interval(page: str) -> None:
    made = plots(page)
    cells = made["chart-prices-by-bus"]["data"][0]["z"]
    shape = tuple(int(part) for part in cells["shape"].split(","))
    assert shape == (example.COUNTS["bus"], example.COUNTS["interval"])
    buses = example.tables()["bus_results"]
    # Cells are rounded to 1e-4 USD/MWh.
    assert values(cells).mean() == pytest.approx(buses["lmp_total"].mean(), abs=1e-4)
    markers = made["chart-price-map"]["data"][-1]
    assert len(markers["text"]) == example.COUNTS["bus"]


def test_map_draws_every_branch_once(page: str) -> None:
    lines = [trace for trace in plots(page)["chart-price-map"]["data"] if trace["mode"] == "lines"]
    drawn = sum(len(trace["x"]) // 3 for trace in lines)
    assert drawn == example.COUNTS["branch"] + 1, "all branches and the DC line"


def test_header_tells_what_was_solved_and_by_what(page: str) -> None:
    for text in (
        "rts_gmlc, 2020-07-06",
        "1,234,567.89",
        "highs 1.15.1",
        example.EXECUTION_ID,
        "ab" * 32,
        "b_theta",
        "balance_mw",
    ):
        assert text in page


def test_findings_name_problems_first(page: str) -> None:
    found = re.findall(r'<li class="(bad|warn|good)"><strong>\w+</strong> (.*?)</li>', page)
    assert [level for level, _ in found] == sorted(
        (level for level, _ in found), key=["bad", "warn", "good"].index
    )
    assert found[0] == (
        "bad",
        "25 of 30 data checks passed, 1 failed, 4 had nothing to evaluate; 3 rows were rejected.",
    )
    assert ("good", "The solver proved its answer optimal.") in found


def test_violations_become_problems() -> None:
    tables = example.tables()
    intervals = tables["interval_results"].copy()
    intervals.loc[3, "load_shed_mw"] = 12.5
    intervals.loc[5, "ac_converged"] = False
    buses = tables["bus_results"].copy()
    buses.loc[7, "voltage_magnitude"] = 1.0501
    changed = {**tables, "interval_results": intervals, "bus_results": buses}
    page = build_report(
        {**example.execution(), "convergence_status": "feasible"},
        changed,
        example.quality(),
        example.rejected(),
        example.topology(),
    )
    assert "12.5 MWh: load is not served, in 1 intervals." in page
    assert "The AC power flow has a solution in 23 of 24 intervals." in page
    assert "Voltages are outside their limits at 1 buses in the AC power flow." in page
    assert "that it is the best was not proven" in page


def test_binding_branches_are_listed_with_their_price() -> None:
    tables = example.tables()
    flows = tables["branch_flow_results"].copy()
    row = flows.index[flows["branch_id"] == "A7"][0]
    flows.loc[row, ["binding", "shadow_price", "flow_mw"]] = [True, 12.5, -175.0]
    page = build_report(
        example.execution(),
        {**tables, "branch_flow_results": flows},
        example.quality(),
        example.rejected(),
        example.topology(),
    )
    assert "No branch is at its limit" not in page
    assert re.search(r'<th scope="row">A7</th>.*?12\.50.*?2,188', page, re.DOTALL)
    names = [trace["name"] for trace in plots(page)["chart-price-map"]["data"]]
    assert "At its limit" in names


NOTHING = {
    "generator_dispatch": ["no dispatch", "can be switched", "no storage", "no dispatch"],
    "bus_results": ["has no prices"],
    "branch_flow_results": ["has no flow"],
    "interval_results": ["no interval results", "No AC power flow"],
}


@pytest.mark.parametrize("missing", NOTHING)
def test_chapter_without_data_says_so(missing: str) -> None:
    page = build_report(
        example.execution(),
        {name: frame for name, frame in example.tables().items() if name != missing},
        example.quality(),
        example.rejected(),
        example.topology(),
    )
    said = re.findall(r'<p class="nothing">(.*?)</p>', page)
    said = [text for text in said if not text.startswith("No branch is at its limit")]
    assert len(said) == len(NOTHING[missing])
    for text, words in zip(said, NOTHING[missing], strict=True):
        assert words in text


def test_execution_without_anything_still_has_a_page() -> None:
    execution = {**example.execution(), "metadata": None, "convergence_status": "infeasible"}
    execution |= {"objective_value": None, "topology_digest": None}
    page = build_report(execution, {}, pd.DataFrame(), pd.DataFrame(), None)
    assert page.count('<p class="nothing">') == 10
    assert not plots(page)
    assert "The solve ended infeasible: there is no answer to rely on." in page
    assert not read(page).loose


def test_page_without_coordinates_has_no_map() -> None:
    grid = example.topology()
    grid = {**grid, "buses": [{**bus, "latitude_deg": None} for bus in grid["buses"]]}
    page = build_report(
        example.execution(), example.tables(), example.quality(), example.rejected(), grid
    )
    assert "chart-price-map" not in plots(page)
    assert "has no coordinates, so there is no map" in page


def test_text_from_data_cannot_become_markup() -> None:
    evil = "</script><script>alert(1)</script>"
    tables = example.tables()
    buses = tables["bus_results"].replace({"bus_id": {"101": evil}})
    page = build_report(
        {**example.execution(), "airflow_run_id": evil},
        {**tables, "bus_results": buses},
        example.quality(),
        example.rejected(),
        None,
    )
    assert evil not in page
    assert "load below 0 &lt;MW&gt;" in page
    assert evil in plots(page)["chart-prices-by-bus"]["data"][0]["y"]


@pytest.mark.parametrize(
    ("value", "form", "text"),
    [
        (None, ",.1f", "\N{EN DASH}"),
        (float("nan"), ",.1f", "\N{EN DASH}"),
        (-0.04, ",.1f", "0.0"),
        (1e-14, "+,.1f", "0.0"),
        (-12_345.678, ",.1f", "-12,345.7"),
        (True, "", "yes"),
        (pd.Timestamp("2020-07-06T05:00Z"), "", "2020-07-06 05:00"),
    ],
)
def test_values_are_shown_for_people(value: Any, form: str, text: str) -> None:
    assert shown_value(value, form) == text


def test_one_price_everywhere_is_said_and_names_no_bus() -> None:
    tables = example.tables()
    buses = tables["bus_results"].assign(lmp_total=tables["bus_results"]["lmp_energy"])
    page = build_report(
        example.execution(),
        {**tables, "bus_results": buses},
        example.quality(),
        example.rejected(),
        example.topology(),
    )
    assert "all buses have the same price in every interval" in page
    traces = plots(page)["chart-prices-over-time"]["data"]
    assert [trace["name"] for trace in traces] == ["Highest bus", "Lowest bus", "Mean by load"]
    marker = plots(page)["chart-price-map"]["data"][-1]["marker"]
    assert marker["cmax"] - marker["cmin"] == pytest.approx(0.01), "rounding gets no colours"
