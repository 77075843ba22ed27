"""`lascopf stream`: the realtime stream into the database, and what became of it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from data_engineering.cli.errors import log_to_file
from data_engineering.cli.output import EPILOG, Json, Output
from data_engineering.settings import Settings, get_settings

if TYPE_CHECKING:
    from data_engineering.orchestration.stream_service import Service

stream = typer.Typer(
    help="Measurements as they come: stored exactly once, from Kafka or a recorded file.",
    epilog=EPILOG,
    invoke_without_command=True,
)


@stream.callback()
def run(
    context: typer.Context,
    source: Annotated[
        str | None, typer.Option(help="kafka, or file:PATH; none: kafka where a broker is set.")
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", help="Wait for more at the end of a file.")
    ] = False,
    create_topics: Annotated[
        bool, typer.Option("--create-topics", help="Create the topics that are missing.")
    ] = False,
    partitions: Annotated[int, typer.Option(min=1, help="Partitions of new topics.")] = 3,
    react: Annotated[
        bool, typer.Option("--react/--no-react", help="Dispatch again when the grid has changed.")
    ] = True,
    json: Json = False,
) -> None:
    """Store the stream until Ctrl-C (or the end of the file); run several to share partitions."""
    if context.invoked_subcommand is not None:
        return
    settings, output = get_settings(), Output(as_json=json)
    log_to_file()
    if create_topics:
        from data_engineering.ingestion.stream_publish import create_topics as create

        made = create(settings, partitions=partitions)
        output.note(f"created {', '.join(made) or 'nothing: all topics are there'}")
    service = _serve(settings, output, source, follow=follow, react=react)
    member = service.health.member
    facts = {
        "stream": member.stream,
        "messages": member.messages,
        "rows": member.rows_stored,
        "dead_letters": member.dead_letters,
    }
    output.done(facts, [", ".join(f"{name} {value}" for name, value in facts.items())])


@stream.command(epilog=EPILOG)
def status(json: Json = False) -> None:
    """Members of the newest day, what is stored of each partition; 4 where no member is alive."""
    from data_engineering.orchestration.stream_setup import ROLE
    from data_engineering.runtime import open_runtime
    from data_engineering.storage import stream_status

    settings, output = get_settings(), Output(as_json=json)
    log_to_file()
    with open_runtime(settings, role=ROLE) as runtime:
        members = stream_status.members(runtime.timeseries, datetime.now(UTC) - timedelta(days=1))
        offsets = stream_status.offsets(runtime.timeseries)
        waiting = sum(stream_status.open_letters(runtime.timeseries).values())
    for frame in (members, offsets):
        for name in frame.columns.intersection(
            ["beat_at", "updated_at", "last_message_at", "newest_row_at"]
        ):
            frame[name] = frame[name].dt.floor("s")
    output.table("members", members.drop(columns=["stream", "started_at"]))
    output.table("partitions", offsets.drop(columns=["epoch", "member"]))
    silent = members["silent_seconds"] > 3 * settings.stream.beat_seconds + 5
    alive = int((members["state"].isin(["running", "waiting"]) & ~silent).sum())
    facts = {
        "alive": alive,
        "open_dead_letters": waiting,
        "members": members.to_dict("records"),
        "partitions": offsets.to_dict("records"),
    }
    output.done(facts, [f"{alive} alive, {waiting} open dead letters"])
    raise typer.Exit(0 if alive else 4)


@stream.command(epilog=EPILOG)
def deadletters(
    replay: Annotated[
        bool, typer.Option("--replay", help="Read them again and store what they give now.")
    ] = False,
    limit: Annotated[
        int | None,
        typer.Option(min=1, help="Most letters; else 20 are listed and 10000 read again."),
    ] = None,
    json: Json = False,
) -> None:
    """Messages that gave no rows, each with its reason; those that a replay has cured are gone."""
    import pandas as pd

    from data_engineering.orchestration import stream_letters
    from data_engineering.orchestration.stream_setup import ROLE, stream_rules
    from data_engineering.runtime import open_runtime
    from data_engineering.storage import stream_status

    settings, output = get_settings(), Output(as_json=json)
    log_to_file()
    with open_runtime(settings, role=ROLE) as runtime:
        engine = runtime.timeseries
        facts: dict[str, object] = {}
        shown = 20 if replay else limit or 20
        if replay:
            done = stream_letters.replay(engine, stream_rules(settings), limit or 10_000)
            facts = {"resolved": done.resolved, "failed": done.failed, "rows": done.rows}
        found = [one for _, one in stream_status.letters(engine, limit=shown)]
        counts = stream_status.open_letters(engine)
    columns = ["topic", "partition", "offset", "verdict", "field", "value", "reason", "attempt"]
    records = [{name: getattr(one, name) for name in columns} for one in found]
    output.table("dead letters", pd.DataFrame(records, columns=columns))
    lines = [", ".join(f"{name} {value}" for name, value in facts.items())] if facts else []
    kinds = ", ".join(f"{kind} {count}" for kind, count in counts.items())
    total = f"{sum(counts.values())} open" + (f": {kinds}" if kinds else "")
    more = f"; {len(records)} shown, see --limit" if len(records) < sum(counts.values()) else ""
    output.done(facts | {"open": counts, "dead_letters": records}, [*lines, total + more])


@stream.command(epilog=EPILOG)
def forget(
    topic: Annotated[str, typer.Argument(help="Topic that was deleted and made anew.")],
    json: Json = False,
) -> None:
    """Read a topic from its beginning again; rows that are stored already stay as they are."""
    from data_engineering.orchestration.stream_setup import ROLE
    from data_engineering.runtime import open_runtime
    from data_engineering.storage import stream_status

    output = Output(as_json=json)
    log_to_file()
    with open_runtime(role=ROLE) as runtime:
        count = stream_status.forget(runtime.timeseries, topic)
    output.done({"topic": topic, "partitions": count}, [f"{topic}: {count} partitions begin anew"])


def _serve(
    settings: Settings, output: Output, source: str | None, *, follow: bool, react: bool
) -> Service:
    from data_engineering.orchestration.stream_setup import ROLE, open_source, serve
    from data_engineering.orchestration.stream_wiring import (
        reacting,
        results_publisher,
        with_clock,
    )
    from data_engineering.runtime import open_runtime

    opened = open_source(source, settings, follow=follow)
    settings = with_clock(settings, opened.name, follow=follow)
    with (
        output.working(f"reading {opened.name}"),
        open_runtime(settings, role=ROLE) as runtime,
        _stopping() as stop,
    ):
        if not react:
            return serve(settings, runtime.timeseries, opened, stop=stop)
        with (
            closing(results_publisher(settings, opened.name)) as publisher,
            reacting(settings, publisher) as reaction,
        ):
            return serve(settings, runtime.timeseries, opened, reaction.on_committed, stop=stop)


@contextmanager
def _stopping() -> Iterator[threading.Event]:
    """An event that the first signal sets; the second ends the process as everywhere."""
    stop = threading.Event()
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in signals}

    def ask(number: int, frame: object) -> None:
        stop.set()
        signal.signal(number, before[signal.Signals(number)])

    for number in signals:
        signal.signal(number, ask)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
