"""The command tree."""

from __future__ import annotations

import typer

from data_engineering.cli import backup_commands, deploy_check, scenario_commands
from data_engineering.cli.airflow_command import airflow
from data_engineering.cli.data_commands import ingest, report, validate
from data_engineering.cli.database_commands import expire, migrate, sql
from data_engineering.cli.demo import demo
from data_engineering.cli.deploy_commands import deploy
from data_engineering.cli.exchange_commands import exchange
from data_engineering.cli.objects_commands import objects
from data_engineering.cli.output import EPILOG
from data_engineering.cli.replay_command import replay
from data_engineering.cli.solve_command import convert, solve
from data_engineering.cli.stack_commands import down, status, up
from data_engineering.cli.stream_commands import stream

app = typer.Typer(
    name="lascopf",
    help="Grid data from ingest to priced dispatch in SQL, on this machine or on your servers.",
    epilog=EPILOG,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
scenarios = typer.Typer(
    help="Datasets of solved power flows and optimal power flows, in the form of gridfm.",
    epilog=EPILOG,
)
database = typer.Typer(help="Databases.", epilog=EPILOG)

for command in (up, down, status, demo, ingest, validate, solve, convert, report, sql):
    app.command(epilog=EPILOG)(command)
# Its options are Airflow's, and so is its --help.
anything = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
app.command(context_settings=anything)(airflow)
for command in (migrate, expire):
    database.command(epilog=EPILOG)(command)
app.add_typer(database, name="db")
for of_scenarios in (
    scenario_commands.generate,
    scenario_commands.validate,
    scenario_commands.stats,
    scenario_commands.plots,
    scenario_commands.init,
):
    scenarios.command(epilog=EPILOG)(of_scenarios)
app.add_typer(scenarios, name="scenarios")
stream.command(epilog=EPILOG)(replay)
app.add_typer(stream, name="stream")
app.add_typer(objects, name="objects")
app.add_typer(exchange, name="exchange")
for of_stack in (deploy_check.check, backup_commands.backup, backup_commands.restore):
    deploy.command(epilog=EPILOG)(of_stack)
app.add_typer(deploy, name="deploy")
