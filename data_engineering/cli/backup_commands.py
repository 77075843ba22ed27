"""`lascopf deploy backup` and `lascopf deploy restore`, of the compose stack."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from data_engineering.cli.errors import log_to_file
from data_engineering.cli.output import Json, Output

Folder = Annotated[Path, typer.Option("--stack", help="Folder of docker-compose.yml and its .env.")]
Project = Annotated[
    str | None, typer.Option("--project", help="Name of the compose project, if another.")
]


def backup(
    target: Annotated[Path, typer.Argument(help="Folder that takes the backup.")],
    keep: Annotated[
        int | None, typer.Option(min=1, help="Remove the oldest beyond so many.")
    ] = None,
    stack: Folder = Path(),
    project: Project = None,
    json: Json = False,
) -> None:
    """Back the running compose stack up: databases, roles and objects, in one new folder.

    Not in it: .env with the secrets, which needs a safe place of its own, Kafka and Redis.
    """
    from data_engineering.orchestration.compose import Compose
    from data_engineering.orchestration.compose_backup import back_up

    log_to_file()
    output = Output(as_json=json)
    with output.working("backing up"):
        made = back_up(Compose.of(stack, project), target, keep, output.note)
    size = sum(path.stat().st_size for path in made.iterdir())
    output.done({"backup": made, "bytes": size}, [f"{made}  ({size / 1e6:.1f} MB)"])


def restore(
    source: Annotated[Path, typer.Argument(help="A backup: the folder with manifest.json.")],
    replace: Annotated[
        bool, typer.Option("--replace", help="Take away what the stack holds.")
    ] = False,
    stack: Folder = Path(),
    project: Project = None,
    json: Json = False,
) -> None:
    """Put a backup into a compose stack whose databases and object store run.

    Roles run as SQL of the superuser: restore your own backups only.
    """
    from data_engineering.orchestration import compose_restore
    from data_engineering.orchestration.compose import Compose

    log_to_file()
    output = Output(as_json=json)
    with output.working("restoring"):
        started = compose_restore.restore(
            Compose.of(stack, project), source, replace=replace, progress=output.note
        )
    lines = ["restored; `docker compose up -d` starts what does not run"]
    output.done({"restored": source, "started": started}, lines)
