"""`lascopf up | down | status`: the local stack."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from data_engineering.cli.errors import log_to_file
from data_engineering.cli.output import Json, Output, print_table, write_line
from data_engineering.settings import Settings, get_settings

if TYPE_CHECKING:
    from data_engineering.model.columns import Store
    from data_engineering.orchestration.stack import Attached, StackStatus

Detach = Annotated[bool, typer.Option("--detach", "-d", help="Leave it running and return.")]


def up(detach: Detach = False, json: Json = False) -> None:
    """Start PostgreSQL and Airflow; stays until Ctrl-C, which ends them.

    With --json the object is printed when everything is healthy. Ending a healthy stack by Ctrl-C
    is no error: the exit code is 0.
    """
    from data_engineering.orchestration import stack

    settings, output = get_settings(), Output(as_json=json)
    log_to_file()
    if detach:
        with output.working("starting"):
            stack.up(settings, output.progress)
        _tell_address(settings, output, "`lascopf down` ends it")
        return
    with output.working("starting"):
        hold = stack.attach(settings, output.progress)
    with hold:
        _tell_address(settings, output, "Ctrl-C ends it")
        stay(hold)


def down(json: Json = False) -> None:
    """End Airflow and the embedded PostgreSQL, leftovers of a killed stack included."""
    from data_engineering.orchestration import stack

    output = Output(as_json=json)
    with output.working("stopping"):
        ended = stack.down(get_settings())
    output.done({"ended": ended}, ["ended" if ended else "nothing was running"])


def status(json: Json = False) -> None:
    """Components, health, addresses, stores; exit code 4 when the stack is not up."""
    from data_engineering.orchestration import stack

    settings = get_settings()
    found = stack.status(settings)
    stores = _stores(settings, found.database_running)
    if json:
        _status_json(settings, found, stores)
    else:
        _status_text(settings, found, stores)
    raise typer.Exit(0 if found.up else 4)


def stay(hold: Attached) -> None:
    """Wait until somebody presses Ctrl-C, which is the way to end a healthy stack.

    Raises:
        LascopfError: why the stack ended by itself.
    """
    try:
        while True:
            hold.check()
            time.sleep(0.5)
    except KeyboardInterrupt:
        # Another Ctrl-C would only leave the ending to the supervisor, unseen.
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _tell_address(settings: Settings, output: Output, ending: str) -> None:
    from data_engineering.orchestration.airflow_config import credentials

    login = credentials(settings)
    facts = {"airflow_url": login.url, "user": login.user, "password": login.password}
    line = f"Airflow: {login.url}  user {login.user}  password {login.password}  ({ending})"
    output.done(facts, [line])


def _stores(settings: Settings, database_running: bool) -> dict[str, dict[str, Any]]:
    """Address of each store and its outstanding migrations; a server is not started for it."""
    from data_engineering.runtime import store_urls

    if not database_running and None in (settings.timeseries_url, settings.metadata_url):
        return {"embedded": {"where": str(settings.home), "error": "not running"}}
    urls = store_urls(settings)
    return {
        "objects": {"where": urls.objects},
        "timeseries": _schema_of("timeseries", urls.timeseries),
        "metadata": _schema_of("metadata", urls.metadata),
    }


def _schema_of(store: Store, url: str) -> dict[str, Any]:
    from data_engineering.model.errors import LascopfError
    from data_engineering.storage.database import open_engine, redact
    from data_engineering.storage.migrations import pending

    engine = open_engine(url)
    try:
        return {"where": redact(url), "pending": pending(engine, store)}
    except LascopfError as error:
        return {"where": redact(url), "error": str(error)}
    finally:
        engine.dispose()


def _status_json(settings: Settings, found: StackStatus, stores: dict[str, Any]) -> None:
    facts = {
        "up": found.up,
        "phase": found.phase,
        "home": settings.home,
        "airflow_url": found.airflow_url,
        "supervisor": found.supervisor,
        "components": found.components,
        "database_running": found.database_running,
        "stores": stores,
        "stack_error": found.error,
    }
    Output(as_json=True).done(facts, [])


def _status_text(settings: Settings, found: StackStatus, stores: dict[str, Any]) -> None:
    write_line(f"stack {'up' if found.up else found.phase}, state folder {settings.home}")
    if found.error:
        write_line(f"last error: {found.error}")
    if found.components:
        write_line(f"Airflow {found.airflow_url}, logs in {settings.home / 'airflow' / 'logs'}")
        rows = [
            (name, str(part["pid"]), "yes" if part["healthy"] else "no", part["heartbeat"])
            for name, part in found.components.items()
        ]
        print_table("", ["component", "pid", "healthy", "heartbeat"], rows)
    words = [
        (name, facts["where"], facts.get("error") or _schema(facts.get("pending")))
        for name, facts in stores.items()
    ]
    print_table("", ["store", "where", "schema"], words)


def _schema(outstanding: list[str] | None) -> str:
    if outstanding is None:
        return ""
    return f"{len(outstanding)} pending: run `lascopf db migrate`" if outstanding else "newest"
