"""`lascopf stream replay`: RTS-GMLC's 5-minute year as a live feed."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from data_engineering.cli.errors import log_to_file
from data_engineering.cli.output import Json, Output
from data_engineering.model.errors import BadInput
from data_engineering.settings import get_settings


class MessageForm(StrEnum):
    """Readings of a message."""

    scan = "scan"
    single = "single"


def replay(
    to: Annotated[str, typer.Option(help="kafka, or file:PATH, to which lines are appended.")],
    start: Annotated[
        str, typer.Option("--from", help="Time or day of the first scan (UTC); any year.")
    ] = "2020-07-06",
    until: Annotated[
        str | None, typer.Option(help="Time or day before which the last one is; none: a day on.")
    ] = None,
    speed: Annotated[str, typer.Option(help="Times real time, or max.")] = "max",
    form: Annotated[
        MessageForm, typer.Option(help="One message for a scan, or for each reading.")
    ] = MessageForm.scan,
    faults: Annotated[
        str,
        typer.Option(
            help="Some of trips, bad-quality, late, duplicate, out-of-order, garbage; or all."
        ),
    ] = "",
    seed: Annotated[int, typer.Option(min=0, help="Of the faults.")] = 0,
    flows: Annotated[bool, typer.Option("--flows", help="Branches too, by DC power flow.")] = False,
    truth: Annotated[
        Path | None, typer.Option(help="Write here what the tables must hold afterwards.")
    ] = None,
    json: Json = False,
) -> None:
    """Publish RTS-GMLC's 5-minute readings of a window as a live feed, with faults if asked."""
    from data_engineering.ingestion.replay_faults import fault_names
    from data_engineering.orchestration.stream_replay import Replay, parse_time
    from data_engineering.orchestration.stream_replay import replay as send

    log_to_file()
    begin = parse_time(start, "--from")
    end = begin + timedelta(days=1) if until is None else parse_time(until, "--until")
    asked = Replay(begin, end, _speed(speed), form.value, fault_names(faults), seed, flows)
    output = Output(as_json=json)
    with output.working(f"replaying {begin:%Y-%m-%d %H:%M} to {to}"):
        sent = send(asked, get_settings(), to, truth)
    facts = {
        "to": to,
        "messages": sent.messages,
        "rows": sent.rows,
        "newest": None if sent.newest is None else sent.newest.isoformat(),
    }
    output.done(facts, [f"{sent.messages} messages, {sent.rows} rows, until {facts['newest']}"])


def _speed(text: str) -> float | None:
    try:
        return None if text == "max" else float(text)
    except ValueError:
        raise BadInput("--speed", text, "give a number above 0, or max") from None
