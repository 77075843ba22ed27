"""What a deployment needs before its first task: databases, schemas, logins, a bucket, topics.

Everything is made where it is missing and kept where it is, so that each start may do it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import urlsplit

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from data_engineering.model.errors import BadInput
from data_engineering.runtime import Runtime, open_runtime
from data_engineering.settings import SECRETS_FOLDER, Settings
from data_engineering.storage import migrations
from data_engineering.storage.buckets import ensure_bucket
from data_engineering.storage.logins import Login, close_database, ensure_database, ensure_login

AIRFLOW = "airflow"
"""Login and database of Airflow."""
MINIO_ADMIN = "minio-root"
WRITERS, READERS = ("ingest", "optimizer"), ("api_ro",)
ENTERING = ("migrator", "ingest", "optimizer", "api_ro", "grafana_ro")
"""Group roles whose members may enter the platform's databases."""
_PASSWORD = re.compile(r"[A-Za-z0-9_=-]{16,128}")


class DeploySecrets(BaseSettings):
    """Passwords that only the first start knows, besides the one of the databases' superuser."""

    model_config = SettingsConfigDict(env_prefix="LASCOPF_DEPLOY_", frozen=True)

    airflow_db_password: SecretStr
    worker_db_password: SecretStr
    stream_db_password: SecretStr
    reader_db_password: SecretStr
    minio_password: SecretStr | None = None

    @classmethod
    def read(cls) -> DeploySecrets:
        """From variables or from files.

        Raises:
            BadInput: one is missing or cannot stand in a URL.
        """
        folder = SECRETS_FOLDER if SECRETS_FOLDER.is_dir() else None
        found = cls(_secrets_dir=folder)
        for name in cls.model_fields:
            secret = getattr(found, name)
            if secret is not None and not _PASSWORD.fullmatch(secret.get_secret_value()):
                remedy = "give 16 to 128 letters, digits, - or _; `make env` makes one"
                raise BadInput(name.upper(), "(not shown)", remedy)
        return found


def prepare(settings: Settings, secrets: DeploySecrets, say: Callable[[str], None]) -> None:
    """Bring servers that may be empty to where the platform's services can start.

    Args:
        settings: URLs of a superuser's login, the object store, the broker.
        secrets: passwords of the logins that are made.
        say: told what was done.

    Raises:
        LascopfError: a server does not answer or refuses; what was done stays done.
    """
    with open_runtime(settings) as runtime:
        _databases(runtime, secrets, say)
    _bucket(settings, secrets, say)
    if settings.kafka_bootstrap:
        from data_engineering.ingestion.stream_publish import create_topics

        say(f"topics: {_names(create_topics(settings))}")


def _databases(runtime: Runtime, secrets: DeploySecrets, say: Callable[[str], None]) -> None:
    airflow = Login(AIRFLOW, secrets.airflow_db_password.get_secret_value())
    ensure_login(runtime.metadata, airflow)
    new = ensure_database(runtime.metadata, AIRFLOW, owner=AIRFLOW)
    say(f"database {AIRFLOW}: {'made' if new else 'is there'}")
    logins = (
        Login("lascopf_worker", secrets.worker_db_password.get_secret_value(), WRITERS),
        Login("lascopf_stream", secrets.stream_db_password.get_secret_value(), WRITERS),
        Login("lascopf_reader", secrets.reader_db_password.get_secret_value(), READERS),
    )
    say(f"migrations of timeseries: {_names(migrations.migrate(runtime.timeseries, 'timeseries'))}")
    say(f"migrations of metadata: {_names(migrations.migrate(runtime.metadata, 'metadata'))}")
    for engine in (runtime.timeseries, runtime.metadata):
        close_database(engine, ENTERING)
        made = [login.name for login in logins if ensure_login(engine, login)]
        say(f"logins of {engine.url.database}: {_names(made)}")


def _bucket(settings: Settings, secrets: DeploySecrets, say: Callable[[str], None]) -> None:
    url = urlsplit(settings.objects_url or "")
    keys = (settings.s3_access_key, settings.s3_secret_key)
    if secrets.minio_password is None or url.scheme != "s3" or settings.s3_endpoint is None:
        say("object store: not MinIO; its bucket is expected to be there")
        return
    if keys[0] is None or keys[1] is None:
        raise BadInput("LASCOPF_S3_ACCESS_KEY", None, "give the key and LASCOPF_S3_SECRET_KEY")
    new = ensure_bucket(
        settings.s3_endpoint,
        url.netloc,
        (MINIO_ADMIN, secrets.minio_password.get_secret_value()),
        (keys[0].get_secret_value(), keys[1].get_secret_value()),
    )
    say(f"bucket {url.netloc}: {'made' if new else 'is there'}")


def _names(made: list[str]) -> str:
    return ", ".join(made) or "nothing to do"
