package plane

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// reaperCommand is the hidden command of the process that cleans up.
const reaperCommand = "reap"

// reaper is the process that outlives the supervisor, however that ended, to kill what is left and to remove the
// folder. It holds the reading end of a pipe whose writing end only the supervisor has.
type reaper struct {
	pipe *os.File
	done chan struct{}
}

func startReaper(folder, id string, claims ...*os.File) (*reaper, error) {
	reading, writing, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer reading.Close()
	command := exec.Command("/proc/self/exe", reaperCommand, "--dir", folder, "--id", id)
	command.Args[0] = "nimble-cluster"
	command.Dir = "/"
	command.Env = []string{"PATH=" + os.Getenv("PATH")}
	// The claims on folder and addresses are passed on: they must not be free before everything that uses them has gone.
	command.ExtraFiles = append([]*os.File{reading}, claims...)
	// A session of its own: neither Ctrl-C nor a kill of the supervisor's group reaches it.
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("the process that cleans up could not be started: %w", err)
	}
	r := &reaper{writing, make(chan struct{})}
	go func() {
		_ = command.Wait()
		close(r.done)
	}()
	return r, nil
}

// finish lets the reaper do its work and waits for it; if it has gone, the work is done here.
func (r *reaper) finish(folder, id string) error {
	r.pipe.Close()
	<-r.done
	if _, err := os.Lstat(folder); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return sweep(folder, id)
}

func reap(arguments []string) error {
	flags, dir := folderFlags(reaperCommand)
	id := flags.String("id", "", "the cluster's id")
	if err := parse(flags, dir, arguments, 0); err != nil {
		return err
	}
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	if _, err := io.Copy(io.Discard, os.NewFile(3, "supervisor")); err != nil {
		return err
	}
	return sweep(*dir, *id)
}

// sweep kills what runs and removes the folder.
func sweep(folder, id string) error {
	if err := killMarked(id, 10*time.Second); err != nil {
		return err
	}
	var err error
	// A process that was just killed may have made one more file.
	for range 20 {
		if err = os.RemoveAll(folder); err == nil {
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return fmt.Errorf("the folder could not be removed: %w", err)
}

// prepare makes the folder of a new cluster and returns the file that says whose it is, locked: as long as the
// supervisor or the reaper lives, nobody else may use the folder. What a cluster left there that was killed together
// with its reaper is cleaned up; a folder with anything else in it is refused, since it will be removed in the end.
func prepare(folder, id string) (*os.File, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("the folder cannot be made: %w; use a --dir that you may write to", err)
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, fmt.Errorf("the folder cannot be read: %w", err)
	}
	path := filepath.Join(folder, "cluster-id")
	if _, err := os.Stat(path); err != nil && len(entries) > 0 {
		return nil, fmt.Errorf("%s is not empty and no cluster's: it would be removed in the end. Use a --dir that does not exist yet", folder)
	}
	lock, before, err := lockFolder(folder)
	if err != nil {
		return nil, err
	}
	if before != "" {
		if err := killMarked(before, 10*time.Second); err != nil {
			return nil, err
		}
		for _, entry := range entries {
			if entry.Name() != "cluster-id" {
				if err := os.RemoveAll(filepath.Join(folder, entry.Name())); err != nil {
					return nil, err
				}
			}
		}
	}
	for _, part := range []string{"certs", "logs", "home", "tmp", "bin", "nodes", "users"} {
		if err := os.MkdirAll(filepath.Join(folder, part), 0o700); err != nil {
			return nil, err
		}
	}
	if err := lock.Truncate(0); err != nil {
		return nil, err
	}
	_, err = lock.WriteAt([]byte(id+"\n"), 0)
	return lock, err
}

// lockFolder takes the folder's lock, and returns the id of the cluster that had it before.
func lockFolder(folder string) (lock *os.File, before string, err error) {
	lock, err = os.OpenFile(filepath.Join(folder, "cluster-id"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, "", err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		return nil, "", fmt.Errorf("a cluster is already up in %s; end it with: nimble-cluster down --dir %s", folder, folder)
	}
	text, err := io.ReadAll(lock)
	return lock, strings.TrimSpace(string(text)), err
}
