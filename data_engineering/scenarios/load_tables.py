"""The load scenarios of a dataset as a table and as a page that shows them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import IO

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from data_engineering.model.grid import Floats, Ints, Texts
from data_engineering.scenarios.parquet_files import parquet_writer, table_of

GROUP_ROWS = 1 << 19
"""Rows of a row group at least, where there are so many."""

MOST_BUSES = 100
"""Grids with more buses have no page."""

SHOWN_VALUES = 60_000
"""Most values on a page; more are neither told apart nor loaded with ease."""

Floats32 = npt.NDArray[np.float32]

Demand = tuple[Floats, Floats]
"""Active and reactive demand at the buses in MW and Mvar, each of shape (buses,)."""


def load_schema() -> pa.Schema:
    """The Arrow schema of `scenarios_{generator}.parquet`; `load` is the row of the bus."""
    kinds = {"load_scenario": "int64", "load": "int64", "p_mw": "float64", "q_mvar": "float64"}
    return pa.schema([pa.field(name, kind, nullable=False) for name, kind in kinds.items()])


def write_loads(
    stream: IO[bytes],
    demands: Iterable[Demand],
    *,
    first: int = 0,
    earlier: IO[bytes] | None = None,
) -> int:
    """Write the demands of load scenarios, few at a time in memory.

    Args:
        stream: takes the bytes; it need not seek.
        demands: of the load scenarios, in order.
        first: number of the first of them.
        earlier: a file of this kind whose rows come before, to append to it.

    Returns:
        How many rows the file has.
    """
    import pyarrow.parquet as pq

    schema, rows = load_schema(), 0
    with parquet_writer(stream, schema, ()) as writer:
        if earlier is not None:
            before = pq.ParquetFile(earlier)
            for number in range(before.num_row_groups):
                group = before.read_row_group(number, use_threads=False).cast(schema)
                writer.write_table(group)
                rows += len(group)
        for begin, p_mw, q_mvar in _groups(demands):
            count, buses = p_mw.shape
            numbers = np.arange(first + begin, first + begin + count)
            columns = {
                "load_scenario": np.repeat(numbers, buses),
                "load": np.tile(np.arange(buses), count),
                "p_mw": p_mw.reshape(-1),
                "q_mvar": q_mvar.reshape(-1),
            }
            writer.write_table(table_of(columns, schema))
            rows += p_mw.size
    return rows


def shown(count: int, buses: int) -> Ints:
    """Which of `count` load scenarios a page shows: evenly spaced, bounded by what it can hold."""
    step = -(-count * buses * 2 // SHOWN_VALUES)
    return np.arange(0, count, max(step, 1), dtype=np.int64)


def load_page(
    demand: Callable[[int], Demand], count: int, bus_ids: Texts, *, first: int = 0
) -> str | None:
    """A self-contained HTML page with the demand of each bus that has one, by load scenario.

    Args:
        demand: gives the demand of a load scenario.
        count: of load scenarios.
        bus_ids: original ids of the buses.
        first: number of the first load scenario.

    Returns:
        The page; None for a grid of more than 100 buses, whose lines nobody could tell apart.
    """
    if len(bus_ids) > MOST_BUSES:
        return None
    numbers = first + shown(count, len(bus_ids))
    values = np.array([demand(number) for number in numbers.tolist()], dtype=np.float32)
    step = int(numbers[1] - numbers[0]) if len(numbers) > 1 else 1
    every = "" if step == 1 else f", one in {step} shown"
    return _page(f"{count} load scenarios{every}", numbers, values, bus_ids)


def _page(title: str, numbers: Ints, values: Floats32, bus_ids: Texts) -> str:
    """Lines over the numbers, by values of shape (numbers, 2, buses); a bus has one color."""
    from plotly.colors import qualitative
    from plotly.subplots import make_subplots

    titles = ("Active demand, MW", "Reactive demand, Mvar")
    figure = make_subplots(
        rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.08, subplot_titles=titles
    )
    colors = qualitative.Dark24
    for place, bus in enumerate(np.flatnonzero(values.any(axis=(0, 1))).tolist()):
        for row in (0, 1):
            figure.add_scatter(
                x=numbers,
                y=values[:, row, bus],
                mode="lines",
                line={"width": 1, "color": colors[place % len(colors)]},
                name=f"bus {bus_ids[bus]}",
                legendgroup=str(bus_ids[bus]),
                showlegend=row == 0,
                row=row + 1,
                col=1,
            )
    figure.update_layout(title=title, height=800, hovermode="closest", template="plotly_white")
    figure.update_xaxes(title_text="load scenario", row=2, col=1)
    page: str = figure.to_html(include_plotlyjs=True, div_id="load-scenarios")
    return page


def _groups(demands: Iterable[Demand]) -> Iterator[tuple[int, Floats, Floats]]:
    """Demands together, as many as make a row group, with the place of their first."""
    waiting: list[Demand] = []
    begin = 0
    for demand in demands:
        waiting.append(demand)
        if len(waiting) * len(demand[0]) >= GROUP_ROWS:
            yield begin, *_stacked(waiting)
            begin, waiting = begin + len(waiting), []
    if waiting:
        yield begin, *_stacked(waiting)


def _stacked(demands: list[Demand]) -> Demand:
    return np.stack([p_mw for p_mw, _ in demands]), np.stack([q_mvar for _, q_mvar in demands])
