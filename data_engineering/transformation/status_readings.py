"""Scans of a branch's status that its readings tell besides its flows."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

from data_engineering.model.stream import BRANCH_TOPIC, StatusChange
from data_engineering.transformation.topology_state import ElementIndex, Statuses


def status_readings(
    readings: Mapping[str, pa.Table], statuses: Statuses, index: ElementIndex
) -> tuple[StatusChange, ...]:
    """The statuses in branch readings, of those branches of which they are news.

    That is a branch with a reading that differs from what is confirmed, or with a change that waits
    to be confirmed; then all of its readings count, as one between two others parts them.

    Args:
        readings: by table name, as `Committed.readings`.
        statuses: what is known.
        index: of the case, whose status holds where nothing is confirmed.
    """
    table = readings.get(BRANCH_TOPIC)
    if table is None or table.num_rows == 0:
        return ()
    rows = table.filter(pc.equal(table["case_name"], statuses.case_name))
    opened, waiting = _known(statuses, index)
    known_open = pc.is_in(rows["branch_id"], pa.array(sorted(opened), pa.string()))
    differs = pc.equal(rows["in_service"], known_open)
    news = set(pc.unique(rows.filter(differs)["branch_id"]).to_pylist()) | waiting
    if not news:
        return ()
    told = rows.filter(pc.is_in(rows["branch_id"], pa.array(sorted(news), pa.string())))
    return tuple(
        StatusChange(
            row["time"],
            row["case_name"],
            "branch",
            row["branch_id"],
            row["in_service"],
            row["measurement_quality"],
            row["available_at"],
            row["source"],
        )
        for row in told.to_pylist()
    )


def _known(statuses: Statuses, index: ElementIndex) -> tuple[set[str], set[str]]:
    """Branches that are open as far as is confirmed, and those with a change that waits."""
    opened = {name for kind, name in index.out if kind == "branch"}
    waiting = set()
    for (kind, name), status in statuses.elements.items():
        if kind != "branch":
            continue
        if status.closed is not None:
            (opened.discard if status.closed else opened.add)(name)
        if status.seen_closed == (name in opened):
            waiting.add(name)
    return opened, waiting
