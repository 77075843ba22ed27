"""From settings to open stores. Opened inside tasks and commands, never at import."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from pydantic import SecretStr
from sqlalchemy.engine import Engine

from data_engineering.settings import Settings, get_settings
from data_engineering.storage import embedded
from data_engineering.storage.database import open_engine, with_password
from data_engineering.storage.objects import ObjectStore, open_store


@dataclass(frozen=True)
class StoreUrls:
    """Where everything is kept; with passwords, so print them by `database.redact` only."""

    timeseries: str
    metadata: str
    airflow: str
    objects: str


@dataclass(frozen=True)
class Runtime:
    """Open stores; a context manager that closes their sessions."""

    settings: Settings
    timeseries: Engine
    metadata: Engine
    objects: ObjectStore

    def __enter__(self) -> Runtime:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.timeseries.dispose()
        self.metadata.dispose()


def store_urls(settings: Settings) -> StoreUrls:
    """The configured URLs; those that are not set are the embedded server's, which is started.

    Raises:
        LascopfError: the embedded server is needed and does not start; see `embedded.start`.
    """
    timeseries, metadata = _data_urls(settings)
    airflow = _reveal(settings.airflow_url) or embedded.start(settings.home).airflow_url
    return StoreUrls(timeseries, metadata, airflow, _objects_url(settings))


def open_runtime(settings: Settings | None = None, role: str | None = None) -> Runtime:
    """Open the stores that the settings choose.

    Args:
        settings: None for those of the environment.
        role: database role whose privileges suffice, such as `ingest`; None for the login's own.

    Raises:
        BadInput: a URL is not usable.
        LascopfError: the embedded server is needed and does not start.
    """
    settings = settings or get_settings()
    timeseries, metadata = _data_urls(settings)
    return Runtime(
        settings,
        open_engine(timeseries, role),
        open_engine(metadata, role),
        open_objects(settings),
    )


def open_objects(settings: Settings) -> ObjectStore:
    """The object store alone; no database is looked at.

    Raises:
        BadInput: the URL is not usable.
    """
    return open_store(
        _objects_url(settings),
        endpoint=settings.s3_endpoint,
        access_key=_reveal(settings.s3_access_key),
        secret_key=_reveal(settings.s3_secret_key),
        region=settings.s3_region,
    )


def folder_url(folder: Path) -> str:
    """A local folder as an object store's URL."""
    return folder.expanduser().absolute().as_uri()


def _objects_url(settings: Settings) -> str:
    return settings.objects_url or folder_url(settings.home / "objects")


def _data_urls(settings: Settings) -> tuple[str, str]:
    """Time series and metadata; Airflow's own database may be elsewhere and is not looked at."""
    password = _reveal(settings.database_password)
    timeseries = with_password(_reveal(settings.timeseries_url), password)
    metadata = with_password(_reveal(settings.metadata_url), password)
    if timeseries is None or metadata is None:
        ours = embedded.start(settings.home)
        timeseries, metadata = timeseries or ours.timeseries_url, metadata or ours.metadata_url
    return timeseries, metadata


def _reveal(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret is not None else None
