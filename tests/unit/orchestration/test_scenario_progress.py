"""Progress of a run: rates and times by hand, and how often they are said."""

import pytest

from data_engineering.orchestration.scenario_progress import Progress, duration


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def test_rate_and_time_left_leave_out_what_was_done_before_and_starting():
    clock, shown = Clock(), []
    progress = Progress(1000, shown.append, lambda _: None, done=400, clock=clock)
    clock.now += 30.0  # workers start
    progress.count(0, 0)
    clock.now += 10.0
    progress.count(95, 5)
    assert progress.rate == 10.0
    assert progress.text() == ("500 of 1,000 samples, 5 failed, 0 partitions, 10.0/s, 50 s left")


def test_people_hear_often_and_logs_seldom():
    clock, shown, logged = Clock(), [], []
    progress = Progress(1000, shown.append, logged.append, clock=clock)
    for _ in range(100):
        clock.now += 0.25
        progress.tell()
    assert len(shown) == 50
    assert len(logged) == 3


def test_before_anything_is_done_no_time_is_promised():
    progress = Progress(10, print, print)
    assert progress.text() == "0 of 10 samples, 0 partitions"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "0 s"), (59.6, "1 min 00 s"), (200.0, "3 min 20 s"), (3900.0, "1 h 05 min")],
)
def test_durations(seconds, text):
    assert duration(seconds) == text
