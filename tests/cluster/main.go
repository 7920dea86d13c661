// Package main is a whole Kubernetes cluster in one program: the published components behind one first argument each,
// the scripted parts beside them, and up, down, status for people and tests.
//
// One program rather than ten, because they share almost all of their code: one download, one build, one file to cache.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/pflag"
	"go.etcd.io/etcd/server/v3/etcdmain"
	helm "helm.sh/helm/v4/pkg/cmd"
	helmkube "helm.sh/helm/v4/pkg/kube"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	kubectl "k8s.io/kubectl/pkg/cmd"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	"sigs.k8s.io/kwok/pkg/config"
	kwok "sigs.k8s.io/kwok/pkg/kwok/cmd"
	"sigs.k8s.io/kwok/pkg/log"
	"sigs.k8s.io/kwok/pkg/utils/signals"

	"nimble-watch.test/cluster/node"
	"nimble-watch.test/cluster/plane"
	"nimble-watch.test/cluster/scripted"
)

func main() { os.Exit(run()) }

func run() int {
	// A symbolic link named after a tool is that tool, so that the Makefile's kubectl and helm are found on PATH.
	name := filepath.Base(os.Args[0])
	if name != "kubectl" && name != "helm" {
		if len(os.Args) < 2 {
			return plane.Main(nil)
		}
		name, os.Args = os.Args[1], os.Args[1:]
	}
	arguments := os.Args[1:]
	switch name {
	case "etcd":
		etcdmain.Main(append([]string{"etcd"}, arguments...))
		return 0
	case "kube-apiserver":
		return cli.Run(apiserver.NewAPIServerCommand())
	case "kube-controller-manager":
		return cli.Run(controllers.NewControllerManagerCommand())
	case "kube-scheduler":
		return cli.Run(scheduler.NewSchedulerCommand())
	case "kubectl":
		return cli.Run(kubectl.NewDefaultKubectlCommand())
	case "helm":
		forgetForeignFlags()
		return runHelm(arguments)
	case "kwok":
		forgetForeignFlags()
		return runKwok()
	case "kubelet":
		return node.Main(arguments)
	case "scripted":
		return scripted.Main(arguments)
	}
	return plane.Main(append([]string{name}, arguments...))
}

// forgetForeignFlags empties the global flag set: cobra gives its flags to every command, and Kubernetes' packages put
// some there, such as a --version that is no bool, at which kwok stops.
func forgetForeignFlags() { pflag.CommandLine = pflag.NewFlagSet(os.Args[0], pflag.ExitOnError) }

func runHelm(arguments []string) int {
	helmkube.ManagedFieldsManager = "helm"
	command, err := helm.NewRootCmd(os.Stdout, arguments, helm.SetupLogging)
	if err != nil {
		fmt.Fprintln(os.Stderr, "helm:", err)
		return 1
	}
	if err := command.Execute(); err != nil {
		// helm tells its errors itself; a plugin's own exit code is kept.
		if failed, ok := err.(helm.CommandError); ok {
			return failed.ExitCode
		}
		return 1
	}
	return 0
}

func runKwok() int {
	flags := pflag.NewFlagSet("kwok", pflag.ContinueOnError)
	flags.ParseErrorsAllowlist.UnknownFlags = true
	ctx, _ := log.InitFlags(signals.SetupSignalContext(), flags)
	ctx, err := config.InitFlags(ctx, flags)
	if err != nil {
		fmt.Fprintln(os.Stderr, "kwok:", err)
		return 1
	}
	command := kwok.NewCommand(ctx)
	command.PersistentFlags().AddFlagSet(flags)
	if err := command.ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "kwok:", err)
		return 1
	}
	return 0
}
