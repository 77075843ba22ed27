"""The platform's errors: one root, below it what a retry can cure and what it cannot.

Constructors take facts and compose one line that says what is wrong, where, and what to do.
The command line prints that line and exits with ``exit_code``; Airflow tasks retry ``Retryable``
errors only.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path


class LascopfError(Exception):
    """Root of every error the platform raises on purpose."""

    exit_code = 1


class Retryable(LascopfError):
    """The same call may succeed later without anybody changing anything."""

    exit_code = 4


class Permanent(LascopfError):
    """The same call fails again until somebody changes something."""

    exit_code = 2


class BadInput(Permanent):
    """A value given by a person or a file is wrong."""

    def __init__(self, field: str, value: object, remedy: str) -> None:
        super().__init__(f"{field}: {value!r} is not usable; {remedy}")
        self.field, self.value = field, value


class UnknownCase(Permanent):
    """No case goes by this name."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        super().__init__(f"case {name!r} is not known; use one of: {', '.join(known)}")


class SourceFileMissing(Permanent):
    """A source file is not where it should be."""

    def __init__(self, path: Path, remedy: str) -> None:
        super().__init__(f"source file {path} is missing; {remedy}")


class SourceFileBroken(Permanent):
    """A source file was read but is not what it should be."""

    def __init__(self, path: Path | str, fact: str, remedy: str) -> None:
        super().__init__(f"source file {path} is broken: {fact}; {remedy}")


class DayOutsideData(Permanent):
    """The asked day is not in the data."""

    def __init__(self, day: date, first: date, last: date, where: str) -> None:
        super().__init__(
            f"day {day.isoformat()} is not in {where}, which covers {first.isoformat()} to "
            f"{last.isoformat()}; choose a day in that range"
        )


class NoRows(Permanent):
    """A query that must find rows found none."""

    def __init__(self, table: str, where: str, remedy: str) -> None:
        super().__init__(f"table {table} has no rows for {where}; {remedy}")


class ChecksFailed(Permanent):
    """Data did not pass their checks; the run stops here."""

    exit_code = 3

    def __init__(self, subject: str, failed: Sequence[str], remedy: str) -> None:
        super().__init__(f"{subject} failed {len(failed)} check(s): {'; '.join(failed)}; {remedy}")
        self.failed = tuple(failed)


class NotSolved(Permanent):
    """A solver ended without a usable answer."""

    exit_code = 5

    def __init__(self, kind: str, case: str, status: str, remedy: str) -> None:
        super().__init__(f"{kind} of case {case} ended {status}; {remedy}")


class SolverAbsent(Retryable):
    """Nobody works on the exchange queue."""

    def __init__(self, queue: Path, fact: str) -> None:
        super().__init__(
            f"no solver works on the exchange queue {queue}: {fact}; start one (docs/EXCHANGE.md), "
            "then run this again: the request waits there"
        )


class SolverLate(Retryable):
    """A request was not answered in time."""

    def __init__(self, request_id: str, seconds: float, fact: str) -> None:
        super().__init__(
            f"request {request_id} was not answered within {seconds:g} s: {fact}; run this again, "
            "it goes on where it is, or raise LASCOPF_EXCHANGE_WAIT_SECONDS"
        )


class SolverCrashed(Permanent):
    """The solver gave a request up, or died of it as often as it may."""

    exit_code = 5

    def __init__(self, request_id: str, reason: str, attempts: int, log: str) -> None:
        ending = f"; its log ends: {log}" if log else ""
        super().__init__(
            f"the solver failed on request {request_id} ({attempts} attempt(s)): {reason}{ending}; "
            "correct the cause and run this again"
        )


class AnswerRefused(Permanent):
    """An outside solver's answer is not sound, or answers something else."""

    exit_code = 3

    def __init__(self, request_id: str, fact: str) -> None:
        super().__init__(
            f"the answer to request {request_id} is refused: {fact}; report this to the solver's "
            "makers, or use --solver highs"
        )
        self.fact = fact


class DatabaseUnavailable(Retryable):
    """The server does not answer."""

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(f"database {where} does not answer: {reason}; start it or correct its URL")


class DatabaseBusy(Retryable):
    """The server gave the work up for others' sake: a deadlock, too many sessions."""

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(f"database {where} gave the work up: {reason}; run it again")


class DatabaseRefused(Permanent):
    """The server answers but refuses the work: credentials, privileges, read-only."""

    exit_code = 6

    def __init__(self, where: str, reason: str, remedy: str) -> None:
        super().__init__(f"database {where} refuses: {reason}; {remedy}")


class MigrationFailed(Permanent):
    """A migration was rolled back; the schema is as before."""

    exit_code = 6

    def __init__(self, name: str, where: str, reason: str) -> None:
        super().__init__(
            f"migration {name} on {where} failed and was rolled back: {reason}; "
            "correct the cause and run `lascopf db migrate` again"
        )


class ObjectStoreFailed(Retryable):
    """The object store did not take or give an object."""

    def __init__(self, uri: str, reason: str, remedy: str) -> None:
        super().__init__(f"object store {uri}: {reason}; {remedy}")


class ObjectStoreRefused(Permanent):
    """The object store does not let us in, or has not what was asked."""

    exit_code = 6

    def __init__(self, uri: str, reason: str, remedy: str) -> None:
        super().__init__(f"object store {uri} refuses: {reason}; {remedy}")


class StreamUnavailable(Retryable):
    """The broker does not answer."""

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(
            f"stream {where} does not answer: {reason}; start the broker or correct "
            "LASCOPF_KAFKA_BOOTSTRAP"
        )


class StreamRefused(Permanent):
    """The broker answers but does not let us read, or holds not what it should."""

    exit_code = 6

    def __init__(self, where: str, reason: str, remedy: str) -> None:
        super().__init__(f"stream {where} refuses: {reason}; {remedy}")


class Fenced(Permanent):
    """Another process has claimed a partition since, or stored what this one was about to."""

    exit_code = 6

    def __init__(self, places: Sequence[tuple[str, int]]) -> None:
        names = ", ".join(f"{topic}/{partition}" for topic, partition in sorted(places))
        super().__init__(f"stream partitions {names} were claimed by another process; end one")
        self.places = tuple(places)


class DecisionsTaken(Permanent):
    """Another process decides for the case since."""

    exit_code = 6

    def __init__(self, case: str, holder: str) -> None:
        super().__init__(f"decisions for case {case} were taken over by {holder}; end one of both")


class DiskFull(Permanent):
    """No space is left where the platform must write."""

    exit_code = 6

    def __init__(self, path: Path | str, reason: str = "no space left on device") -> None:
        super().__init__(f"cannot write {path}: {reason}; free some space and run again")


class PortInUse(Permanent):
    """Another program listens on a port that the platform needs."""

    exit_code = 6

    def __init__(self, port: int, setting: str) -> None:
        super().__init__(
            f"port {port} on 127.0.0.1 is in use; stop what listens there or set {setting} "
            "to a free port"
        )


class ProcessFailed(Permanent):
    """A child process ended when it should have run."""

    exit_code = 6

    def __init__(self, name: str, fact: str, log: Path | str) -> None:
        super().__init__(f"{name} {fact}; its log is {log}")


class StackRefused(Permanent):
    """The compose stack, or the Docker engine under it, does not do what was asked."""

    exit_code = 6

    def __init__(self, what: str, reason: str, remedy: str) -> None:
        super().__init__(f"{what}: {reason}; {remedy}")


class RunFailed(Permanent):
    """A pipeline run ended failed."""

    exit_code = 5

    def __init__(self, dag_id: str, run_id: str, fact: str, where: str) -> None:
        super().__init__(f"run {run_id} of {dag_id} ended failed: {fact}; see {where}")


class AirflowUnavailable(Retryable):
    """Airflow's API does not answer."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"Airflow at {url} does not answer: {reason}; start it with `lascopf up`")


class AirflowRefused(Permanent):
    """Airflow's API answers but refuses."""

    exit_code = 6

    def __init__(self, url: str, status: int, reason: str) -> None:
        remedy = (
            "the password is in LASCOPF_HOME/airflow/passwords.json; "
            "is another Airflow on this port?"
            if status in (401, 403)
            else "see `lascopf status`"
        )
        super().__init__(f"Airflow at {url} refuses ({status}): {reason}; {remedy}")
        self.status = status
