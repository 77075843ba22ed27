"""The command `lascopf`: everything the platform does, with and without Airflow.

Commands import what they need when they run, so that `--help` is there at once.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line of this process and exit with its code."""
    try:  # an interrupt may come while the command tree is still being imported
        from data_engineering.cli.app import app
        from data_engineering.cli.errors import run
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(run(app, sys.argv[1:] or ["--help"]))
