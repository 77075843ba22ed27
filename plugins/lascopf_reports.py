"""The report of a run, as a tab of the run in Airflow's UI.

`/reports/run` finds the report that the run's last task named and serves it from the object
store. Whoever may see the DAG may see its reports. Everything heavy is imported at the first
request, since tasks load this file too.
"""

import re
from functools import cache
from typing import Any, ClassVar

from airflow.plugins_manager import AirflowPlugin

DAG_ID, TASK_ID = "model_execution", "report"
REPORT_KEY = re.compile(r"reports/[\w.-]+/\d{4}-\d{2}-\d{2}/[0-9a-f-]{36}\.html$")
HEADERS = {
    # The page's scripts draw its charts; they have no business with Airflow's cookies or API.
    "Content-Security-Policy": (
        "sandbox allow-scripts allow-downloads; default-src 'none'; img-src data: blob:; "
        "script-src 'unsafe-inline' 'unsafe-eval' blob:; style-src 'unsafe-inline'; font-src data:"
    ),
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


@cache
def build_app() -> Any:
    """The small web application; made once, in the api-server."""
    from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
    from airflow.api_fastapi.core_api.security import requires_access_dag
    from fastapi import Depends, FastAPI
    from fastapi.responses import HTMLResponse

    may_see = Depends(requires_access_dag("GET", DagAccessEntity.XCOM, DAG_ID))
    app = FastAPI(title="LASCOPF reports", openapi_url=None)

    @app.get("/run", dependencies=[may_see])
    def of_run(run_id: str) -> HTMLResponse:
        named = named_report(run_id)
        found = REPORT_KEY.search(named or "")
        if found is None:
            return HTMLResponse("<p>This run has not written its report.</p>", 404, HEADERS)
        return HTMLResponse(read_report(found.group()), 200, HEADERS)

    return app


def named_report(run_id: str) -> str | None:
    """The address that the report task of a run returned."""
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session

    with create_session() as session:
        query = XComModel.get_many(
            run_id=run_id, key="return_value", dag_ids=DAG_ID, task_ids=TASK_ID
        )
        row = session.execute(query.with_only_columns(XComModel.value)).first()
    value = None if row is None else XComModel.deserialize_value(row)
    return value.get("report") if isinstance(value, dict) else None


def read_report(key: str) -> bytes:
    """The bytes of a report in the object store."""
    from data_engineering.runtime import open_runtime

    with open_runtime() as runtime:
        return runtime.objects.read_bytes(key)


async def reports(scope: Any, receive: Any, send: Any) -> None:
    """The application as Airflow mounts it."""
    await build_app()(scope, receive, send)


class LascopfReports(AirflowPlugin):
    """Adds the tab `Report` to runs."""

    name = "lascopf_reports"
    fastapi_apps: ClassVar = [{"app": reports, "url_prefix": "/reports", "name": "LASCOPF reports"}]
    external_views: ClassVar = [
        {
            "name": "Report",
            "href": "/reports/run?run_id={RUN_ID}",
            "destination": "dag_run",
            "url_route": "report",
        }
    ]
