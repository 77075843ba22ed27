"""Suites: what the declaration of a table and the physics ask of its rows and of a batch.

Each expectation is of one level. `row`: a row that fails is rejected and the rest goes on. `batch`:
the batch fails as a whole, and the run with it.
"""

from __future__ import annotations

from typing import Any, Literal

from data_engineering.model.columns import Column, Table
from data_engineering.settings import Quality

Level = Literal["row", "batch"]
QUALITY_CODES = [0, 1, 2, 3]


def suite_name(table: Table) -> str:
    """The name of a table's suite."""
    return f"{table.name}_suite"


def expectations_for(table: Table, thresholds: Quality) -> list[Any]:
    """Every expectation of a table's suite, each with its level and a name in `meta`."""
    found: list[Any] = []
    for column in table.written:
        found += _declared(column)
    names = {column.name for column in table.written}
    found += [
        _at_most("fact_repeats_key", 0.0, "row", "one row for each key"),
        _at_most("fact_known_too_early", 0.0, "row", "known no earlier than it happened"),
        _batch_most("fact_out_of_order", 1.0 - thresholds.disorder_share, 0.0, 0.0),
        _batch_at_most("fact_missing_share", 1.0 - thresholds.completeness),
        _batch_at_most("fact_longest_gap_minutes", thresholds.gap_minutes),
    ]
    if "measurement_quality" in names:
        found += [
            _in_set("measurement_quality", QUALITY_CODES),
            _batch_most("fact_good", thresholds.good_quality_share, 1.0, 1.0),
        ]
    if table.name == "power_measurements":
        found += _physics(thresholds)
    if table.name == "generator_measurements":
        found.append(_capability("active_power_mw", thresholds))
    return found


def _physics(thresholds: Quality) -> list[Any]:
    return [
        _batch_most(
            "voltage_magnitude",
            thresholds.voltage_share,
            thresholds.voltage_min_pu,
            thresholds.voltage_max_pu,
        ),
        _batch_most("frequency_hz", 1.0, thresholds.frequency_min_hz, thresholds.frequency_max_hz),
        _capability("active_power", thresholds),
    ]


def _declared(column: Column) -> list[Any]:
    from great_expectations import expectations as gxe

    found: list[Any] = []
    if not column.nullable:
        meta = _meta(f"not_null:{column.name}", "row", f"{column.name} is never null")
        found.append(gxe.ExpectColumnValuesToNotBeNull(column=column.name, meta=meta))
    if column.minimum is not None or column.maximum is not None:
        text = f"{column.name} {_range(column.minimum, column.maximum)}"
        found.append(
            gxe.ExpectColumnValuesToBeBetween(
                column=column.name,
                min_value=column.minimum,
                max_value=column.maximum,
                meta=_meta(f"bounds:{column.name}", "row", text),
            )
        )
    return found


def _capability(column: str, thresholds: Quality) -> Any:
    """Output at most the unit's capability with a tolerance for the meter."""
    from great_expectations import expectations as gxe

    text = f"{column} at most the unit's capability + {thresholds.capability_tolerance:.0%}"
    return gxe.ExpectColumnPairValuesAToBeGreaterThanB(
        column_A="fact_capability_mw",
        column_B=column,
        or_equal=True,
        ignore_row_if="either_value_is_missing",
        meta=_meta(f"capability:{column}", "row", text),
    )


def _in_set(column: str, values: list[int]) -> Any:
    from great_expectations import expectations as gxe

    meta = _meta(f"codes:{column}", "row", f"{column} one of {values}")
    return gxe.ExpectColumnValuesToBeInSet(column=column, value_set=values, meta=meta)


def _at_most(column: str, limit: float, level: Level, text: str) -> Any:
    from great_expectations import expectations as gxe

    meta = _meta(column.replace("_", ":", 1), level, text)
    return gxe.ExpectColumnValuesToBeBetween(column=column, max_value=limit, meta=meta)


def _batch_most(column: str, share: float, low: float, high: float) -> Any:
    """At least `share` of the rows that have a value within the limits."""
    from great_expectations import expectations as gxe

    text = f"{column} {_range(low, high)} in {share:.0%} of rows"
    return gxe.ExpectColumnValuesToBeBetween(
        column=column,
        min_value=low,
        max_value=high,
        mostly=share,
        meta=_meta(f"share:{column}", "batch", text),
    )


def _batch_at_most(column: str, limit: float) -> Any:
    """A fact of the batch, the same in every row."""
    from great_expectations import expectations as gxe

    meta = _meta(f"batch:{column}", "batch", f"{column} at most {limit:g}")
    return gxe.ExpectColumnMaxToBeBetween(column=column, max_value=limit, meta=meta)


def _meta(name: str, level: Level, text: str) -> dict[str, str]:
    return {"name": name, "level": level, "expected": text}


def _range(low: float | None, high: float | None) -> str:
    if low is None:
        return f"at most {high:g}"
    return f"at least {low:g}" if high is None else f"{low:g} to {high:g}"
