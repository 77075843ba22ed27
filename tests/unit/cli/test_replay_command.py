"""`lascopf stream replay`: what it writes and what it refuses."""

from __future__ import annotations

import json

import pytest

from data_engineering.ingestion.stream_files import read_messages

WINDOW = ("--from", "2020-07-06T14:00", "--until", "2020-07-06T14:10")


def test_it_appends_a_feed_and_its_truth(lascopf, tmp_path):
    file, truth = tmp_path / "feed.jsonl", tmp_path / "truth.jsonl"
    for times in (1, 2):
        said = lascopf(
            "stream", "replay", "--to", f"file:{file}", *WINDOW, "--truth", str(truth), "--json"
        )
        assert said.code == 0
        assert said.document["messages"] == 4
        assert said.document["rows"] == 2 * 83
        assert said.document["newest"] == "2020-07-06T14:05:00+00:00"
        assert [m.offset for m in read_messages(file) if m.topic == "load_measurements"] == list(
            range(2 * times)
        )
    rows = [json.loads(line) for line in truth.read_text().splitlines()]
    assert len(rows) == 2 * 83


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["--to", "nowhere", *WINDOW], ["--to", "nowhere", "kafka or file:PATH"]),
        (["--to", "file:x", "--speed", "fast"], ["--speed", "fast", "max"]),
        (["--to", "file:x", "--speed", "-1"], ["--speed", "-1.0", "above 0"]),
        (["--to", "file:x", "--faults", "fire"], ["--faults", "fire", "garbage"]),
        (["--to", "file:x", "--from", "soon"], ["--from", "soon"]),
        (["--to", "file:x", "--until", "2020-07-05"], ["--until", "2020-07-05"]),
        (["--to", "kafka", *WINDOW], ["LASCOPF_KAFKA_BOOTSTRAP"]),
    ],
)
def test_what_is_wrong_is_one_line_that_names_it(lascopf, arguments, names, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = lascopf("stream", "replay", *arguments)
    assert said.code == (6 if "kafka" in arguments else 2)
    (line,) = [line for line in said.err.splitlines() if line.startswith("error")]
    assert all(name in line for name in names)
    assert not (tmp_path / "x").exists()
