"""Airflow's settings for the local stack: everything through the environment, secrets in files.

Secrets are made once, kept in files of mode 0600 below `<home>/airflow`, and reach Airflow's
components by their environment, never by their arguments.
"""

from __future__ import annotations

import base64
import errno
import json
import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from data_engineering.model.errors import BadInput, DiskFull
from data_engineering.settings import Settings

HOST = "127.0.0.1"
ADMIN = "admin"
_PASSWORDS = "passwords.json"

_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Credentials:
    """Who logs in to Airflow, and where."""

    url: str
    user: str
    password: str


def airflow_home(home: Path) -> Path:
    """Folder of Airflow's own files."""
    return home / "airflow"


def private_folder(home: Path) -> Path:
    """The same, made where it is missing, for its owner only.

    Raises:
        BadInput: the state folder cannot be written.
        DiskFull: there is no space for it.
    """
    folder = airflow_home(home)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(folder) from None
        reason = os.strerror(error.errno or 0).lower()
        remedy = f"{reason}: choose a folder you can write to"
        raise BadInput("LASCOPF_HOME", str(home), remedy) from None
    return folder


def passwords_file(home: Path) -> Path:
    """File of Airflow's SimpleAuthManager: one JSON object, user to password."""
    return airflow_home(home) / _PASSWORDS


def address(settings: Settings) -> str:
    """Where the local Airflow answers."""
    return f"http://{HOST}:{settings.airflow_port}"


def credentials(settings: Settings) -> Credentials:
    """The administrator's login; its password is generated at the first call."""
    path = private_folder(settings.home) / _PASSWORDS
    made = _kept(path, lambda: json.dumps({ADMIN: secrets.token_urlsafe(12)}))
    return Credentials(address(settings), ADMIN, json.loads(made)[ADMIN])


def environment(settings: Settings, database_url: str) -> dict[str, str]:
    """The environment of every Airflow process of the stack.

    Args:
        settings: ports, folders and parallelism.
        database_url: Airflow's own database.
    """
    folder = private_folder(settings.home)
    credentials(settings)
    sections = {
        "core": _core(settings),
        "database": {"sql_alchemy_conn": database_url, "check_migrations": "False"},
        "api": {
            "host": HOST,
            "port": str(settings.airflow_port),
            "workers": "1",
            "base_url": address(settings),
            "secret_key": _secret(folder, "api_secret_key"),
        },
        "api_auth": {"jwt_secret": _secret(folder, "jwt_secret")},
        "logging": {
            "base_log_folder": str(folder / "logs"),
            "dag_processor_child_process_log_directory": str(folder / "logs" / "dag_processor"),
            "file_task_handler_new_folder_permissions": "0o700",
            "file_task_handler_new_file_permissions": "0o600",
            "colored_console_log": "False",
        },
        "scheduler": _SCHEDULER,
        "dag_processor": {
            "refresh_interval": "30",
            "bundle_refresh_check_interval": "1",
            "min_file_process_interval": "30",
            "parsing_processes": "1",
        },
        "triggerer": {"job_heartbeat_sec": "5"},
        "workers": {"min_heartbeat_interval": "1"},
        "usage_data_collection": {"enabled": "False"},
    }
    variables = {
        f"AIRFLOW__{section.upper()}__{name.upper()}": value
        for section, options in sections.items()
        for name, value in options.items()
    }
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("AIRFLOW")}
    return {
        **inherited,
        **variables,
        "AIRFLOW_HOME": str(folder),
        "LASCOPF_HOME": str(settings.home),
        "GX_ANALYTICS_ENABLED": "false",
        "PYTHONUNBUFFERED": "1",
    }


# A scheduler that was killed is given up after 20 s without a heartbeat; the next one looks for
# its tasks every 5 s and queues them again, so that a restarted run goes on within half a minute.
_SCHEDULER = {
    "scheduler_idle_sleep_time": "0.2",
    "scheduler_heartbeat_sec": "2",
    "scheduler_health_check_threshold": "20",
    "orphaned_tasks_check_interval": "5",
    "task_instance_heartbeat_timeout": "60",
    "task_queued_timeout": "120",
    "task_queued_timeout_check_interval": "15",
}


def _core(settings: Settings) -> dict[str, str]:
    return {
        "executor": "LocalExecutor",
        "parallelism": str(settings.parallelism),
        "dags_folder": str(settings.dags_folder or _ROOT / "dags"),
        "plugins_folder": str(settings.plugins_folder or _ROOT / "plugins"),
        "load_examples": "False",
        "fernet_key": _fernet_key(airflow_home(settings.home)),
        "execution_api_server_url": f"{address(settings)}/execution/",
        "simple_auth_manager_users": f"{ADMIN}:admin",
        "simple_auth_manager_passwords_file": str(passwords_file(settings.home)),
    }


def _secret(folder: Path, name: str) -> str:
    return _kept(folder / name, lambda: secrets.token_urlsafe(64))


def _fernet_key(folder: Path) -> str:
    return _kept(
        folder / "fernet_key", lambda: base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
    )


def _kept(path: Path, make: Callable[[], str]) -> str:
    """The content of a private file, made when it is missing; two makers agree on one content."""
    if not path.exists():
        fresh = path.with_name(f"{path.name}.{os.getpid()}")
        fresh.touch(mode=0o600)
        fresh.write_text(make())
        with suppress(FileExistsError):
            os.link(fresh, path)
        fresh.unlink()
    return path.read_text().strip()
