"""The guard: outlives a killed supervisor by the moment it takes to end what that one left.

Run as `python -m data_engineering.orchestration.stack_guard SESSION STARTED`. Its standard input is
a pipe that only the supervisor holds open, and says nothing; it ends with the supervisor.
"""

from __future__ import annotations

import signal
import sys

from data_engineering.orchestration.stack_processes import Session


def main(session: Session) -> None:
    """Wait until the supervisor is gone, then end its session and the server it started."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.buffer.read()
    session.end()
    _stop_database()


def _stop_database() -> None:
    from data_engineering.orchestration.stack_state import read_state
    from data_engineering.settings import get_settings
    from data_engineering.storage import embedded

    home = get_settings().home
    state = read_state(home)
    if state is not None and state.owns_database and state.phase not in ("stopped", "failed"):
        embedded.stop(home)


if __name__ == "__main__":
    main(Session(int(sys.argv[1]), float(sys.argv[2])))
