"""Facts of a batch as columns beside its rows, so that one suite can check rows and batch alike.

What an expectation cannot say of a column (time order within an element, a gap, an interval that
is not there) is computed here by small pure functions; the suite then sets its limits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from data_engineering.model.columns import Table
from data_engineering.model.time import Window

BAD = 2
"""Code of a bad reading in measurement_quality."""
FACTS = (
    "fact_type_faults",
    "fact_unknown_element",
    "fact_repeats_key",
    "fact_outside_window",
    "fact_known_too_early",
    "fact_share_of_capability",
    "fact_good",
    "fact_out_of_order",
    "fact_missing_share",
    "fact_longest_gap_minutes",
)
OUTPUT = {"power_measurements": "active_power", "generator_measurements": "active_power_mw"}
"""Tables of generator output, and the column that holds it."""


@dataclass(frozen=True)
class References:
    """What a batch is held against.

    Attributes:
        window: the time it should cover.
        interval_minutes: distance of its rows in time.
        elements: names of the elements it should hold, as `element_names` gives them; empty: those
            that are there.
        capability_mw: greatest output of each unit; a unit without one is not checked.
    """

    window: Window
    interval_minutes: int
    elements: frozenset[str] = frozenset()
    capability_mw: Mapping[str, float] = field(default_factory=dict)


def element_columns(table: Table) -> tuple[str, ...]:
    """The columns that name an element: the key without case and times."""
    return tuple(
        name
        for name in table.key
        if name != "case_name" and table.column(name).dtype != "timestamp"
    )


def element_names(table: Table, frame: pd.DataFrame) -> pd.Series:
    """The element of each row: its columns joined by `/`; null if one of them is."""
    first, *others = element_columns(table)
    names: pd.Series = frame[first]
    for name in others:
        names = names + "/" + frame[name]
    return names


def with_facts(table: Table, frame: pd.DataFrame, references: References) -> pd.DataFrame:
    """The frame with a column for each fact; facts of the whole batch repeat in every row.

    Facts of a row are 0 (no) or 1 (yes). A fact that does not apply is null.

    Args:
        table: a table in time.
        frame: columns and types as declared, at least one row.
        references: what the batch is held against.
    """
    time = frame[str(table.time)]
    names = element_names(table, frame)
    inside = _inside(time, references.window)
    facts = pd.DataFrame(np.nan, index=frame.index, columns=list(FACTS))
    facts["fact_type_faults"] = 0.0
    if references.elements:
        unknown = names.notna() & ~names.isin(list(references.elements))
        facts["fact_unknown_element"] = unknown.astype(float)
    # Of rows with one key the last stands, as in the database.
    facts["fact_repeats_key"] = frame.duplicated(list(table.key), keep="last").astype(float)
    facts["fact_outside_window"] = (~inside & time.notna()).astype(float)
    facts["fact_known_too_early"] = known_too_early(frame)
    if table.name in OUTPUT:
        capability = frame["generator_id"].map(references.capability_mw).astype(float)
        facts["fact_share_of_capability"] = frame[OUTPUT[table.name]].abs() / capability
    if "measurement_quality" in frame:
        facts["fact_good"] = (frame["measurement_quality"] != BAD).astype(float)
    facts["fact_out_of_order"] = (time < time.groupby(names).shift()).astype(float)
    facts["fact_missing_share"] = missing_share(time[inside], names[inside], references)
    facts["fact_longest_gap_minutes"] = longest_gap_minutes(time[inside], names[inside], references)
    return pd.concat([frame, facts], axis=1)


def known_too_early(frame: pd.DataFrame) -> pd.Series | float:
    """1 where a reading was known before it happened, or a forecast before it was issued.

    What a market publishes is known ahead of its time: null.
    """
    if "market" in frame:
        return np.nan
    happened = frame["forecast_time" if "forecast_time" in frame else "time"]
    return (frame["available_at"] < happened).astype(float)


def missing_share(time: pd.Series, names: pd.Series, references: References) -> float:
    """Share of (interval, element) pairs that the batch should have and has not.

    Args:
        time: start of each row's interval, all in the window.
        names: element of each row.
        references: window, interval and elements.
    """
    window = references.window
    step = pd.Timedelta(minutes=references.interval_minutes)
    times = pd.date_range(window.start, window.end, freq=step, inclusive="left")
    elements = references.elements or frozenset(names.dropna())
    if not elements:
        return 1.0
    wanted = time.isin(times) & names.isin(list(elements))
    present = len(pd.DataFrame({"time": time[wanted], "name": names[wanted]}).drop_duplicates())
    return 1.0 - present / (len(times) * len(elements))


def longest_gap_minutes(time: pd.Series, names: pd.Series, references: References) -> float:
    """Longest stretch of the window without a row of an element that should have one, in minutes.

    Arguments as in `missing_share`.
    """
    start, end = pd.Timestamp(references.window.start), pd.Timestamp(references.window.end)
    elements = references.elements or frozenset(names.dropna())
    known = names.isin(list(elements))
    rows = pd.DataFrame({"name": names[known], "start": time[known]})
    if not elements or len(elements - set(rows["name"])):
        return (end - start).total_seconds() / 60.0
    rows = rows.sort_values(["name", "start"])
    rows["end"] = rows["start"] + pd.Timedelta(minutes=references.interval_minutes)
    covered_until = rows.groupby("name")["end"].shift().fillna(start)
    gap = max(
        (rows["start"] - covered_until).max(), (end - rows.groupby("name")["end"].max()).max()
    )
    return max(float(gap.total_seconds()) / 60.0, 0.0)


def _inside(time: pd.Series, window: Window) -> pd.Series:
    return (time >= pd.Timestamp(window.start)) & (time < pd.Timestamp(window.end))
