"""Facts of a batch as columns beside its rows, so that one suite can check rows and batch alike."""

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
    "fact_capability_mw",
    "fact_good",
    "fact_repeats_key",
    "fact_known_too_early",
    "fact_out_of_order",
    "fact_missing_share",
    "fact_longest_gap_minutes",
)


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


def element_names(table: Table, frame: pd.DataFrame) -> pd.Series:
    """The element of each row: its key without case and times, joined by `/`."""
    columns = [
        name
        for name in table.key
        if name != "case_name" and table.column(name).dtype != "timestamp"
    ]
    names: pd.Series = frame[columns[0]].astype(str)
    for name in columns[1:]:
        names = names + "/" + frame[name].astype(str)
    return names


def with_facts(table: Table, frame: pd.DataFrame, references: References) -> pd.DataFrame:
    """The frame with a column for each fact; facts of the whole batch repeat in every row.

    A fact that does not apply to the table is null.
    """
    time = frame[table.time]
    names = element_names(table, frame)
    facts = pd.DataFrame(np.nan, index=frame.index, columns=list(FACTS))
    if "generator_id" in frame and references.capability_mw:
        facts["fact_capability_mw"] = frame["generator_id"].map(references.capability_mw)
    if "measurement_quality" in frame:
        facts["fact_good"] = (frame["measurement_quality"] != BAD).astype(float)
    # Of rows with one key the last stands, as in the database.
    facts["fact_repeats_key"] = frame.duplicated(list(table.key), keep="last").astype(float)
    if {"available_at", "time"} <= set(frame.columns):
        early = (frame["available_at"] < frame["time"]) & (table.name != "reserve_requirements")
        facts["fact_known_too_early"] = early.astype(float)
    before = time.groupby(names).shift()
    facts["fact_out_of_order"] = (time < before).astype(float)
    facts["fact_missing_share"] = missing_share(time, names, references)
    facts["fact_longest_gap_minutes"] = longest_gap_minutes(time, names, references)
    return pd.concat([frame, facts], axis=1)


def expected_times(references: References) -> pd.DatetimeIndex:
    """The start of every interval of the window."""
    window = references.window
    step = pd.Timedelta(minutes=references.interval_minutes)
    return pd.date_range(window.start, window.end, freq=step, inclusive="left")


def missing_share(time: pd.Series, names: pd.Series, references: References) -> float:
    """Share of (interval, element) pairs that the batch should have and has not."""
    times = expected_times(references)
    elements = references.elements or frozenset(names)
    if not elements:
        return 1.0
    wanted = time.isin(times) & names.isin(elements)
    present = len(pd.DataFrame({"time": time[wanted], "name": names[wanted]}).drop_duplicates())
    return 1.0 - present / (len(times) * len(elements))


def longest_gap_minutes(time: pd.Series, names: pd.Series, references: References) -> float:
    """Longest stretch without a row of an element that should have one, in minutes."""
    window = references.window
    whole = (window.end - window.start).total_seconds() / 60.0
    if (references.elements - frozenset(names)) or time.empty:
        return whole
    interval = pd.Timedelta(minutes=references.interval_minutes)
    ends = time + interval
    rows = pd.DataFrame({"name": names, "start": time, "end": ends}).sort_values(["name", "start"])
    before = rows.groupby("name")["end"].shift().fillna(pd.Timestamp(window.start))
    gaps = (rows["start"] - before).dt.total_seconds() / 60.0
    last = rows.groupby("name")["end"].max()
    tail = (pd.Timestamp(window.end) - last).dt.total_seconds() / 60.0
    return float(max(gaps.max(), tail.max(), 0.0))
