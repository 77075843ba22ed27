"""A day through `model_execution` with solver=julia; its answer is that of an embedded solve."""

from __future__ import annotations

from datetime import date

import pytest
from exchange_results import put_done, result_files, solved

from data_engineering.model.errors import BadInput, SolverLate
from data_engineering.orchestration import daily_ingest, model_execution
from data_engineering.orchestration.exchange_client import queue_of
from data_engineering.runtime import open_runtime
from data_engineering.serving.publish import report
from data_engineering.serving.results import load_execution

pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("default"),  # Great Expectations' own
]
DAY = date(2020, 7, 6)
WANTED = {
    "case": "rts_gmlc",
    "kind": "lascopf",
    "method": "default",
    "outages": "n-1",
    "horizon": 4,
    "commitment": "uc",
    "solver": "julia",
}


def test_a_day_by_julia_is_stored_like_any_other(store_settings):
    settings = store_settings.model_copy(update={"exchange_wait_seconds": 0.2})
    with open_runtime(settings) as runtime:
        daily_ingest.ingest_day(runtime, DAY, lambda _: None)
        with pytest.raises(BadInput, match="for solver julia use uc or on"):
            model_execution.plan(runtime, DAY, {**WANTED, "commitment": "relaxed"}, {})
        spec = model_execution.plan(runtime, DAY, WANTED, {})
        assert (spec["method"], spec["solver"]) == ("app", "julia")
        embedded = model_execution.plan(runtime, DAY, {**WANTED, "solver": "highs"}, {})
        assert embedded["execution_id"] != spec["execution_id"]
        model_execution.commit(runtime, spec)
        with pytest.raises(SolverLate, match="it waits behind 0 other"):
            model_execution.dispatch(runtime, spec)
        asked = model_execution.request_of(runtime, spec)
        assert asked.periods.count == 4 + settings.commitment_lookahead_hours
        put_done(queue_of(settings).root, asked, result_files(asked, solved(asked)))
        done = model_execution.dispatch(runtime, spec)
        model_execution.verify(runtime, spec)
        report(runtime, spec)
        found = load_execution(runtime.metadata, "rts_gmlc", DAY)
        row = found.execution
        assert (row["solver"], row["solver_version"], row["method"]) == ("embedded", "1", "app")
        assert row["objective_value"] == pytest.approx(done["objective"], rel=1e-12)
        intervals = found.tables["interval_results"]
        cost = intervals[["production_cost_usd", "start_cost_usd", "penalty_usd"]].to_numpy()
        assert cost.sum() == pytest.approx(done["objective"], rel=1e-9)
        assert intervals["ac_converged"].all()
