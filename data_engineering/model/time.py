"""Half-open windows of timezone-aware UTC time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from data_engineering.model.errors import BadInput


@dataclass(frozen=True)
class Window:
    """Half-open window ``[start, end)``; both ends are timezone-aware UTC."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        for field, value in (("window.start", self.start), ("window.end", self.end)):
            if value.utcoffset() != timedelta(0):
                raise BadInput(field, value, "give a timezone-aware UTC time")
        if self.end <= self.start:
            raise BadInput("window.end", self.end, f"give a time after {self.start}")

    @classmethod
    def of_day(cls, day: date, days: int = 1) -> Window:
        """The window of `days` whole UTC days that starts with `day`.

        Raises:
            BadInput: the window ends after the last day that a date can name.
        """
        start = datetime(day.year, day.month, day.day, tzinfo=UTC)
        try:
            return cls(start, start + timedelta(days=days))
        except OverflowError:
            raise BadInput("day", day.isoformat(), "give an earlier day") from None

    @property
    def day(self) -> date:
        """The UTC day in which the window starts."""
        return self.start.date()


def parse_day(text: str, field: str = "day") -> date:
    """Read an ISO day.

    Raises:
        BadInput: `text` is not of the form YYYY-MM-DD.
    """
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise BadInput(field, text, "give a day as YYYY-MM-DD, such as 2020-07-06") from None
