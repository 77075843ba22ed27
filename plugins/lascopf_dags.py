"""What the DAG files share: assets, the retry rule, and how a task runs its function."""

from collections.abc import Mapping
from datetime import date, timedelta
from importlib import import_module
from typing import Any

from airflow.sdk import Asset, ExceptionRetryPolicy, Param, RetryAction, RetryRule

INGESTED_DAY = Asset("ingested_day", uri="lascopf://ingested_day")
SCENARIO_DATASET = Asset("scenario_dataset", uri="lascopf://scenario_dataset")

DAY = Param(
    None,
    type=["null", "string"],
    format="date",
    description="Day, as YYYY-MM-DD; empty: the partition of the run",
)

DEFAULT_ARGS = {
    "retries": 2,
    "retry_delay": timedelta(seconds=15),
    "execution_timeout": timedelta(minutes=30),
    # A killed task raises nothing and falls to the plain retries; so does a retryable error.
    "retry_policy": ExceptionRetryPolicy(
        rules=[
            RetryRule(
                "data_engineering.model.errors.Permanent",
                RetryAction.FAIL,
                reason="the same call fails until somebody changes something",
            )
        ]
    ),
}


def day(context: Mapping[str, Any]) -> date:
    """The day that the run is for: its parameter, else its partition."""
    return import_module("data_engineering.orchestration.steps").asked_day(context)


def asked_key(context: Mapping[str, Any]) -> str | None:
    """The key of the decision that the run serves: its parameter."""
    return import_module("data_engineering.orchestration.steps").asked_key(context)


def run(module: str, function: str, context: Mapping[str, Any], *arguments: Any) -> dict[str, Any]:
    """Run one function of `data_engineering.<module>` as a journalled step."""
    steps = import_module("data_engineering.orchestration.steps")
    owner = import_module(f"data_engineering.{module}")
    step = steps.Step.from_context(context)
    return steps.run_step(step, owner.ROLE, getattr(owner, function), *arguments)
