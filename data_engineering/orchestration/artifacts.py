"""Records of the files that the pipelines make."""

from __future__ import annotations

from datetime import date

from data_engineering.runtime import Runtime
from data_engineering.storage import metadata
from data_engineering.storage.objects import Stored


def register(
    runtime: Runtime, stored: Stored, kind: str, day: date, execution_id: str | None = None
) -> None:
    """Record one stored object; see `metadata.register_artifact`."""
    metadata.register_artifact(
        runtime.metadata,
        uri=stored.uri,
        kind=kind,
        case_name=runtime.settings.case_name,
        content_digest=stored.digest,
        byte_count=stored.byte_count,
        execution_id=execution_id,
        day=day,
    )
