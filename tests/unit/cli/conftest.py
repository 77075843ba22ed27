"""Runs the command line in this process."""

import json
import logging
import signal
from dataclasses import dataclass

import pytest

from data_engineering.cli.app import app
from data_engineering.cli.errors import run
from data_engineering.settings import get_settings


@dataclass
class Said:
    code: int
    out: str
    err: str

    @property
    def document(self):
        (line,) = self.out.splitlines()
        return json.loads(line)


@pytest.fixture
def lascopf(capsys, monkeypatch, tmp_path):
    """A function that runs a command with a home of its own; what it said."""
    monkeypatch.setenv("LASCOPF_HOME", str(tmp_path / "home"))
    get_settings.cache_clear()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    before = list(logging.getLogger().handlers)

    def command(*arguments):
        code = run(app, arguments)
        said = capsys.readouterr()
        assert "Traceback" not in said.out + said.err
        return Said(code, said.out, said.err)

    yield command
    get_settings.cache_clear()
    for number, handler in handlers.items():
        signal.signal(number, handler)
    for handler in set(logging.getLogger().handlers) - set(before):
        logging.getLogger().removeHandler(handler)
        handler.close()
