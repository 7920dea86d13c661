// Package plane starts, watches and ends a cluster: certificates, control plane, nodes, admission policies and the
// proxy by which the API server reaches kubelets and pods without a packet leaving the machine.
//
// Everything lives in one folder, and everything dies with one process. What is left to do after that process was
// killed outright (see reaper.go) is done by a second one that does nothing else.
package plane

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const usage = `nimble-cluster: a whole Kubernetes cluster on this machine, for tests and for the demo

  nimble-cluster up --dir DIR [--nodes a10-1=1,a10-2=1,h100-8=1,cpu=1] [--kwok-nodes N] [--logs FOLDER] [--detach]
  nimble-cluster down --dir DIR
  nimble-cluster status --dir DIR [-o json]
  nimble-cluster kubeconfig --dir DIR
  nimble-cluster user --dir DIR --name NAME [--group GROUP,...] [--namespace NAMESPACE] [--valid DURATION]
  nimble-cluster node-add --dir DIR --shape SHAPE [--pool POOL]
  nimble-cluster node-remove --dir DIR NAME

and the programs themselves: etcd kube-apiserver kube-controller-manager kube-scheduler kubelet kwok kubectl helm scripted
`

// defaultNodes has one node of every shape.
const defaultNodes = "a10-1=1,a10-2=1,h100-8=1,cpu=1"

// Main runs one of the commands for people and tests, and returns the exit code: 0, 1 for a failure that it has told,
// 2 for a command line that makes no sense.
func Main(arguments []string) int {
	if len(arguments) == 0 {
		fmt.Fprint(os.Stderr, usage)
		return 2
	}
	commands := map[string]func([]string) error{
		"up": up, "down": down, "status": status, "kubeconfig": kubeconfig, "user": user,
		"node-add": nodeAdd, "node-remove": nodeRemove, reaperCommand: reap,
	}
	name := arguments[0]
	if name == "help" || name == "--help" || name == "-h" {
		fmt.Print(usage)
		return 0
	}
	command, known := commands[name]
	if !known {
		fmt.Fprintf(os.Stderr, "nimble-cluster: there is no command %q\n\n%s", name, usage)
		return 2
	}
	err := command(arguments[1:])
	var wrong usageError
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.As(err, &wrong):
		fmt.Fprintf(os.Stderr, "nimble-cluster %s: %v\n\n%s", name, err, usage)
		return 2
	}
	fmt.Fprintf(os.Stderr, "nimble-cluster %s: %v\n", name, err)
	return 1
}

// usageError is a command line that makes no sense.
type usageError struct{ text string }

func (e usageError) Error() string { return e.text }

// folderFlags is a flag set with --dir, which every command needs.
func folderFlags(name string) (*flag.FlagSet, *string) {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	return flags, flags.String("dir", "", "folder of the cluster")
}

// parse reads the flags and makes the folder's path absolute.
func parse(flags *flag.FlagSet, dir *string, arguments []string, positional int) error {
	if err := flags.Parse(arguments); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fmt.Print(usage)
			return err
		}
		return usageError{err.Error()}
	}
	if *dir == "" {
		return usageError{"--dir is missing: which folder is the cluster's?"}
	}
	if flags.NArg() != positional {
		return usageError{fmt.Sprintf("%d arguments after the flags, not %d: %s", flags.NArg(), positional, strings.Join(flags.Args(), " "))}
	}
	absolute, err := filepath.Abs(*dir)
	if err != nil {
		return fmt.Errorf("the folder %s: %w", *dir, err)
	}
	*dir = absolute
	return nil
}

func kubeconfig(arguments []string) error {
	flags, dir := folderFlags("kubeconfig")
	if err := parse(flags, dir, arguments, 0); err != nil {
		return err
	}
	path := filepath.Join(*dir, "kubeconfig")
	if _, err := os.Stat(path); err != nil {
		return fmt.Errorf("no cluster is up in %s; start one with: nimble-cluster up --dir %s", *dir, *dir)
	}
	fmt.Println(path)
	return nil
}

// user makes a person of limited rights: a client certificate that no role is bound to yet.
func user(arguments []string) error {
	flags, dir := folderFlags("user")
	name := flags.String("name", "", "user name")
	groups := flags.String("group", "", "groups, comma separated")
	namespace := flags.String("namespace", "default", "namespace of the context")
	valid := flags.Duration("valid", validity, "how long the certificate holds")
	if err := parse(flags, dir, arguments, 0); err != nil {
		return err
	}
	if *name == "" || strings.ContainsAny(*name, "/\x00") {
		return usageError{"--name is missing, or no file could have that name"}
	}
	reply, err := ask(*dir, request{Do: "status"}, time.Minute)
	if err != nil {
		return err
	}
	authority, err := loadAuthority(filepath.Join(*dir, "certs"))
	if err != nil {
		return err
	}
	path := filepath.Join(*dir, "users", *name+".kubeconfig")
	organisations := strings.FieldsFunc(*groups, func(r rune) bool { return r == ',' })
	if err := authority.writeKubeconfig(path, reply.Status.Server, *namespace, *name, organisations, *valid); err != nil {
		return err
	}
	fmt.Println(path)
	return nil
}

func nodeAdd(arguments []string) error {
	flags, dir := folderFlags("node-add")
	shape := flags.String("shape", "", "shape of the node")
	pool := flags.String("pool", "", "node pool; by default named after the shape")
	if err := parse(flags, dir, arguments, 0); err != nil {
		return err
	}
	name, err := AddNode(*dir, *shape, *pool)
	if err != nil {
		return err
	}
	fmt.Println(name)
	return nil
}

func nodeRemove(arguments []string) error {
	flags, dir := folderFlags("node-remove")
	if err := parse(flags, dir, arguments, 1); err != nil {
		return err
	}
	return RemoveNode(*dir, flags.Arg(0))
}
