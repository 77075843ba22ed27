"""Whether the compose stack can start on this machine, told before anything starts."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil

from data_engineering.model.errors import SourceFileMissing, StackRefused
from data_engineering.orchestration.compose import Compose
from data_engineering.orchestration.compose_env import Finding, check_env, secret_names

# The oldest that the stack was run with.
_ENGINE, _COMPOSE = (20, 10), (2, 26)
_GB = 1e9
_MEMORY_GB, _DISK_GB = 8, 20  # docs/DEPLOYMENT.md, "Size"
_WAIT_SECONDS = 30
_DATABASES = {"timescaledb": "timescaledb-data", "postgres": "postgres-data"}


def check(stack: Compose) -> list[Finding]:
    """Everything that hinders the start, or will soon, all at once.

    Raises:
        SourceFileMissing: the folder has no `.env.example`, which names the secrets.
    """
    if not (stack.folder / ".env.example").is_file():
        raise SourceFileMissing(stack.folder / ".env.example", "run it in a whole checkout")
    found = check_env(stack.folder, os.environ)
    engine = _engine(stack)
    found += engine
    if any(finding.verdict == "error" for finding in engine):
        return found
    # No secret is read here; where some are missing, ports and images are looked at all the same.
    names = secret_names((stack.folder / ".env.example").read_text())
    filled = replace(stack, given=dict.fromkeys(names, "x"))
    try:
        config = filled.config()
        mine = filled.running()
    except StackRefused as error:
        return [*found, Finding("docker-compose.yml", "error", str(error))]
    found += check_ports(published(config, mine), listeners())
    found += _images(config)
    found += check_size(config, _facts(), _free_gb())
    found += _volumes(config)
    return found


def _engine(stack: Compose) -> list[Finding]:
    """Is Docker there, new enough, and do we reach it?"""
    remedy = "install Docker Engine with the compose plugin"
    if shutil.which("docker") is None:
        return [Finding("docker", "error", f"is not on PATH; {remedy}")]
    server = _docker("version", "--format", "{{.Server.Version}}")
    if server.returncode != 0:
        reason = (server.stderr.strip().splitlines() or ["it does not answer"])[-1]
        return [Finding("docker", "error", f"{reason}; start it, or let your user reach it")]
    found = [_at_least("Docker Engine", server.stdout, _ENGINE)]
    plugin = _docker("compose", "version", "--short")
    if plugin.returncode != 0:
        return [*found, Finding("docker compose", "error", f"is not there; {remedy}")]
    return [*found, _at_least("docker compose", plugin.stdout, _COMPOSE)]


def _at_least(what: str, version: str, needed: tuple[int, int]) -> Finding:
    version = version.strip().lstrip("v")
    numbers = tuple(int(n) for n in re.findall(r"\d+", version)[:2])
    if numbers < needed:
        text = f"{version} is too old; {needed[0]}.{needed[1]} is the oldest that works"
        return Finding(what, "error", text)
    return Finding(what, "ok", version)


def published(config: Mapping[str, Any], mine: Iterable[str]) -> list[tuple[str, str, int]]:
    """Service, address and port of what will listen on this machine, but what runs already."""
    skip = set(mine)
    return [
        (service, port.get("host_ip", "0.0.0.0"), int(port["published"]))  # noqa: S104 - Docker's
        for service, facts in config["services"].items()
        if service not in skip
        for port in facts.get("ports", [])
        if port.get("published")
    ]


def listeners() -> dict[int, str]:
    """Who listens on which port, as far as we may know."""
    found = {}
    try:
        for one in psutil.net_connections("tcp"):
            if one.status == psutil.CONN_LISTEN and one.pid and one.laddr:
                found[one.laddr.port] = f"{psutil.Process(one.pid).name()} (process {one.pid})"
    except (psutil.Error, OSError):
        pass  # only root may see the processes of others
    shown = _docker("ps", "--format", "{{.Names}} {{.Ports}}")
    for line in shown.stdout.splitlines():
        name, _, ports = line.partition(" ")
        for port in re.findall(r":(\d+)->", ports):
            found[int(port)] = f"container {name}"
    return found


def check_ports(
    wanted: Iterable[tuple[str, str, int]], holders: Mapping[int, str]
) -> Iterator[Finding]:
    """Is each port free, and wanted once?"""
    seen: dict[int, str] = {}
    for service, address, port in wanted:
        remedy = f"stop that, or give {service} another port in .env (see .env.example)"
        if port in seen:
            text = f"{service} and {seen[port]} both want it; change one *_PORT in .env"
            yield Finding(f"port {port}", "error", text)
        elif not _is_free(address, port):
            holder = holders.get(port, "another program")
            text = f"{holder} listens there, and {service} needs it; {remedy}"
            yield Finding(f"port {port}", "error", text)
        seen.setdefault(port, service)
    if seen:
        numbers = ", ".join(str(port) for port in sorted(seen))
        yield Finding("ports", "ok", f"looked at {numbers}")


def _is_free(address: str, port: int) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True


def _images(config: Mapping[str, Any]) -> Iterator[Finding]:
    """Is each image here, or can it be pulled or built?"""
    needed: dict[str, str] = {}
    for service, facts in config["services"].items():
        image, build = facts["image"], facts.get("build")
        if build is None or _is_here(image):
            needed.setdefault(image, service)
        else:
            for base in build.get("args", {}).values():
                needed.setdefault(base, f"the build of {image}")
    there = [image for image in needed if _is_here(image)]
    for image, wanted_by in needed.items():
        if image not in there:
            yield _pullable(image, wanted_by)
    yield Finding("images", "ok", f"{len(there)} of {len(needed)} are here")


def _is_here(image: str) -> bool:
    return _docker("image", "inspect", image, "--format", "here").returncode == 0


def _pullable(image: str, wanted_by: str) -> Finding:
    asked = _docker("manifest", "inspect", image)
    if asked.returncode == 0:
        return Finding(f"image {image}", "ok", "will be pulled")
    reason = (asked.stderr.strip().splitlines() or ["no reason given"])[-1]
    remedy = "correct its *_IMAGE in .env, log in to its registry, or `docker load` it"
    text = f"{wanted_by} needs it; it is not here and cannot be pulled ({reason}); {remedy}"
    return Finding(f"image {image}", "error", text)


def check_size(
    config: Mapping[str, Any], engine: Mapping[str, Any], free_gb: float | None
) -> Iterator[Finding]:
    """Are memory, processors and disk enough for the stack and for its limits?"""
    memory, processors = engine["MemTotal"] / _GB, engine["NCPU"]
    limits = 0.0
    for service, facts in config["services"].items():
        most = facts.get("deploy", {}).get("resources", {}).get("limits", {})
        if facts.get("restart") != "no":
            limits += int(most.get("memory", 0)) / _GB
        if float(most.get("cpus", 0)) > processors:
            text = f"may use {most['cpus']} processors and there are {processors}; Docker refuses "
            text += f"that: lower its *_CPUS in .env to {processors}"
            yield Finding(service, "error", text)
    if memory < _MEMORY_GB:
        text = f"{memory:.1f} GB; {_MEMORY_GB} are needed"
        yield Finding("memory", "error", text)
    elif memory < limits:
        text = f"{memory:.1f} GB, and the limits of all services are {limits:.1f}: if all of them "
        text += "are busy the kernel ends one; lower the *_MEMORY in .env"
        yield Finding("memory", "warning", text)
    else:
        yield Finding("memory", "ok", f"{memory:.1f} GB for limits of {limits:.1f}")
    if free_gb is not None:
        verdict: Any = "ok" if free_gb >= _DISK_GB else "error"
        text = f"{free_gb:.0f} GB free for images and volumes"
        if verdict == "error":
            text += f"; {_DISK_GB} are needed: docker system df shows what takes it"
        yield Finding("disk", verdict, text)


def _facts() -> dict[str, Any]:
    facts: dict[str, Any] = json.loads(_docker("info", "--format", "{{json .}}").stdout)
    return facts


def _free_gb() -> float | None:
    """Free space where Docker keeps images and volumes; None where that is another machine's."""
    folder = Path(_facts().get("DockerRootDir", ""))
    try:
        return shutil.disk_usage(folder).free / _GB
    except OSError:
        return None


def _volumes(config: Mapping[str, Any]) -> Iterator[Finding]:
    """Were existing databases made by the PostgreSQL that is about to run them?

    Older schemas are migrated by the first start, newer ones refused by it.
    """
    for service, key in _DATABASES.items():
        volume, facts = config["volumes"].get(key), config["services"].get(service)
        if volume is None or facts is None or not _is_here(facts["image"]):
            continue
        if _docker("volume", "inspect", volume["name"]).returncode != 0:
            continue
        image, place = facts["image"], f"{volume['name']}:/volume:ro"
        shown = _docker(
            *("run", "--rm", "--network", "none", "--volume", place, "--entrypoint", "sh", image),
            *("-c", "cat /volume/PG_VERSION; postgres --version"),
        )
        majors = re.findall(r"(?m)^(\d+)$|PostgreSQL\) (\d+)", shown.stdout)
        made, runs = ([a or b for a, b in majors] + ["", ""])[:2]
        if runs and made != runs:
            text = f"was made by PostgreSQL {made} and {image} is {runs}; take an image of {made}, "
            text += "or back it up with that and restore the backup into a new volume"
            yield Finding(f"volume {volume['name']}", "error", text)
        elif runs:
            yield Finding(f"volume {volume['name']}", "ok", f"of PostgreSQL {made}")


def _docker(*words: str) -> subprocess.CompletedProcess[str]:
    """Run `docker WORDS`; one that hangs counts as one that fails."""
    command = ["docker", *words]
    try:
        return subprocess.run(  # noqa: S603 - no shell; the words are our own
            command, capture_output=True, text=True, timeout=_WAIT_SECONDS
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 1, "", f"no answer in {_WAIT_SECONDS} s")
