"""What a watch does when the API server, or whatever stands in between, behaves as it may."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from nimble_watch.signals import ClusterFound, LogTail, Seen
from tests.process.api_server import Answer, ApiServer, Request, complete, event, failure, in_turn, pod
from tests.process.inbox import eventually, watched, watching


def held(*lines: dict[str, object]) -> Answer:
    def answer(request: Request) -> None:
        request.head()
        request.send(*lines)
        request.hold()

    return answer


def first(*names: str, version: str = "5") -> Answer:
    def answer(request: Request) -> None:
        request.picture(*(pod(name) for name in names), version=version)
        request.hold()

    return answer


def refused(code: int, message: str = "", **headers: str) -> Answer:
    return lambda request: request.status(code, message, **headers)


def test_the_first_picture_is_listed_and_what_comes_after_is_not(tmp_path: Path) -> None:
    def pods(request: Request) -> None:
        request.picture(pod("a"))
        request.send(event("MODIFIED", pod("a", "7")), event("DELETED", pod("a", "8")))
        request.hold()

    with watched(tmp_path, pods) as (_, inbox, _watcher):
        inbox.until_names("added a", "modified a", "deleted a")
        assert [one.listed for one in inbox.signals if isinstance(one, Seen)] == [True, False, False]
        inbox.until(lambda _: inbox.synced())
        assert [one.uids for one in inbox.synced()] == [frozenset({"uid-a"})]


def test_the_cluster_is_named_without_credentials(tmp_path: Path) -> None:
    with watched(tmp_path, first()) as (api, inbox, _watcher):
        inbox.until(lambda _: inbox.synced())
        found = next(one for one in inbox.signals if isinstance(one, ClusterFound))
        assert (found.server, found.context, found.version, found.namespace) == (api.url, "ours", "v1.36.3", "nim")


@pytest.mark.parametrize("code", [400, 422])
def test_a_server_that_refuses_watch_lists_is_listed_in_pages_and_watched_from_there(tmp_path: Path, code: int) -> None:
    def pods(request: Request) -> None:
        if "sendInitialEvents" in request.query:
            request.status(code, "sendInitialEvents is forbidden for watch")
        elif request.watching:
            held(event("ADDED", pod("c", "10")))(request)
        elif request.query.get("continue") == "more":
            request.body({"metadata": {"resourceVersion": "9"}, "items": [pod("b")]})
        else:
            request.body({"metadata": {"resourceVersion": "9", "continue": "more"}, "items": [pod("a")]})

    with watched(tmp_path, pods) as (api, inbox, _watcher):
        inbox.until_names("added a", "added b", "added c")
        assert [request.query.get("limit") for request in api.of_pods()] == [None, "500", "500", None]
        assert api.of_pods()[-1].query["resourceVersion"] == "9"


def test_an_old_server_is_not_even_asked_for_a_watch_list(tmp_path: Path) -> None:
    with watched(tmp_path, api_quiet, version="v1.29.1") as (api, inbox, _watcher):
        inbox.until(lambda _: inbox.synced())
        assert "sendInitialEvents" not in api.of_pods()[0].query


def api_quiet(request: Request) -> None:
    if request.watching:
        held()(request)
    else:
        request.body({"metadata": {"resourceVersion": "5"}, "items": []})


def test_a_watch_that_ended_goes_on_from_the_newest_version_seen(tmp_path: Path) -> None:
    def ends(request: Request) -> None:
        request.picture(pod("a"))
        request.send(event("ADDED", pod("b", "7")), event("BOOKMARK", {"metadata": {"resourceVersion": "41"}}))
        request.end()

    with watched(tmp_path, in_turn(ends, held(event("ADDED", pod("c", "42"))))) as (api, inbox, _watcher):
        inbox.until_names("added a", "added b", "added c")
        assert [request.query.get("resourceVersion") for request in api.of_pods()] == [None, "41"]
        inbox.until(lambda _: inbox.synced())
        assert len(inbox.synced()) == 1


@pytest.mark.parametrize("half", [b"", b'5\r\n{"typ', b"40\r\n"], ids=["between", "half a line", "half a chunk"])
def test_a_connection_cut_off_anywhere_is_resumed_from_the_version(tmp_path: Path, half: bytes) -> None:
    def cut(request: Request) -> None:
        request.picture(pod("a"))
        request.send(event("ADDED", pod("b", "7")))
        request.raw(half)
        request.cut()

    with watched(tmp_path, in_turn(cut, held(event("ADDED", pod("c", "8"))))) as (api, inbox, _watcher):
        inbox.until(lambda _: "added c" in inbox.names())
        last = api.of_pods()[-1].query.get("resourceVersion")
        assert (inbox.names(), last) in (
            (["added a", "added b", "added c"], "7"),
            (["added a", "added c"], "5"),  # a reset may overtake what was sent before it
            (["added c"], None),
        )
        assert inbox.lost() == []


def test_a_first_picture_that_breaks_off_is_begun_anew(tmp_path: Path) -> None:
    def breaks(request: Request) -> None:
        request.head()
        request.send(event("ADDED", pod("a")))
        request.end()

    with watched(tmp_path, in_turn(breaks, first("b"))) as (_, inbox, _watcher):
        inbox.until(lambda _: inbox.synced())
        assert inbox.synced()[0].uids == {"uid-b"}


@pytest.mark.parametrize("how", ["status", "event"])
def test_an_expired_version_leads_to_a_new_picture_that_says_who_is_gone(tmp_path: Path, how: str) -> None:
    def ends(request: Request) -> None:
        request.picture(pod("a"), pod("b"))
        request.end()

    message = "too old resource version: 5 (99)"
    gone = refused(410, message) if how == "status" else held(event("ERROR", failure(410, message)))
    with watched(tmp_path, in_turn(ends, gone, first("b", version="99"))) as (api, inbox, _watcher):
        inbox.until(lambda _: len(inbox.synced()) == 2)
        assert [sorted(one.uids) for one in inbox.synced()] == [["uid-a", "uid-b"], ["uid-b"]]
        assert [request.query.get("resourceVersion") for request in api.of_pods()] == [None, "5", None]


def test_a_server_whose_versions_always_expire_is_not_hammered(tmp_path: Path) -> None:
    def pods(request: Request) -> None:
        if "resourceVersion" in request.query:
            request.status(410, "expired")
        else:
            request.picture()
            request.end()

    with watched(tmp_path, pods) as (api, inbox, _watcher):
        inbox.until(lambda _: len(inbox.synced()) == 3)
        took = api.of_pods()[-1].at - api.of_pods()[0].at
        assert took >= 0.5


def test_too_many_requests_waits_as_long_as_it_was_told_and_keeps_the_version(tmp_path: Path) -> None:
    def ends(request: Request) -> None:
        request.picture()
        request.end()

    busy = refused(429, "storage is (re)initializing", retry_after="1")
    with watched(tmp_path, in_turn(ends, busy, held(event("ADDED", pod("a"))))) as (api, inbox, _watcher):
        inbox.until_names("added a")
        asked = api.of_pods()
        assert [request.query.get("resourceVersion") for request in asked] == [None, "5", "5"]
        assert asked[2].at - asked[1].at >= 0.9


def test_a_proxy_that_takes_the_chunks_away_delays_nothing(tmp_path: Path) -> None:
    """The connection stays open: whoever waits for a full buffer never gets the pod."""

    def pods(request: Request) -> None:
        request.head(chunked=False)
        request.send(event("ADDED", pod("a")), complete("5"))
        request.hold()

    with watched(tmp_path, pods) as (_, inbox, _watcher):
        inbox.until(lambda _: inbox.synced())
        assert inbox.names() == ["added a"]


def test_a_line_is_split_at_newlines_only(tmp_path: Path) -> None:
    text = "pulled\u0085image\u2028done"
    status = {"phase": "Pending", "message": text}
    with watched(tmp_path, held(event("ADDED", pod("a", status=status)), complete("5"))) as (_, inbox, watcher):
        inbox.until(lambda _: inbox.synced())
        assert inbox.names() == ["added a"]
        assert watcher.skipped == {}


def test_lines_that_cannot_be_understood_are_counted_and_skipped(tmp_path: Path) -> None:
    def pods(request: Request) -> None:
        request.head()
        odd = pod("odd", status={"phase": ["no", "text"]})
        request.send(b"no json at all\n", event("ADDED", odd), event("ADDED", pod("a")), complete("5"))
        request.hold()

    with watched(tmp_path, pods) as (_, inbox, watcher):
        inbox.until(lambda _: inbox.synced())
        assert inbox.names() == ["added a"]
        assert watcher.skipped == {"Pod": 2}


def test_nulls_where_objects_should_be_do_not_end_the_watch(tmp_path: Path) -> None:
    odd = pod("odd", spec={"containers": None, "volumes": None}, status={"conditions": None})
    with watched(tmp_path, held(event("ADDED", odd), event("ADDED", pod("a")), complete("5"))) as (_, inbox, _w):
        inbox.until(lambda _: inbox.synced())
        assert "added a" in inbox.names()


def test_silence_ends_in_a_new_watch_from_the_version(tmp_path: Path) -> None:
    silent = in_turn(first("a"), held(event("ADDED", pod("b", "7"))))
    with watched(tmp_path, silent, read_timeout=0.3) as (api, inbox, _watcher):
        inbox.until(lambda _: "added b" in inbox.names())
        assert api.of_pods()[1].query["resourceVersion"] == "5"


def test_a_server_that_ends_every_watch_at_once_is_not_hammered(tmp_path: Path) -> None:
    def pods(request: Request) -> None:
        request.head()
        if "sendInitialEvents" in request.query:
            request.send(complete("5"))
        request.end()

    with watched(tmp_path, pods) as (api, _inbox, _watcher):
        eventually(lambda: len(api.of_pods()) >= 20)
        asked = api.of_pods()
        assert asked[19].at - asked[0].at > 0.1


def test_what_may_not_be_seen_everywhere_is_watched_in_the_namespaces_in_scope(tmp_path: Path) -> None:
    def pods(request: Request) -> None:
        if request.path == "/api/v1/pods":
            request.status(403, 'pods is forbidden: User "dev" cannot list resource "pods" at the cluster scope')
        else:
            first(request.path.split("/")[4])(request)

    with watched(tmp_path, pods, namespaces=("one",)) as (_, inbox, watcher):
        inbox.until_names("added one")
        watcher.widen("two")
        inbox.until_names("added one", "added two")
        inbox.until(lambda _: len(inbox.synced()) == 2)
        assert [one.namespace for one in inbox.synced()] == ["one", "two"]
        (told,) = inbox.unseen()
        assert "at the cluster scope" in told.reason
        assert inbox.lost() == []


def test_a_right_that_is_missing_is_told_once_and_noticed_when_granted(tmp_path: Path) -> None:
    def pods(request: Request) -> None:
        if request.path == "/api/v1/pods" or len(api_box[0].of_pods()) < 5:
            request.status(403, "pods is forbidden")
        else:
            first("a")(request)

    api_box: list[ApiServer] = []
    with ApiServer(pods) as api:
        api_box.append(api)
        with watching(api.kubeconfig(tmp_path), ("nim",)) as (inbox, _watcher):
            inbox.until(lambda _: inbox.synced())
            assert [one.namespace for one in inbox.unseen()] == ["", "nim"]


def test_a_right_to_all_namespaces_that_is_granted_later_is_noticed_when_the_watch_begins_anew(tmp_path: Path) -> None:
    granted, again = threading.Event(), threading.Event()
    everywhere = first("a", "b")

    def pods(request: Request) -> None:
        if request.path == "/api/v1/pods" and not granted.is_set():
            request.status(403, "pods is forbidden")
        elif request.path == "/api/v1/pods" and not request.watching:
            request.body({"metadata": {"resourceVersion": "5"}, "items": []})
        elif request.path == "/api/v1/pods":
            everywhere(request)
        elif request.path.startswith("/api/v1/namespaces/one/"):
            request.picture(pod("a"))
            again.wait(15)
            request.end()
        else:
            first("b")(request)

    with watched(tmp_path, pods, namespaces=("one", "two")) as (api, inbox, _watcher):
        inbox.until(lambda _: len(inbox.synced()) == 2)
        asked = len(api.of_pods())
        assert len([request for request in api.of_pods() if request.path == "/api/v1/pods"]) == 1, "nobody polls"
        granted.set()
        again.set()
        inbox.until(lambda _: any(one.namespace == "" for one in inbox.synced()))
        eventually(lambda: not [one for one in threading.enumerate() if one.name.endswith(("Pod one", "Pod two"))])
        assert [one.namespace for one in inbox.unseen()] == [""]
        assert inbox.lost() == []
        later = [request.path for request in api.of_pods()[asked:]]
        assert "/api/v1/namespaces/two/pods" not in later, "what was watched there has ended, and is not begun anew"


def test_nodes_have_no_namespaces_to_fall_back_to(tmp_path: Path) -> None:
    def others(request: Request) -> None:
        if request.resource == "nodes":
            request.status(403, "nodes is forbidden")
        else:
            api_box[0].quiet(request)

    api_box: list[ApiServer] = []
    with ApiServer(first(), others=others) as api:
        api_box.append(api)
        with watching(api.kubeconfig(tmp_path), ("nim",)) as (inbox, _watcher):
            inbox.until(lambda _: inbox.unseen("Node"))
            assert "get, list and watch on nodes" in inbox.unseen("Node")[0].reason
            assert not [request for request in api.requests if request.path.endswith("/nim/nodes")]


def test_an_api_that_is_not_there_is_known_from_discovery(tmp_path: Path) -> None:
    def others(request: Request) -> None:
        if request.path.startswith("/apis/batch"):
            request.status(404, "404 page not found")
        else:
            api_box[0].quiet(request)

    api_box: list[ApiServer] = []
    with ApiServer(first(), others=others) as api:
        api_box.append(api)
        with watching(api.kubeconfig(tmp_path)) as (inbox, _watcher):
            inbox.until(lambda _: inbox.unseen("Job"))
            assert inbox.unseen("Job")[0].reason == "this API server has no jobs (batch/v1)"
            assert "/apis/batch/v1" in [request.path for request in api.requests]


def test_a_namespace_that_does_not_exist_is_told(tmp_path: Path) -> None:
    def others(request: Request) -> None:
        if request.path == "/api/v1/namespaces/nowhere":
            request.status(404, 'namespaces "nowhere" not found')
        else:
            api_box[0].quiet(request)

    api_box: list[ApiServer] = []
    with ApiServer(first(), others=others) as api:
        api_box.append(api)
        with watching(api.kubeconfig(tmp_path), ("nowhere",)) as (inbox, _watcher):
            inbox.until(lambda _: inbox.unseen("Namespace"))
            assert "the namespace nowhere does not exist" in inbox.unseen("Namespace")[0].reason


def test_a_namespace_is_no_longer_missing_once_something_is_seen_in_it(tmp_path: Path) -> None:
    asked = threading.Event()

    def pods(request: Request) -> None:
        request.picture()
        assert asked.wait(15)
        request.send(event("ADDED", {**pod("a", "7"), "metadata": {**pod("a", "7")["metadata"], "namespace": "late"}}))
        request.hold()

    def others(request: Request) -> None:
        if request.path == "/api/v1/namespaces/late":
            request.status(404, 'namespaces "late" not found')
        else:
            api_box[0].quiet(request)

    api_box: list[ApiServer] = []
    with ApiServer(pods, others=others) as api:
        api_box.append(api)
        with watching(api.kubeconfig(tmp_path), ("late",)) as (inbox, _watcher):
            inbox.until(lambda _: inbox.unseen("Namespace"))
            asked.set()
            inbox.until(lambda _: inbox.synced("Namespace"))
            assert [one.namespace for one in inbox.synced("Namespace")] == ["late"]


def test_more_namespaces_than_are_watched_one_by_one_are_told(tmp_path: Path) -> None:
    def pods(request: Request) -> None:
        if request.path == "/api/v1/pods":
            request.status(403, "pods is forbidden")
        else:
            first()(request)

    spaces = tuple(f"n{number}" for number in range(42))
    with watched(tmp_path, pods, namespaces=spaces) as (_, inbox, _watcher):
        inbox.until(lambda _: len(inbox.synced()) == 40)
        inbox.until(lambda _: len(inbox.unseen()) == 3)
        assert [one.namespace for one in inbox.unseen()[1:]] == ["n40", "n41"]
        assert "more than 40 namespaces" in inbox.unseen()[1].reason


def test_what_others_wrote_is_cleaned_before_it_is_delivered(tmp_path: Path) -> None:
    waiting = {"waiting": {"reason": "ErrImagePull", "message": "\x1b[2Jdenied, token=abcdefghijklmnop"}}
    status = {"containerStatuses": [{"name": "nim", "image": "nim\x1b[31m", "state": waiting}]}
    with watched(tmp_path, held(event("ADDED", pod("a", status=status)), complete("5"))) as (_, inbox, _watcher):
        inbox.until(lambda _: inbox.synced())
        said = repr(inbox.signals)
        assert "\\x1b" not in said
        assert "abcdefghijklmnop" not in said


def log_fetched(tmp_path: Path, answer: Callable[[Request], None], *, previous: bool) -> tuple[LogTail, Request]:
    """Fetch the log of a container from a server that gives this answer; give what came of it, and what was asked."""

    def others(request: Request) -> None:
        if request.resource == "log":
            answer(request)
        else:
            api_box[0].quiet(request)

    api_box: list[ApiServer] = []
    with ApiServer(first(), others=others) as api:
        api_box.append(api)
        with watching(api.kubeconfig(tmp_path)) as (inbox, watcher):
            inbox.until(lambda _: inbox.synced())
            watcher.fetch_log("nim", "a", "nim", previous=previous)
            inbox.until(lambda _: inbox.tails())
            return inbox.tails()[0], next(request for request in api.requests if request.resource == "log")


def test_the_end_of_a_containers_log_is_fetched_and_cleaned(tmp_path: Path) -> None:
    text = b"".join(b"line %d\n" % number for number in range(30)) + b"\x1b[31mNGC_API_KEY=abcdefghijk\n"
    tail, asked = log_fetched(tmp_path, lambda request: request.body(text), previous=True)
    assert len(tail.lines) == 20
    assert "abcdefghijk" not in tail.lines[-1]
    assert asked.query == {"container": "nim", "tailLines": "20", "previous": "true"}


def test_a_log_that_may_not_be_read_is_answered_with_the_reason(tmp_path: Path) -> None:
    forbidden = "pods/log is forbidden"
    tail, _ = log_fetched(tmp_path, lambda request: request.status(403, forbidden), previous=False)
    assert tail.reason == forbidden


def test_what_the_kubelet_says_of_a_log_that_is_gone_is_no_line_of_the_container(tmp_path: Path) -> None:
    gone = "unable to retrieve container logs for containerd://f4729e87"
    tail, _ = log_fetched(tmp_path, lambda request: request.body(gone.encode()), previous=True)
    assert (tail.lines, tail.reason) == ((), gone)


def test_nothing_is_left_after_many_lives(tmp_path: Path) -> None:
    def open_files() -> int:
        return len(os.listdir("/proc/self/fd"))  # noqa: PTH208  the folder's own descriptor is the point

    with ApiServer(first("a")) as api:
        path = api.kubeconfig(tmp_path)
        with watching(path) as (inbox, _watcher):
            inbox.until(lambda _: inbox.synced())
        threads = psutil.Process().num_threads()
        for _ in range(5):
            with watching(path) as (inbox, _watcher):
                inbox.until(lambda _: inbox.synced())
        eventually(lambda: psutil.Process().num_threads() <= threads)
    before = open_files()
    with ApiServer(first("a")) as api, watching(api.kubeconfig(tmp_path)) as (inbox, _watcher):
        inbox.until(lambda _: inbox.synced())
    eventually(lambda: open_files() <= before)
