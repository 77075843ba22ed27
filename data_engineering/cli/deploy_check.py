"""`lascopf deploy check`: whether the compose stack can start, before it starts."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import typer

from data_engineering.cli.backup_commands import Folder, Project
from data_engineering.cli.errors import log_to_file
from data_engineering.cli.output import Json, Output, write_json, write_line


def check(stack: Folder = Path(), project: Project = None, json: Json = False) -> None:
    """Tell what hinders the start: secrets, Docker, ports, images, memory, disk, volumes.

    Nothing is started or changed. Exit code 6 when something hinders, 0 with warnings only.
    """
    from data_engineering.orchestration import compose_check
    from data_engineering.orchestration.compose import Compose

    log_to_file()
    with Output(as_json=json).working("looking"):
        found = compose_check.check(Compose.of(stack.absolute(), project))
    hindered = any(finding.verdict == "error" for finding in found)
    if json:
        status = "error" if hindered else "ok"
        write_json({"status": status, "findings": [asdict(finding) for finding in found]})
    else:
        for finding in found:
            write_line(f"{finding.verdict:8} {finding.subject}: {finding.text}")
        write_line("the stack cannot start yet" if hindered else "the stack can start")
    raise typer.Exit(6 if hindered else 0)
