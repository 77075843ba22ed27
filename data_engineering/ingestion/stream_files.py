"""The stream as a recorded file: one JSON object a line, in the order in which messages came.

A line has `topic`, `partition`, `offset`, `timestamp_ms`, `value` (text, or `value_base64` where
the bytes are not UTF-8) and maybe `key`. A line is read when its end is written.
"""

from __future__ import annotations

import base64
import json
import time
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from data_engineering.model.errors import BadInput, SourceFileBroken, SourceFileMissing
from data_engineering.model.stream import Claim, Place, RawMessage

_LINES_AT_ONCE, _BYTES_AT_ONCE = 20_000, 32_000_000


class FileSource:
    """A recorded file as a source of the stream service; see `kafka_consumers.KafkaSource`.

    Args:
        path: the file.
        follow: wait for more lines at the end instead of ending there.
    """

    def __init__(self, path: Path, *, follow: bool = False) -> None:
        if not path.is_file():
            raise SourceFileMissing(path, "record one by `lascopf stream replay --to`")
        self.name = f"file:{path.absolute()}"
        self.follow = follow
        self._path, self._line = path, 0
        self._file = path.open("rb")
        self._rest = b""
        self._next: dict[Place, int] = {}
        self._gained: set[Place] = set()
        self._held: list[RawMessage] = []
        self._paused = False
        self._ended = False

    @property
    def exhausted(self) -> bool:
        """Whether everything was handed out and no more is awaited."""
        return self._ended and not self._held and not self.follow

    def poll(self, seconds: float) -> list[RawMessage]:
        """The next messages of started partitions; waits for some at most so long."""
        if self._paused:
            time.sleep(seconds)
            return []
        if not self._held:
            self._held = list(self._read())
            self._ended = not self._held
        if not self._held:
            time.sleep(min(seconds, 0.05) if self.follow else 0)
            return []
        new = {Place(m.topic, m.partition) for m in self._held} - self._next.keys()
        self._gained |= new
        if new:
            return []
        found = []
        for message in self._held:
            place = Place(message.topic, message.partition)
            if message.offset >= self._next[place]:
                self._next[place] = message.offset + 1
                found.append(message)
        self._held = []
        return found

    def rebalanced(self) -> tuple[set[Place], set[Place]]:
        """Partitions lost and gained since the last call; a file never loses any."""
        gained, self._gained = self._gained, set()
        return set(), gained

    def start(self, claims: Mapping[Place, Claim]) -> None:
        """Read the claimed partitions from where their books end; any of them again."""
        again = bool(self._next.keys() & claims.keys())
        self._next.update({place: claim.next_offset for place, claim in claims.items()})
        if again:  # what was handed out is wanted once more
            self._file.seek(0)
            self._rest, self._line, self._held, self._ended = b"", 0, [], False

    def pause(self) -> None:
        """Hand out nothing until `resume`."""
        self._paused = True

    def resume(self) -> None:
        """Hand out messages again."""
        self._paused = False

    def lag(self, claims: Mapping[Place, Claim]) -> int | None:
        """Messages that wait; a file does not know before it is read."""
        return None

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _read(self) -> Iterator[RawMessage]:
        first = self._file.tell()
        for _ in range(_LINES_AT_ONCE):
            if self._file.tell() - first > _BYTES_AT_ONCE:
                return
            line = self._rest + self._file.readline()
            if not line.endswith(b"\n"):
                self._rest = line
                return
            self._rest, self._line = b"", self._line + 1
            if line.strip():
                yield _message(self._path, self._line, line)


def read_messages(path: Path) -> Iterator[RawMessage]:
    """All messages of a recorded file.

    Raises:
        SourceFileMissing, SourceFileBroken: there is none, or a line is not a message.
    """
    if not path.is_file():
        raise SourceFileMissing(path, "record one by `lascopf stream replay --to`")
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield _message(path, number, line)


def to_line(message: RawMessage) -> str:
    """A message as a line of a recorded file."""
    record: dict[str, Any] = {
        "topic": message.topic,
        "partition": message.partition,
        "offset": message.offset,
        "timestamp_ms": message.timestamp_ms,
    }
    for name, value in (("key", message.key), ("value", message.value)):
        if value is None:
            continue
        try:
            record[name] = value.decode()
        except UnicodeDecodeError:
            record[f"{name}_base64"] = base64.b64encode(value).decode()
    return json.dumps(record, ensure_ascii=False) + "\n"


class FilePublisher:
    """Messages appended to a recorded file; offsets go on from those that it holds.

    One process at a time may append.
    """

    def __init__(self, path: Path, partitions: int = 1) -> None:
        if partitions < 1:
            raise BadInput("partitions", partitions, "give 1 or more")
        self._partitions = partitions
        self._next: dict[Place, int] = {}
        if path.exists():
            for message in read_messages(path):
                self._next[Place(message.topic, message.partition)] = message.offset + 1
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a", encoding="utf-8")

    def send(
        self, topic: str, key: bytes | None, value: bytes, timestamp_ms: int | None = None
    ) -> None:
        """Append a message; those of one key stay in one partition, in their order."""
        at = time.time_ns() // 1_000_000 if timestamp_ms is None else timestamp_ms
        place = Place(topic, zlib.crc32(key or b"") % self._partitions)
        offset = self._next.get(place, 0)
        self._file.write(to_line(RawMessage(*place, offset, at, key, value)))
        self._next[place] = offset + 1

    def flush(self) -> None:
        """Let readers see what was sent."""
        self._file.flush()

    def close(self) -> None:
        """Write out and close the file."""
        self._file.close()

    def __enter__(self) -> FilePublisher:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _message(path: Path, number: int, line: bytes) -> RawMessage:
    try:
        record = json.loads(line)
        key, value = (_bytes(record, name) for name in ("key", "value"))
        where = (record["topic"], record["partition"], record["offset"])
        at = record.get("timestamp_ms", 0)
        if value is None or not isinstance(where[0], str):
            raise KeyError("value" if value is None else "topic")
        if any(type(n) is not int for n in (*where[1:], at)) or min(where[1:]) < 0:
            raise TypeError("partition, offset and timestamp_ms are whole numbers")
        return RawMessage(*where, at, key, value)
    except (ValueError, KeyError, TypeError) as error:
        fact = f"line {number} is not a recorded message ({error})"
        raise SourceFileBroken(path, fact, "record it again, or leave the line out") from None


def _bytes(record: Mapping[str, Any], name: str) -> bytes | None:
    if f"{name}_base64" in record:
        return base64.b64decode(record[f"{name}_base64"], validate=True)
    value = record.get(name)
    return None if value is None else value.encode()
