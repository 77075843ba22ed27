"""What the tests of checkpoints share: a day of three units, and which checks failed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

from data_engineering.model.time import Window
from data_engineering.validation.checkpoints import CheckOutcome
from data_engineering.validation.quality_checks import References

DAY = date(2020, 7, 6)
CASE = "rts_gmlc"
CAPABILITY = {"101_PV_1": 25.0, "102_WIND_1": 150.0, "103_HYDRO_1": 50.0}
UNITS = list(CAPABILITY)
REFERENCES = References(Window.of_day(DAY), 5, frozenset(UNITS), CAPABILITY)
ROWS = 288 * len(UNITS)

Run = Callable[..., CheckOutcome]


def failed_checks(outcome: CheckOutcome) -> set[str]:
    """Names of the checks that did not succeed."""
    metrics = outcome.metrics
    return set(metrics["check_name"][metrics["success"].eq(False).fillna(False)])
