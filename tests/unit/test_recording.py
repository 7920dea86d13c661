"""A recording holds what was observed, and nothing that makes it hard to read or to write by hand."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from nimble_watch import recording
from nimble_watch.objects import STRUCTS, Event, Pod
from nimble_watch.recording import RecordingError
from nimble_watch.signals import (
    Clock,
    ClusterFound,
    ClusterLost,
    LogTail,
    Output,
    OutputLost,
    PhaseEnded,
    PhaseStarted,
    Seen,
    Signal,
    Synced,
    Unseen,
)

POD = msgspec.json.decode(
    b"""{"metadata": {"name": "nim-0", "uid": "u1", "creationTimestamp": "2026-08-01T10:00:00Z",
    "annotations": {"meta.helm.sh/release-name": "nim"}, "managedFields": [{"manager": "kubelet"}]},
    "spec": {"containers": [{"name": "nim", "resources": {"limits": {"nvidia.com/gpu": "1"}}}]},
    "status": {"conditions": [{"type": "Ready", "status": "False"}],
    "containerStatuses": [{"name": "nim", "state": {"waiting": {"reason": "ErrImagePull"}}}]}}""",
    type=Pod,
)

EACH: list[Signal] = [
    ClusterFound(1.0, "https://10.0.0.1:6443", "oke", "v1.36.3", "nim"),
    PhaseStarted(1.5, "install", ("helm", "install"), 7, "/home/a/.kube/config"),
    Seen(2.0, "Pod", "added", POD, listed=True),
    Seen(2.5, "Event", "deleted", Event(reason="Failed", message="it's \u2028 here")),
    Synced(3.0, "Pod", "", frozenset({"u1", "u2"})),
    Unseen(4.0, "Node", "", "nodes is forbidden"),
    Output(5.0, "install", "stderr", "waiting"),
    OutputLost(5.5, "install", 4096),
    LogTail(6.0, "nim", "nim-0", "nim", previous=True, lines=("a", "b")),
    Clock(7.0),
    PhaseEnded(8.0, "install", "failure", 1, None, 6.5),
    ClusterLost(9.0, "the API server refuses the connection"),
]


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    path = tmp_path / "stream.jsonl"
    recording.write(path, EACH)
    assert list(recording.read(path)) == EACH


@pytest.mark.parametrize("kind", STRUCTS)
def test_an_object_of_which_nothing_is_known_survives(kind: str) -> None:
    signal = Seen(1.0, kind, "modified", STRUCTS[kind]())
    assert recording.decode(recording.encode(signal)) == signal


def test_nothing_that_decoding_fills_in_is_written() -> None:
    line = recording.encode(Seen(1.0, "Event", "added", Event(reason="Failed")))
    assert line == b'{"type":"seen","at":1.0,"kind":"Event","change":"added","object":{"reason":"Failed"}}\n'


def test_a_line_cut_off_by_a_kill_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "stream.jsonl"
    recording.write(path, EACH)
    path.write_bytes(path.read_bytes()[:-10])
    assert list(recording.read(path)) == EACH[:-1]


def test_a_broken_line_is_named_by_its_number(tmp_path: Path) -> None:
    path = tmp_path / "stream.jsonl"
    path.write_text('# by hand\n{"type":"clock","at":1}\n{"type":"clock"}\n')
    with pytest.raises(RecordingError, match=r"stream\.jsonl:3"):
        list(recording.read(path))


@pytest.mark.parametrize(
    "line",
    [
        b'{"type":"seen","at":1,"kind":"Secret","change":"added","object":{}}',
        b'{"type":"seen","at":1,"kind":"Pod","change":"eaten","object":{}}',
        b'{"type":"rumour","at":1}',
        b"[]",
    ],
)
def test_what_is_no_signal_is_refused(line: bytes) -> None:
    with pytest.raises(msgspec.ValidationError):
        recording.decode(line)


def test_a_recording_of_another_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "stream.jsonl"
    path.write_text('{"recording":"nimble-watch","version":99}\n')
    with pytest.raises(RecordingError, match="version 99"):
        list(recording.read(path))


def test_a_file_that_is_not_there_is_told_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="cannot be opened"):
        list(recording.read(tmp_path / "none"))


def test_whole_lines_are_there_as_soon_as_they_are_recorded(tmp_path: Path) -> None:
    path = tmp_path / "stream.jsonl"
    with recording.Recorder(path) as recorder:
        recorder(EACH[0])
        assert list(recording.read(path)) == EACH[:1]
