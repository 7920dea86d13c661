package node

import (
	"strings"
	"testing"
	"time"
)

func scripting(pairs ...string) map[string]string {
	annotations := map[string]string{"kubernetes.io/unrelated": "x"}
	for i := 0; i < len(pairs); i += 2 {
		annotations[Prefix+pairs[i]] = pairs[i+1]
	}
	return annotations
}

func read(t *testing.T, container string, init bool, pairs ...string) Script {
	t.Helper()
	script, err := ReadScript(scripting(pairs...), container, init)
	if err != nil {
		t.Fatal(err)
	}
	return script
}

func TestAPodWithoutAnnotationsRunsAndIsReadyAtOnce(t *testing.T) {
	script := read(t, "nim", false)
	if code, _ := script.Exit(0); code != run || script.Pull != "ok" || !script.Ready(0) || !script.Listens(0) {
		t.Errorf("got %+v", script)
	}
}

func TestAnInitContainerEndsByItself(t *testing.T) {
	if code, reason := read(t, "download", true).Exit(0); code != 0 || reason != "Completed" {
		t.Errorf("got %d, %s", code, reason)
	}
}

func TestTheKeyOfAContainerWinsOverTheKeyOfThePod(t *testing.T) {
	pairs := []string{"pull", "not-found", "pull.nim", "ok", "exit.sidecar", "3"}
	if got := read(t, "nim", false, pairs...).Pull; got != "ok" {
		t.Errorf("nim's pull is %s", got)
	}
	if got := read(t, "sidecar", false, pairs...); got.Pull != "not-found" || got.Exits[0] != 3 {
		t.Errorf("sidecar's script is %+v", got)
	}
}

func TestEachAttemptHasItsExitAndTheLastOneRepeats(t *testing.T) {
	script := read(t, "nim", false, "exit", "1, 137,run", "exit-reason", "Error,OOMKilled")
	want := []struct {
		code   int32
		reason string
	}{{1, "Error"}, {137, "OOMKilled"}, {run, "OOMKilled"}, {run, "OOMKilled"}}
	for attempt, expected := range want {
		if code, reason := script.Exit(attempt); code != expected.code || reason != expected.reason {
			t.Errorf("attempt %d: got %d, %s; want %d, %s", attempt, code, reason, expected.code, expected.reason)
		}
	}
}

func TestExit137AloneIsNoMemoryEvent(t *testing.T) {
	if _, reason := read(t, "nim", false, "exit", "137").Exit(0); reason != "Error" {
		t.Errorf("got %s", reason)
	}
}

func TestTheServerIsReadyFromThenAndUntilThen(t *testing.T) {
	script := read(t, "nim", false, "http-ready-after", "1.5", "http-fail-after", "10", "http-before", "refused")
	for _, at := range []struct {
		age            time.Duration
		listens, ready bool
	}{{time.Second, false, false}, {2 * time.Second, true, true}, {10 * time.Second, true, false}} {
		if script.Listens(at.age) != at.listens || script.Ready(at.age) != at.ready {
			t.Errorf("after %s: listens %v, ready %v", at.age, script.Listens(at.age), script.Ready(at.age))
		}
	}
}

func TestWhatNobodyWouldActOnIsRefusedWithASentence(t *testing.T) {
	for _, refused := range []struct{ key, value, says string }{
		{"pul", "ok", "scripted.nimble-watch.test/pul is unknown; known are create-error, exit,"},
		{"pull", "maybe", `pull has the value "maybe": want one of ok, not-found,`},
		{"pull.nin", "ok", `the pod has no container "nin"; it has download, nim`},
		{"sandbox-error.nim", "x", "about the whole pod and takes no container name"},
		{"pull-seconds", "-1", "want a number of seconds"},
		{"pull-seconds", "NaN", "want a number of seconds"},
		{"image-bytes", "12G", "want a number of bytes"},
		{"exit", "1,256", "want a list of exit codes from 0 to 255, or run"},
		{"exit", "", "want a list of exit codes"},
		{"exit-reason", "Killed", "want one of Error, OOMKilled, Completed"},
		{"http-before", "404", "want one of 503, refused"},
		{"runtime", "docker", "want one of containerd, cri-o"},
	} {
		err := CheckAnnotations(scripting(refused.key, refused.value), []string{"download", "nim"})
		if err == nil || !strings.Contains(err.Error(), refused.says) {
			t.Errorf("%s: %q: got %v", refused.key, refused.value, err)
		}
	}
}

func TestEveryOutcomeOfAPullIsAccepted(t *testing.T) {
	for _, outcome := range pullOutcomes {
		if err := CheckAnnotations(scripting("pull.nim", outcome), []string{"nim"}); err != nil {
			t.Error(err)
		}
	}
}
