"""From errors to one line and an exit code; never a traceback on the screen."""

from __future__ import annotations

import errno
import logging
import signal
import sys
import tempfile
from collections.abc import Sequence
from logging.handlers import RotatingFileHandler
from pathlib import Path

import typer
from pydantic import ValidationError
from pydantic_settings import SettingsError
from typer._click.exceptions import ClickException

from data_engineering.cli.output import write_json
from data_engineering.model.errors import DiskFull, LascopfError
from data_engineering.settings import Settings, get_settings

UNEXPECTED, BAD_INPUT, INTERRUPTED = 1, 2, 130

log = logging.getLogger(__name__)


class _Signalled(BaseException):
    """A signal asks us to end; like an interrupt it passes everything that cleans up."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.signal = signal.Signals(number)


def run(app: typer.Typer, arguments: Sequence[str]) -> int:
    """Run the command of `arguments`; its exit code."""
    as_json = "--json" in arguments
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)
    try:
        code = app(list(arguments), standalone_mode=False, prog_name="lascopf")
        if code == INTERRUPTED:  # typer turns the interrupt into this
            return _say("interrupted", INTERRUPTED, as_json)
        return code if isinstance(code, int) else 0
    except LascopfError as error:
        return _say(str(error), error.exit_code, as_json)
    except ClickException as error:
        return _say(f"{error.format_message()} (see `lascopf --help`)", error.exit_code, as_json)
    except ValidationError as error:
        if error.title != Settings.__name__:
            return _unexpected(error, as_json)
        return _say(_wrong_settings(error), BAD_INPUT, as_json)
    except SettingsError as error:
        return _say(f"settings: {error}; correct the LASCOPF_ variable", BAD_INPUT, as_json)
    except _Signalled as error:
        return _say(f"ended by {error.signal.name}", 128 + error.signal, as_json)
    except BrokenPipeError:
        sys.stderr.close()  # the reader has had enough; there is nobody to tell
        return 0
    except Exception as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            full = DiskFull(error.filename or "a file")
            return _say(str(full), full.exit_code, as_json)
        return _unexpected(error, as_json)


def log_to_file() -> Path:
    """Send log records to `<home>/logs/lascopf.log`; the file."""
    path = _log_path()
    if not any(isinstance(h, RotatingFileHandler) for h in logging.getLogger().handlers):
        handler = RotatingFileHandler(path, maxBytes=2_000_000, backupCount=2)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        logging.getLogger().addHandler(handler)
        logging.getLogger("data_engineering").setLevel(logging.INFO)
    return path


def _log_path() -> Path:
    try:
        folder = get_settings().home / "logs"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / "lascopf.log").open("a").close()
    except (OSError, ValidationError, SettingsError):
        folder = Path(tempfile.mkdtemp(prefix="lascopf-"))
    return folder / "lascopf.log"


def _leave(number: int, frame: object) -> None:
    raise _Signalled(number)


def _wrong_settings(error: ValidationError) -> str:
    parts = []
    for item in error.errors():
        name = "LASCOPF_" + "__".join(str(part) for part in item["loc"]).upper()
        parts.append(f"{name}={item['input']!r} is not usable: {item['msg']}")
    return "; ".join(parts) + "; correct or unset the variable"


def _unexpected(error: Exception, as_json: bool) -> int:
    path = log_to_file()
    log.error("unexpected error", exc_info=error)
    text = " ".join(str(error).split())[:300]
    return _say(
        f"unexpected {type(error).__name__}: {text}; details in {path}", UNEXPECTED, as_json
    )


def _say(text: str, code: int, as_json: bool) -> int:
    print(f"error: {text}" if code < 128 else text, file=sys.stderr)  # noqa: T201
    if as_json:
        write_json({"status": "error", "error": text, "exit_code": code})
    return code
