package plane

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// marker is the environment variable that tells this cluster's processes, and theirs, from all others.
const marker = "NIMBLE_CLUSTER_ID"

// process is one running part of the cluster.
type process struct {
	name  string
	log   string
	pid   int
	ended chan struct{} // closed at its end; then `how` tells it
	how   error
}

// starter starts children from a single thread that lives as long as the program. The kernel ties "kill the child
// when its parent dies" to the thread that forked, and Go ends threads as it likes.
type starter struct {
	folder, id, logs string
	requests         chan startRequest
}

type startRequest struct {
	command *exec.Cmd
	reply   chan error
}

func newStarter(folder, id, logs string) *starter {
	s := &starter{folder, id, logs, make(chan startRequest)}
	go func() {
		runtime.LockOSThread()
		for r := range s.requests {
			r.reply <- r.command.Start()
		}
	}()
	return s
}

// start runs this program as the component that its first argument names. Its environment is empty but for what is
// needed: proxies, KUBECONFIG or ETCD_* of the caller must not change what the cluster does.
func (s *starter) start(name string, arguments ...string) (*process, error) {
	path := filepath.Join(s.logs, name+".log")
	log, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	command := exec.Command("/proc/self/exe", arguments...)
	command.Args[0] = "nimble-cluster"
	command.Dir, command.Stdout, command.Stderr = s.folder, log, log
	command.Env = []string{
		"PATH=" + os.Getenv("PATH"), "TZ=UTC", "HOME=" + filepath.Join(s.folder, "home"),
		"TMPDIR=" + filepath.Join(s.folder, "tmp"), marker + "=" + s.id,
	}
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	reply := make(chan error)
	s.requests <- startRequest{command, reply}
	if err := <-reply; err != nil {
		return nil, fmt.Errorf("%s could not be started: %w", name, err)
	}
	p := &process{name: name, log: path, pid: command.Process.Pid, ended: make(chan struct{})}
	go func() {
		p.how = command.Wait()
		close(p.ended)
	}()
	return p, nil
}

func (p *process) alive() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// end kills it and waits until it is gone.
func (p *process) end() {
	if p.alive() {
		// The pid is still ours: Wait has not returned.
		_ = syscall.Kill(-p.pid, syscall.SIGKILL)
		<-p.ended
	}
}

// failure says that a part has ended, with its last words and what to try.
func (p *process) failure() error {
	how := "with exit code 0"
	if p.how != nil {
		how = "with " + p.how.Error()
	}
	words := lastLines(p.log, 15)
	return fmt.Errorf("%s ended %s. Its last lines:\n%s\nWhat to try: %s", p.name, how, indent(words), advice(words))
}

func advice(words string) string {
	for _, known := range []struct{ part, text string }{
		{"no space left", "free some disk space where --dir is, then start again"},
		{"too many open files", "raise the limit of open files (ulimit -n 4096), then start again"},
		{"inotify", "raise fs.inotify.max_user_instances (sysctl), or end programs that watch many files"},
		{"cannot allocate memory", "free some memory; the cluster needs about 1.5 GB"},
		{"permission denied", "use a --dir that you may write to, on a file system that allows sockets"},
	} {
		if strings.Contains(strings.ToLower(words), known.part) {
			return known.text
		}
	}
	return "start again with --logs FOLDER, which keeps the whole logs, and look there for the first error"
}

func lastLines(path string, count int) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-count):], "\n")
}

func indent(text string) string { return "    " + strings.ReplaceAll(text, "\n", "\n    ") }

// killMarked kills every process of the cluster, and their children, until none is left.
func killMarked(id string, limit time.Duration) error {
	deadline := time.Now().Add(limit)
	for {
		pids := marked(id)
		if len(pids) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("processes that do not die: %v", pids)
		}
		for _, pid := range pids {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
				return fmt.Errorf("process %d: %w", pid, err)
			}
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// marked lists the processes that carry the cluster's id in their environment; the dead carry none.
func marked(id string) []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var pids []int
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		environment, err := os.ReadFile(filepath.Join("/proc", entry.Name(), "environ"))
		if err == nil && bytes.Contains(append([]byte{0}, environment...), []byte("\x00"+marker+"="+id+"\x00")) {
			pids = append(pids, pid)
		}
	}
	return pids
}
