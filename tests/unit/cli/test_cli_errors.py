"""Every way to fail ends with one line, the documented code and, if asked, one JSON object."""

import errno
import os
import signal
import subprocess
import sys
import time

import pytest
import typer

from data_engineering.cli import errors, output
from data_engineering.model.errors import ChecksFailed, DatabaseUnavailable, NotSolved, PortInUse
from data_engineering.settings import get_settings

COMMANDS = [
    ["up"],
    ["down"],
    ["status"],
    ["demo"],
    ["ingest"],
    ["validate"],
    ["solve"],
    ["convert"],
    ["report"],
    ["sql"],
    ["db", "migrate"],
    *(["scenarios", name] for name in ("generate", "validate", "stats", "plots", "init")),
]


def failing(error):
    app = typer.Typer(rich_markup_mode=None)

    @app.command()
    def command(json: bool = False):
        raise error

    return app


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ChecksFailed("day", ["a", "b"], "correct it"), 3),
        (DatabaseUnavailable("here", "refused"), 4),
        (NotSolved("dcopf", "rts_gmlc", "infeasible", "relax it"), 5),
        (PortInUse(8080, "LASCOPF_AIRFLOW_PORT"), 6),
        (KeyboardInterrupt(), 130),
    ],
)
def test_a_foreseen_error_is_one_line_and_its_own_code(error, code, capsys):
    assert errors.run(failing(error), []) == code
    said = capsys.readouterr()
    assert said.out == ""
    assert len(said.err.splitlines()) == 1
    assert (str(error) or "interrupted") in said.err


def test_a_full_disk_is_told_from_the_unexpected(capsys):
    full = OSError(errno.ENOSPC, "No space left on device", "/somewhere")
    assert errors.run(failing(full), []) == 6
    assert "cannot write /somewhere" in capsys.readouterr().err


def test_the_unexpected_is_one_line_that_says_where_its_traceback_is(
    capsys, monkeypatch, tmp_path, lascopf
):
    assert errors.run(failing(ZeroDivisionError("oh\nno")), ["--json"]) == 1
    said = capsys.readouterr()
    log = tmp_path / "home" / "logs" / "lascopf.log"
    assert said.err == f"error: unexpected ZeroDivisionError: oh no; details in {log}\n"
    assert '"status": "error"' in said.out
    assert "Traceback" in log.read_text()


def test_a_wrong_setting_names_its_variable(lascopf, monkeypatch):
    monkeypatch.setenv("LASCOPF_AIRFLOW_PORT", "eighty")
    monkeypatch.setenv("LASCOPF_QUALITY__COMPLETENESS", "7")
    said = lascopf("status", "--json")
    assert said.code == said.document["exit_code"] == 2
    assert "LASCOPF_AIRFLOW_PORT='eighty'" in said.document["error"]
    assert "LASCOPF_QUALITY__COMPLETENESS='7'" in said.document["error"]
    assert len(said.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["ingest"], "--day"),
        (["ingest", "--day", "6 July"], "YYYY-MM-DD"),
        (["solve", "--day", "2020-07-06", "--horizon", "49"], "--horizon"),
        (["solve", "--day", "2020-07-06", "--kind", "opf"], "lascopf"),
        (["solve", "pglib/case5_pjm", "--kind", "scopf", "--method", "magic"], "extensive"),
        (["solve", "pglib/case5_pjm", "--kind", "pf", "--outages", "n-1"], "scopf"),
        (["solve", "pglib/case5_pjm", "--kind", "dcopf", "--commitment", "gone.csv"], "gone.csv"),
        (["solve", "pglib/case6_pjm", "--kind", "pf"], "pglib/case5_pjm"),
        (["sql", "--store", "elsewhere"], "timeseries"),
        (["nonsense"], "nonsense"),
    ],
)
def test_a_wrong_argument_is_one_line_and_code_2(lascopf, arguments, words):
    said = lascopf(*arguments, "--json")
    assert said.code == said.document["exit_code"] == 2
    assert words in said.document["error"]
    # Progress may stand before it.
    assert [line.startswith("error: ") for line in said.err.splitlines()].count(True) == 1
    assert "Traceback" not in said.err


def test_a_signal_ends_a_command_by_the_way_that_cleans_up(capsys, lascopf):
    cleaned = []
    app = typer.Typer()

    @app.command()
    def command(json: bool = False):
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(10)
        finally:
            cleaned.append(True)

    assert errors.run(app, ["--json"]) == 143
    assert cleaned == [True]
    assert '"exit_code": 143' in capsys.readouterr().out


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_explains_itself_and_its_exit_codes(lascopf, command):
    said = lascopf(*command, "--help")
    assert said.code == 0
    assert "--json" in said.out
    text = " ".join(said.out.split())
    assert output.EPILOG in text


def test_status_of_nothing_starts_nothing(lascopf, tmp_path):
    said = lascopf("status", "--json")
    assert said.code == 4
    assert (said.document["up"], said.document["components"]) == (False, {})
    assert not (tmp_path / "home" / "postgres").exists()


def test_down_with_nothing_running_is_no_error(lascopf):
    said = lascopf("down", "--json")
    assert (said.code, said.document) == (0, {"status": "ok", "ended": False})


@pytest.mark.parametrize("command", [["up", "-d"], ["demo"], ["sql", "-c", "select 1"]])
def test_a_state_folder_that_cannot_be_made_is_named(lascopf, monkeypatch, tmp_path, command):
    (tmp_path / "file").touch()
    monkeypatch.setenv("LASCOPF_HOME", str(tmp_path / "file" / "home"))
    get_settings.cache_clear()
    said = lascopf(*command, "--json")
    assert said.code == 2
    assert "LASCOPF_HOME" in said.document["error"]
    assert "not a directory" in said.document["error"]


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from data_engineering.cli.app import app;"
        "from data_engineering.cli.errors import run; run(app, ['--help']);"
        "print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"pandas", "numpy", "sqlalchemy", "airflow", "pyarrow", "psycopg2", "plotly", "highspy"}
    assert heavy.isdisjoint(done.stderr.split())
