"""`lascopf deploy`: what a deployment on servers of its own needs."""

from __future__ import annotations

import typer

from data_engineering.cli.errors import log_to_file
from data_engineering.cli.output import EPILOG, Json, Output
from data_engineering.settings import get_settings

deploy = typer.Typer(help="The production stack (docker-compose.yml).", epilog=EPILOG)


@deploy.command(epilog=EPILOG)
def prepare(json: Json = False) -> None:
    """Make databases, schemas, logins, bucket and topics where they are missing.

    The URLs must be those of a superuser. The service `platform-init` runs this at each start.
    """
    from data_engineering.orchestration import deploy as deployment

    log_to_file()
    output, done = Output(as_json=json), list[str]()

    def say(fact: str) -> None:
        done.append(fact)
        output.note(fact)

    deployment.prepare(get_settings(), deployment.DeploySecrets.read(), say)
    output.done({"done": done}, ["everything is there"])
