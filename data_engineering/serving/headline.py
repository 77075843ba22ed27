"""The head of the report: what was solved, its key figures, and what needs attention."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pandas as pd

from data_engineering.serving import summary
from data_engineering.serving.blocks import shown_value
from data_engineering.serving.facts import Facts

NEGLIGIBLE = 1e-3
"""MW below which a slack is the solver's rounding."""


@dataclass(frozen=True)
class KeyFigure:
    """One number at the top of the page."""

    label: str
    value: str
    unit: str = ""


@dataclass(frozen=True)
class Finding:
    """One sentence on what is right or wrong; the mark says it without colour."""

    level: Literal["good", "warn", "bad"]
    text: str

    @property
    def mark(self) -> str:
        """The level as a word."""
        return {"good": "Good", "warn": "Attention", "bad": "Problem"}[self.level]


def execution_facts(facts: Facts) -> list[tuple[str, str]]:
    """What was solved, how, and by what; label and value."""
    row = facts.execution
    minutes, count = facts.minutes, int(row["interval_count"])
    pairs = [
        ("Case", row["case_name"]),
        ("Horizon starts (UTC)", pd.Timestamp(row["horizon_start"])),
        ("Intervals", f"{count} of {minutes} min"),
        ("Kind", row.get("kind")),
        ("Method", row.get("method")),
        ("Commitment", row.get("commitment")),
        ("Outages considered", row.get("outage_count")),
        ("Solver", f"{row.get('solver')} {row.get('solver_version')}"),
        ("Status", row.get("convergence_status")),
        ("Objective, USD", _number(row.get("objective_value"), ",.2f")),
        ("Solve time, s", _number(row.get("solve_time_seconds"), ",.2f")),
        ("Solved at (UTC)", row.get("execution_time")),
        ("Triggered by", row.get("triggered_by")),
        ("Airflow run", row.get("airflow_run_id")),
        ("Execution", row.get("execution_id")),
        ("Grid version", row.get("topology_version") or row.get("topology_id")),
        ("Grid digest", row.get("topology_digest")),
        ("Parquet", row.get("results_path")),
    ]
    return [(label, shown_value(value)) for label, value in pairs]


def _number(value: float | None, form: str) -> str:
    return shown_value(None if value is None else float(value), form)


def key_figures(facts: Facts) -> list[KeyFigure]:
    """The few numbers that a reader wants first."""
    intervals, hours = facts.intervals, facts.hours
    figures = [
        KeyFigure("Status", shown_value(facts.execution.get("convergence_status"))),
        KeyFigure("Cost", _number(facts.execution.get("objective_value"), ",.0f"), "USD"),
    ]
    if len(intervals):
        load = float(intervals["load_mw"].sum()) * hours
        lost = float(intervals["curtailed_mw"].sum()) * hours
        figures += [
            KeyFigure("Load", _number(load, ",.0f"), "MWh"),
            KeyFigure("Peak load", _number(intervals["load_mw"].max(), ",.0f"), "MW"),
            KeyFigure("Curtailed", _number(lost, ",.0f"), "MWh"),
        ]
    prices = summary.price_range(facts.tables)
    if len(prices):
        low, high = prices["min USD/MWh"].min(), prices["max USD/MWh"].max()
        figures += [
            KeyFigure("Mean price", _number(prices["mean USD/MWh"].mean(), ",.2f"), "USD/MWh"),
            KeyFigure("Prices", f"{_number(low, ',.2f')} to {_number(high, ',.2f')}", "USD/MWh"),
        ]
    if len(facts.flows):
        bound = facts.flows.loc[facts.flows["binding"].astype(bool), "branch_id"].nunique()
        figures.append(KeyFigure("Branches at a limit", f"{bound:,d}"))
    return figures


def findings(facts: Facts) -> list[Finding]:
    """What a reader must know before trusting the numbers, problems first."""
    found = [*_solution(facts), *_slacks(facts), *_alternating_current(facts), *_data(facts)]
    order = {"bad": 0, "warn": 1, "good": 2}
    return sorted(found, key=lambda finding: order[finding.level])


def _solution(facts: Facts) -> list[Finding]:
    status = facts.execution.get("convergence_status")
    if status == "optimal":
        return [Finding("good", "The solver proved its answer optimal.")]
    if status == "feasible":
        return [Finding("warn", "The answer is feasible; that it is the best was not proven.")]
    return [Finding("bad", f"The solve ended {status}: there is no answer to rely on.")]


def _slacks(facts: Facts) -> list[Finding]:
    rows, hours = facts.intervals, facts.hours
    if rows.empty:
        return []
    intact = facts.flows["contingency_id"] == "base"
    overload = facts.flows[intact].groupby("time_interval")["violation_mw"].sum()
    sums = {
        "load is not served": rows["load_shed_mw"],
        "power is spilled": rows["over_generation_mw"],
        "reserve is missing": rows["reserve_shortfall_mw"],
        "flows exceed ratings": overload,
    }
    found = [
        Finding("bad", f"{values.sum() * hours:,.1f} MWh: {what}, in {int(used.sum())} intervals.")
        for what, values in sums.items()
        if (used := values > NEGLIGIBLE).any()
    ]
    residual = float(rows["balance_residual_mw"].abs().max())
    text = f"The greatest imbalance of a bus is {residual:.1e} MW."
    balance = Finding("good" if residual < NEGLIGIBLE else "bad", text)
    after = _after_outages(facts)
    if found:
        return [*found, *after, balance]
    nothing = "All load is served, all reserve is held, no rating is exceeded in the optimisation."
    return [Finding("good", nothing), *after, balance]


def _after_outages(facts: Facts) -> list[Finding]:
    """Whether the dispatch is secure against the outages that it considered."""
    count = facts.execution.get("outage_count")
    if not count:
        return []
    rows = facts.flows[
        (facts.flows["contingency_id"] != "base") & (facts.flows["violation_mw"] > NEGLIGIBLE)
    ]
    if rows.empty:
        return [Finding("good", f"No flow exceeds its rating after any of {count} outages.")]
    worst = rows.sort_values("violation_mw").iloc[-1]
    text = (
        f"After {rows['contingency_id'].nunique()} of {count} outages flows would exceed ratings, "
    )
    text += f"by up to {worst['violation_mw']:,.1f} MW (branch {worst['branch_id']} after the loss "
    text += f"of {worst['contingency_id']}); no dispatch avoids it at a lower cost."
    return [Finding("warn", text)]


def _alternating_current(facts: Facts) -> list[Finding]:
    rows = facts.intervals[facts.intervals["ac_converged"].notna()]
    if rows.empty:
        return [Finding("warn", "The dispatch was not verified by an AC power flow.")]
    solved = int(rows["ac_converged"].astype(bool).sum())
    found = [
        Finding(
            "good" if solved == len(rows) else "bad",
            f"The AC power flow has a solution in {solved} of {len(rows)} intervals.",
        )
    ]
    loading = rows["ac_max_loading_percent"].max()
    if loading > 100.0:
        count = int((rows["ac_max_loading_percent"] > 100.0).sum())
        text = f"With AC flows a branch is loaded to {loading:,.1f} %; "
        text += f"branches are above 100 % in {count} intervals."
        found.append(Finding("warn", text))
    outside = voltages_outside(facts)
    checked = rows["outages_checked"].dropna()
    if len(checked):
        lost = int(rows["outages_not_converged"].fillna(0).sum())
        broken = int(rows["outage_violations"].fillna(0).sum())
        text = (
            f"AC power flows after {int(checked.sum()):,d} outages: {broken:,d} flows and voltages "
        )
        text += f"out of limits, {lost:,d} without a solution."
        found.append(Finding("warn" if broken or lost else "good", text))
    if outside:
        text = f"Voltages are outside their limits at {outside} buses in the AC power flow."
        found.append(Finding("warn", text))
    return found


def voltages_outside(facts: Facts) -> int:
    """Buses whose AC voltage leaves the limits of the grid's document in some interval."""
    limits = pd.DataFrame(
        [
            (bus["id"], bus["vm_min_pu"], bus["vm_max_pu"])
            for bus in facts.topology.get("buses", ())
        ],
        columns=["bus_id", "low", "high"],
    )
    intact = facts.buses[facts.buses["contingency_id"] == "base"]
    rows = intact.merge(limits, on="bus_id")
    voltage, slack = rows["voltage_magnitude"], 1e-6
    outside = (voltage < rows["low"] - slack) | (voltage > rows["high"] + slack)
    return int(rows.loc[outside, "bus_id"].nunique())


def _data(facts: Facts) -> list[Finding]:
    rows = summary.data_quality(facts.quality, facts.rejected)
    if rows.empty:
        return [Finding("warn", "No data check of the day is recorded.")]
    failed, refused = int(rows["failed"].sum()), int(rows["rejected rows"].sum())
    skipped, checks = int(rows["not evaluated"].sum()), int(rows["checks"].sum())
    text = f"{int(rows['passed'].sum())} of {checks} data checks passed, {failed} failed"
    text += f", {skipped} had nothing to evaluate; {refused} rows were rejected."
    level: Literal["good", "warn", "bad"] = "bad" if failed else "warn" if refused else "good"
    return [Finding(level, text)]
