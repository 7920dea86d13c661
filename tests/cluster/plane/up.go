package plane

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"nimble-watch.test/cluster/shapes"
)

// startLimit is when a start is given up; on two cores it takes about ten seconds.
const startLimit = 3 * time.Minute

// options is what `up` was asked for.
type options struct {
	folder, logs string
	nodes        []wanted
	kwokNodes    int
}

type wanted struct {
	shape shapes.Shape
	count int
}

// up starts a cluster and stays until it is ended; with --detach it leaves a supervisor behind.
func up(arguments []string) error {
	flags, dir := folderFlags("up")
	nodes := flags.String("nodes", defaultNodes, "nodes by shape")
	kwokNodes := flags.Int("kwok-nodes", 0, "nodes without a kubelet, played by kwok")
	logs := flags.String("logs", "", "folder for logs, which is kept")
	detach := flags.Bool("detach", false, "leave it running")
	supervise := flags.Bool("supervise", false, "be what --detach leaves running")
	if err := parse(flags, dir, arguments, 0); err != nil {
		return err
	}
	list, err := parseNodes(*nodes)
	if err != nil {
		return usageError{err.Error()}
	}
	if *kwokNodes < 0 || *kwokNodes > 60000 {
		return usageError{"--kwok-nodes takes 0 to 60000"}
	}
	if *logs == "" {
		*logs = filepath.Join(*dir, "logs")
	} else if *logs, err = filepath.Abs(*logs); err != nil {
		return err
	}
	if *detach && !*supervise {
		return leaveRunning(arguments)
	}
	return run(options{*dir, *logs, list, *kwokNodes}, *supervise)
}

// parseNodes reads "a10-1=1,cpu=2"; nothing at all is no node.
func parseNodes(text string) ([]wanted, error) {
	var list []wanted
	total := 0
	for _, part := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' }) {
		name, number, found := strings.Cut(part, "=")
		count, err := strconv.Atoi(number)
		if !found || err != nil || count < 0 {
			return nil, fmt.Errorf("--nodes: %q is not SHAPE=COUNT, such as a10-1=2", part)
		}
		shape, err := shapes.Lookup(name)
		if err != nil {
			return nil, fmt.Errorf("--nodes: %w", err)
		}
		list = append(list, wanted{shape, count})
		total += count
	}
	if most := shapes.LastIndex - shapes.FirstIndex + 1; total > most {
		return nil, fmt.Errorf("--nodes: %d nodes with a kubelet each are more than %d; for more there is --kwok-nodes", total, most)
	}
	return list, nil
}

// leaveRunning starts a supervisor in a session of its own, and waits until it says that the cluster is ready.
func leaveRunning(arguments []string) error {
	reading, writing, err := os.Pipe()
	if err != nil {
		return err
	}
	defer reading.Close()
	command := exec.Command("/proc/self/exe", append(append([]string{"up"}, arguments...), "--supervise")...)
	command.Args[0] = "nimble-cluster"
	command.Stderr = os.Stderr
	command.ExtraFiles = []*os.File{writing}
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = command.Start()
	writing.Close()
	if err != nil {
		return fmt.Errorf("the supervisor could not be started: %w", err)
	}
	path, err := bufio.NewReader(reading).ReadString('\n')
	if err != nil {
		_ = command.Wait()
		return errors.New("the cluster did not come up; see above")
	}
	fmt.Print(path)
	return command.Process.Release()
}

// run is the supervisor: it lives as long as the cluster does.
func run(o options, detached bool) (err error) {
	began := time.Now()
	say := func(format string, values ...any) {
		fmt.Fprintf(os.Stderr, "cluster %5.1f s  %s\n", time.Since(began).Seconds(), fmt.Sprintf(format, values...))
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	endOn(cancel, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	parent, err := watchProcess(os.Getppid())
	if err != nil {
		return err
	}
	started := make(chan struct{})
	go func() {
		select {
		case <-parent:
			cancel(errors.New("whoever started it has gone"))
		case <-whenDetached(detached, started):
		}
	}()

	random := make([]byte, 8)
	if _, err := rand.Read(random); err != nil {
		return err
	}
	id := hex.EncodeToString(random)
	lock, err := prepare(o.folder, id)
	if err != nil {
		return err
	}
	block, claim, err := claimBlock()
	if err != nil {
		return errors.Join(err, os.RemoveAll(o.folder))
	}
	cleaner, err := startReaper(o.folder, id, claim, lock)
	if err != nil {
		return errors.Join(err, os.RemoveAll(o.folder))
	}
	defer func() {
		if failure := cleaner.finish(o.folder, id); failure != nil {
			err = errors.Join(err, fmt.Errorf("cleaning up: %w", failure))
		}
		say("nothing is left of it")
	}()
	if err := os.MkdirAll(o.logs, 0o700); err != nil {
		return fmt.Errorf("the folder for logs: %w", err)
	}

	c := &cluster{options: o, block: block, say: say, began: began, fail: cancel, starter: newStarter(o.folder, id, o.logs)}
	limited, release := context.WithTimeoutCause(ctx, startLimit, fmt.Errorf("not up within %s; is the machine very busy? Try fewer --nodes", startLimit))
	err = c.start(limited)
	release()
	if err != nil {
		return err
	}
	say("ready: %s", c.kubeconfig())
	if detached {
		if err := announce(c.kubeconfig(), o.logs); err != nil {
			return err
		}
		close(started)
	} else {
		fmt.Println(c.kubeconfig())
	}
	<-ctx.Done()
	c.letGo()
	cause := context.Cause(ctx)
	if asked := (askedToEnd{}); errors.As(cause, &asked) {
		say("ends: %s", cause)
		return nil
	}
	return cause
}

// askedToEnd is an end that somebody wished, no failure.
type askedToEnd struct{ by string }

func (a askedToEnd) Error() string { return a.by }

func endOn(cancel context.CancelCauseFunc, list ...os.Signal) {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, list...)
	go func() {
		for got := range signals {
			cancel(askedToEnd{got.String()})
		}
	}()
}

// whenDetached is the moment from which on a detached supervisor no longer minds the end of who started it.
func whenDetached(detached bool, started <-chan struct{}) <-chan struct{} {
	if detached {
		return started
	}
	return nil
}

// announce tells the waiting `up --detach` where the kubeconfig is, and lets go of its terminal.
func announce(kubeconfig, logs string) error {
	log, err := os.OpenFile(filepath.Join(logs, "supervisor.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	pipe := os.NewFile(3, "ready")
	defer pipe.Close()
	if _, err := io.WriteString(pipe, kubeconfig+"\n"); err != nil {
		return err
	}
	return unix.Dup3(int(log.Fd()), 2, 0)
}
