package node

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Prefix stands before every annotation that this package reads.
const Prefix = "scripted.nimble-watch.test/"

// run is the word that says, in place of an exit code, that a container keeps running.
const run = -1

// never is the time of something that does not happen.
const never = time.Duration(-1)

// Script is the fate of one container of one pod, read from the pod's annotations.
type Script struct {
	// CRIO says that errors are worded as CRI-O words them, not as containerd does.
	CRIO bool
	// Pull is the outcome of a pull, one of pullOutcomes.
	Pull         string
	PullPassword string
	PullTime     time.Duration
	ImageBytes   uint64
	// SandboxError, CreateError and StartError are the runtime's own words; empty means that the step succeeds.
	SandboxError, CreateError, StartError string
	// Exits holds one exit code per attempt, or run; the last one holds for all later attempts.
	Exits       []int32
	ExitReasons []string
	ExitAfter   time.Duration
	Log         string
	// ReadyAfter, FailAfter count from the start of the container; FailAfter is never unless asked for.
	ReadyAfter, FailAfter time.Duration
	// Refuse says that nothing listens before ReadyAfter; else the server answers 503 until then.
	Refuse bool
}

// pullOutcomes are the ways a pull can end.
var pullOutcomes = []string{
	"ok", "not-found", "unauthorized", "forbidden", "rate-limited", "no-such-host", "connection-refused", "timeout",
	"disk-full", "no-platform", "payment-required", "needs-password",
}

// podKeys are about the pod as a whole and take no container suffix.
var podKeys = []string{"runtime", "sandbox-error"}

// keys holds, for each annotation, how its value is read into a script.
var keys = map[string]func(*Script, string) error{
	"runtime": func(s *Script, value string) error {
		s.CRIO = value == "cri-o"
		return oneOf(value, "containerd", "cri-o")
	},
	"pull": func(s *Script, value string) error {
		s.Pull = value
		return oneOf(value, pullOutcomes...)
	},
	"pull-password": func(s *Script, value string) error { s.PullPassword = value; return nil },
	"pull-seconds":  func(s *Script, value string) error { return seconds(&s.PullTime, value) },
	"image-bytes": func(s *Script, value string) (err error) {
		if s.ImageBytes, err = strconv.ParseUint(value, 10, 63); err != nil {
			return fmt.Errorf("want a number of bytes")
		}
		return nil
	},
	"sandbox-error":    func(s *Script, value string) error { s.SandboxError = value; return nil },
	"create-error":     func(s *Script, value string) error { s.CreateError = value; return nil },
	"start-error":      func(s *Script, value string) error { s.StartError = value; return nil },
	"exit":             exits,
	"exit-reason":      exitReasons,
	"exit-after":       func(s *Script, value string) error { return seconds(&s.ExitAfter, value) },
	"log":              func(s *Script, value string) error { s.Log = value; return nil },
	"http-ready-after": func(s *Script, value string) error { return seconds(&s.ReadyAfter, value) },
	"http-before": func(s *Script, value string) error {
		s.Refuse = value == "refused"
		return oneOf(value, "503", "refused")
	},
	"http-fail-after": func(s *Script, value string) error { return seconds(&s.FailAfter, value) },
}

// ReadScript returns the script of one container; init says that it is an init container, which ends by itself unless told
// otherwise. A key that carries the container's name wins over one that carries none.
func ReadScript(annotations map[string]string, container string, init bool) (Script, error) {
	script := Script{
		Pull: "ok", PullTime: 200 * time.Millisecond, ImageBytes: 12 << 30,
		Exits: []int32{run}, ExitAfter: 500 * time.Millisecond, FailAfter: never,
	}
	if init {
		script.Exits = []int32{0}
	}
	for _, suffix := range []string{"", "." + container} {
		for name, set := range keys {
			if value, there := annotations[Prefix+name+suffix]; there {
				if err := set(&script, value); err != nil {
					return script, refusal(name+suffix, value, err)
				}
			}
		}
	}
	return script, nil
}

// CheckAnnotations says in one sentence what is wrong with the scripting annotations of a pod that has these containers.
func CheckAnnotations(annotations map[string]string, containers []string) error {
	for _, key := range slices.Sorted(maps.Keys(annotations)) {
		rest, ours := strings.CutPrefix(key, Prefix)
		if !ours {
			continue
		}
		name, container, narrowed := strings.Cut(rest, ".")
		set, known := keys[name]
		switch {
		case !known:
			return fmt.Errorf("annotation %s is unknown; known are %s", key, strings.Join(slices.Sorted(maps.Keys(keys)), ", "))
		case narrowed && slices.Contains(podKeys, name):
			return fmt.Errorf("annotation %s: %s is about the whole pod and takes no container name", key, name)
		case narrowed && !slices.Contains(containers, container):
			return fmt.Errorf("annotation %s: the pod has no container %q; it has %s", key, container, strings.Join(containers, ", "))
		}
		if err := set(&Script{}, annotations[key]); err != nil {
			return refusal(rest, annotations[key], err)
		}
	}
	return nil
}

func refusal(key, value string, err error) error {
	return fmt.Errorf("annotation %s%s has the value %q: %w", Prefix, key, value, err)
}

// Exit returns how the attempt (counted from 0) ends: its code, or run, and the reason that the runtime states.
func (s Script) Exit(attempt int) (code int32, reason string) {
	code = s.Exits[min(attempt, len(s.Exits)-1)]
	if len(s.ExitReasons) > 0 {
		return code, s.ExitReasons[min(attempt, len(s.ExitReasons)-1)]
	}
	return code, exitReason(code)
}

// exitReason is what a runtime says of an exit code. 137 alone is Error: only a memory event of the cgroup, which the script
// states as exit-reason, makes it OOMKilled.
func exitReason(code int32) string {
	if code == 0 {
		return "Completed"
	}
	return "Error"
}

// Listens says whether something listens on the ports of a container that has run for this long.
func (s Script) Listens(age time.Duration) bool { return !s.Refuse || age >= s.ReadyAfter }

// Ready says whether the server of a container that has run for this long answers with 200.
func (s Script) Ready(age time.Duration) bool { return age >= s.ReadyAfter && !s.Failed(age) }

// Failed says whether the server of a container that has run for this long has broken down again.
func (s Script) Failed(age time.Duration) bool { return s.FailAfter != never && age >= s.FailAfter }

func oneOf(value string, allowed ...string) error {
	if !slices.Contains(allowed, value) {
		return fmt.Errorf("want one of %s", strings.Join(allowed, ", "))
	}
	return nil
}

func seconds(into *time.Duration, value string) error {
	number, err := strconv.ParseFloat(value, 64)
	if err != nil || !(number >= 0 && number <= 1e6) {
		return fmt.Errorf("want a number of seconds from 0 to 1000000")
	}
	*into = time.Duration(number * float64(time.Second))
	return nil
}

func exits(s *Script, value string) error {
	s.Exits = nil
	for _, word := range strings.Split(value, ",") {
		if word = strings.TrimSpace(word); word == "run" {
			s.Exits = append(s.Exits, run)
			continue
		}
		code, err := strconv.ParseUint(word, 10, 8)
		if err != nil {
			return fmt.Errorf("want a list of exit codes from 0 to 255, or run")
		}
		s.Exits = append(s.Exits, int32(code))
	}
	return nil
}

func exitReasons(s *Script, value string) error {
	s.ExitReasons = nil
	for _, word := range strings.Split(value, ",") {
		word = strings.TrimSpace(word)
		if err := oneOf(word, "Error", "OOMKilled", "Completed"); err != nil {
			return err
		}
		s.ExitReasons = append(s.ExitReasons, word)
	}
	return nil
}
