"""Suites: what the declaration of a table and the physics ask of its rows and of a batch.

Each expectation is of one level. `row`: a row that fails is rejected and the rest goes on. `batch`:
the batch fails as a whole, and the run with it.
"""

from __future__ import annotations

import sys
from typing import Any, Literal

from data_engineering.model.columns import Column, Table
from data_engineering.settings import Quality
from data_engineering.validation.quality_checks import FACTS, OUTPUT, element_columns

Level = Literal["row", "batch"]
LARGEST = sys.float_info.max
"""Limit of a number that has no bound of its own: it must be finite."""


def suite_name(table: Table) -> str:
    """The name of a table's suite."""
    return f"{table.name}_suite"


def shape_expectations(table: Table) -> list[Any]:
    """What a frame must be before its values can be looked at: columns, types, rows."""
    from great_expectations import expectations as gxe

    return [
        gxe.ExpectTableColumnsToMatchSet(
            column_set=[*(column.name for column in table.written), *FACTS],
            exact_match=True,
            meta=_meta("batch:columns", "batch", "the declared columns, each once"),
        ),
        _batch_at_most("fact_type_faults", 0.0, "the declared types"),
        gxe.ExpectTableRowCountToBeBetween(
            min_value=1, meta=_meta("batch:row_count", "batch", "at least one row")
        ),
    ]


def suite_for(table: Table, thresholds: Quality, case_name: str) -> list[Any]:
    """Every expectation of a table's suite; `meta` holds its name, level, columns and text."""
    found = shape_expectations(table)
    for column in table.written:
        found += _declared(column)
    found += [
        _case(case_name),
        _fact("fact_unknown_element", element_columns(table), "an element that the source has"),
        _fact("fact_repeats_key", table.key, "one row for each key, of several the last"),
        _fact("fact_outside_window", (str(table.time),), "within the batch's window"),
        _fact("fact_known_too_early", ("available_at",), "known no earlier than it happened"),
        _share("fact_out_of_order", 1.0 - thresholds.disorder_share, 0, 0, "rows in time order"),
        _batch_at_most(
            "fact_missing_share",
            1.0 - thresholds.completeness,
            f"{_percent(1.0 - thresholds.completeness)} of intervals missing at most",
        ),
        _batch_at_most(
            "fact_longest_gap_minutes",
            thresholds.gap_minutes,
            f"no gap longer than {thresholds.gap_minutes:g} min",
        ),
    ]
    return found + _physics(table, thresholds)


def _physics(table: Table, thresholds: Quality) -> list[Any]:
    names = {column.name for column in table.written}
    found: list[Any] = []
    for name, share, low, high in (
        (
            "voltage_magnitude",
            thresholds.voltage_share,
            thresholds.voltage_min_pu,
            thresholds.voltage_max_pu,
        ),
        ("frequency_hz", 1.0, thresholds.frequency_min_hz, thresholds.frequency_max_hz),
    ):
        if name in names:
            found.append(_share(name, share, low, high, f"{name} {_range(low, high)}"))
    if "measurement_quality" in names:
        found.append(_share("fact_good", thresholds.good_quality_share, 1, 1, "rows not bad"))
    if table.name in OUTPUT:
        margin = thresholds.capability_tolerance
        text = f"at most the unit's capability + {_percent(margin)}"
        found.append(
            _fact("fact_share_of_capability", (OUTPUT[table.name],), text, limit=1.0 + margin)
        )
    if "confidence_lower_mw" in names:
        found += [
            _not_above("confidence_lower_mw", "forecasted_power_mw"),
            _not_above("forecasted_power_mw", "confidence_upper_mw"),
        ]
    return found


def _declared(column: Column) -> list[Any]:
    from great_expectations import expectations as gxe

    found: list[Any] = []
    name, low, high = column.name, column.minimum, column.maximum
    if not column.nullable:
        meta = _meta(f"not_null:{name}", "row", f"{name} is never null", name)
        found.append(gxe.ExpectColumnValuesToNotBeNull(column=name, meta=meta))
    if low is not None or high is not None or column.dtype == "float":
        found.append(
            gxe.ExpectColumnValuesToBeBetween(
                column=name,
                min_value=-LARGEST if low is None else low,
                max_value=LARGEST if high is None else high,
                meta=_meta(f"bounds:{name}", "row", f"{name} {_range(low, high)}", name),
            )
        )
    return found


def _case(case_name: str) -> Any:
    from great_expectations import expectations as gxe

    meta = _meta("case:case_name", "row", f"case_name is {case_name}", "case_name")
    return gxe.ExpectColumnValuesToBeInSet(column="case_name", value_set=[case_name], meta=meta)


def _not_above(lower: str, upper: str) -> Any:
    from great_expectations import expectations as gxe

    return gxe.ExpectColumnPairValuesAToBeGreaterThanB(
        column_A=upper,
        column_B=lower,
        or_equal=True,
        ignore_row_if="either_value_is_missing",
        meta=_meta(f"order:{lower}", "row", f"{lower} at most {upper}", lower, upper),
    )


def _fact(fact: str, columns: tuple[str, ...], text: str, limit: float = 0.0) -> Any:
    """A fact of each row; `columns` are those that tell a reader what is wrong."""
    from great_expectations import expectations as gxe

    meta = _meta(f"row:{_short(fact)}", "row", text, *columns)
    return gxe.ExpectColumnValuesToBeBetween(column=fact, max_value=limit, meta=meta)


def _share(column: str, share: float, low: float, high: float, text: str) -> Any:
    """At least `share` of the rows that have a value within the limits."""
    from great_expectations import expectations as gxe

    text = f"{text} in {_percent(share)} of rows"
    return gxe.ExpectColumnValuesToBeBetween(
        column=column,
        min_value=low,
        max_value=high,
        mostly=share,
        meta=_meta(f"share:{_short(column)}", "batch", text, column),
    )


def _batch_at_most(fact: str, limit: float, text: str) -> Any:
    """A fact of the batch, the same in every row."""
    from great_expectations import expectations as gxe

    meta = _meta(f"batch:{_short(fact)}", "batch", text)
    return gxe.ExpectColumnMaxToBeBetween(column=fact, max_value=limit, meta=meta)


def _meta(name: str, level: Level, text: str, *columns: str) -> dict[str, Any]:
    return {"name": name, "level": level, "expected": text, "columns": list(columns)}


def _short(column: str) -> str:
    return column.removeprefix("fact_")


def _percent(share: float) -> str:
    return f"{100.0 * share:.6g} %"


def _range(low: float | None, high: float | None) -> str:
    if low is None and high is None:
        return "finite"
    if low is None:
        return f"at most {high:g}"
    return f"at least {low:g}" if high is None else f"{low:g} to {high:g}"
