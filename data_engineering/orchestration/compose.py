"""The compose stack through its own command line: what runs, and programs run in its containers."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from data_engineering.model.errors import BadInput, StackRefused

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Compose:
    """One project of `docker compose`; its methods raise StackRefused when Docker refuses.

    Attributes:
        folder: where `docker-compose.yml` and `.env` are.
        project: name of the project; None for that of the folder or of COMPOSE_PROJECT_NAME.
        given: variables that go before those of the environment and of `.env`.
    """

    folder: Path
    project: str | None = None
    given: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, folder: Path, project: str | None = None) -> Compose:
        """The project of a folder.

        Raises:
            BadInput: there is no compose file.
        """
        if not (folder / "docker-compose.yml").is_file():
            raise BadInput("folder", str(folder), "give the one with docker-compose.yml")
        return cls(folder, project)

    def config(self) -> dict[str, Any]:
        """The compose file with its variables filled in; secrets too, unless `given` hides them."""
        document: dict[str, Any] = json.loads(self.ask("config", "--format", "json"))
        return document

    def running(self) -> list[str]:
        """Names of the services that have a running container."""
        words = ("ps", "--services", "--filter", "status=running")
        return sorted(self.ask(*words).split())

    def ask(self, *words: str) -> str:
        """What `docker compose WORDS` prints."""
        return self._communicate(words, None).decode()

    def shell(self, service: str, script: str, data: bytes | None = None) -> str:
        """What a shell script in a running container of the service prints.

        Args:
            service: name in the compose file.
            script: for `sh -e`.
            data: its standard input.
        """
        return self._communicate(_within(service, script), data).decode()

    def save(self, words: Sequence[str], target: Path) -> str:
        """Write what a command prints into a new file of mode 0600; the SHA-256 of its bytes."""
        target.touch(mode=0o600, exist_ok=False)
        with target.open("r+b") as file:
            self._run(words, stdout=file)
            file.seek(0)
            return hashlib.file_digest(file, "sha256").hexdigest()

    def feed(self, words: Sequence[str], source: Path) -> None:
        """Give a file to a command as its standard input."""
        with source.open("rb") as file:
            self._run(words, stdin=file)

    def save_shell(self, service: str, script: str, target: Path) -> str:
        """As `save`, of a shell script in a running container."""
        return self.save(_within(service, script), target)

    def feed_shell(self, service: str, script: str, source: Path) -> None:
        """As `feed`, of a shell script in a running container."""
        self.feed(_within(service, script), source)

    def _communicate(self, words: Sequence[str], data: bytes | None) -> bytes:
        with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as target:
            source.write(data or b"")
            source.seek(0)
            self._run(words, source, target)
            target.seek(0)
            return target.read()

    def _run(
        self,
        words: Sequence[str],
        stdin: int | IO[bytes] = subprocess.DEVNULL,
        stdout: int | IO[bytes] = subprocess.DEVNULL,
    ) -> None:
        """Run a command to its end; warnings go to the log, a failure becomes an error."""
        project = [] if self.project is None else ["--project-name", self.project]
        command = ["docker", "compose", *project, *words]
        try:
            done = subprocess.run(  # noqa: S603 - no shell; the words are our own
                command,
                cwd=self.folder,
                env={**os.environ, **self.given},
                stdin=stdin,
                stdout=stdout,
                stderr=subprocess.PIPE,
            )
        except FileNotFoundError:
            raise StackRefused("docker", "is not on PATH", "install Docker with compose") from None
        lines = [line.strip() for line in done.stderr.decode(errors="replace").splitlines()]
        lines = [line for line in lines if line]
        if done.returncode != 0:
            reason = "; ".join(lines[-3:]) or f"exit code {done.returncode}"
            what = " ".join(("docker compose", *_named(words)))
            raise StackRefused(what, reason[:600], "see `docker compose ps` and its logs")
        for line in lines:
            _log.info("docker compose %s: %s", words[0], line)


def _within(service: str, script: str) -> list[str]:
    return ["exec", "-T", service, "sh", "-ec", script]


def _named(words: Sequence[str]) -> list[str]:
    """A command in a few words for a message."""
    return [word if len(word) < 100 else f"{word[:97]}..." for word in words]
