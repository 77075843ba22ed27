"""What is wrong with the `.env` of the compose stack, told before anything starts."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

_SECRET = re.compile(r"_(PASSWORD|KEY)$|^AIRFLOW_JWT_SECRET$")
_LETTERS = re.compile(r"[A-Za-z0-9_=-]+")
_COMMON = re.compile(
    r"pass|secret|change|admin|default|example|minio|postgres|lascopf|airflow|redis|1234|qwert",
    re.IGNORECASE,
)
_LENGTH, _JWT_LENGTH = 16, 64
_DIFFERENT = 8  # of 16 random letters out of 64 fewer than 8 differ once in a billion times


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        subject: what it is about, such as a variable, a port or an image.
        verdict: `error` hinders the start, `warning` does not.
        text: what is wrong and what to do, or how it is.
    """

    subject: str
    verdict: Literal["ok", "warning", "error"]
    text: str


def read_env(text: str) -> dict[str, str]:
    """The variables of an env file, quotes and comments at the end of a line taken off."""
    found = {}
    for line in text.splitlines():
        match = re.match(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)=(.*)", line)
        if match:
            value = re.sub(r"\s+#.*$", "", match[2]).strip()
            found[match[1]] = value.strip("'\"")
    return found


def secret_names(example: str) -> list[str]:
    """Names of the secrets: those that the example leaves empty."""
    return [n for n, value in read_env(example).items() if not value and _SECRET.search(n)]


def known_names(example: str, compose: str) -> set[str]:
    """Every name that the example shows, commented out or not, or the compose file reads."""
    shown = re.findall(r"(?m)^#?([A-Z][A-Z0-9_]*)=", example)
    return {*shown, *re.findall(r"\$\{([A-Z][A-Z0-9_]*)", compose)}


def check_env(folder: Path, environment: Mapping[str, str]) -> list[Finding]:
    """Look at `.env` beside the compose file.

    Args:
        folder: of `docker-compose.yml`, `.env.example` and `.env`.
        environment: variables of this process, which go before those of the file.
    """
    example = (folder / ".env.example").read_text()
    path = folder / ".env"
    if not path.is_file():
        return [Finding(".env", "error", f"{path} is missing; make it: make env")]
    values = read_env(path.read_text())
    names = secret_names(example)
    effective = {n: environment.get(n, values.get(n, "")) for n in names}
    files = sorted(folder.glob("docker-compose*.yml"))
    known = known_names(example, "".join(file.read_text() for file in files))
    found = [
        *_mode(path),
        *_unknown(values, known),
        *(finding for name in names for finding in check_secret(name, effective[name])),
        *_equal(effective),
    ]
    return found or [Finding(".env", "ok", f"{len(names)} secrets are set")]


def check_secret(name: str, value: str) -> Iterator[Finding]:
    """What is wrong with one secret; its value is never part of the answer."""

    def wrong(text: str) -> Finding:
        return Finding(name, "error", text)

    if not value:
        yield wrong("is missing or empty; give it a value in .env: make env")
    elif name == "AIRFLOW_FERNET_KEY":
        # While it is changed it is the new key, a comma, and the old one.
        if not all(_is_key(part) for part in value.split(",")):
            yield wrong("must be 32 bytes in URL-safe base64: openssl rand -base64 32 | tr +/ -_")
    elif not _LETTERS.fullmatch(value):
        yield wrong("stands in URLs: use letters, digits, - and _ only")
    elif name == "AIRFLOW_JWT_SECRET" and len(value) < _JWT_LENGTH:
        yield wrong(f"has {len(value)} letters; {_JWT_LENGTH} are needed")
    elif len(value) < _LENGTH:
        yield wrong(f"has {len(value)} letters; {_LENGTH} are needed")
    elif len(set(value)) < _DIFFERENT or (len(value) < 24 and _COMMON.search(value)):
        yield wrong("can be guessed; take a random one: openssl rand -base64 24 | tr +/ -_")


def _is_key(value: str) -> bool:
    try:
        return len(base64.urlsafe_b64decode(value)) == 32
    except (binascii.Error, ValueError):
        return False


def _mode(path: Path) -> Iterator[Finding]:
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        text = f"others may read it (mode {mode:o}); do: chmod 600 {path}"
        yield Finding(".env", "warning", text)


def _unknown(values: Mapping[str, str], known: set[str]) -> Iterator[Finding]:
    for name in values:
        if name not in known and not name.startswith(("COMPOSE_", "DOCKER_", "LASCOPF_")):
            yield Finding(name, "warning", "nothing reads it; compare its name with .env.example")


def _equal(values: Mapping[str, str]) -> Iterator[Finding]:
    first: dict[str, str] = {}
    for name, value in values.items():
        if value and value in first:
            yield Finding(name, "error", f"is the same as {first[value]}; give it one of its own")
        first.setdefault(value, name)
