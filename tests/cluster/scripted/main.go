// Package scripted holds the small controllers that a cloud brings into a cluster: block volumes, load balancers, and
// the autoscaler. They say, in events and in status, what the real ones say, and do what an annotation tells them.
//
// Each is level-triggered, as real ones are: it looks at what is there and does what is missing, so that an annotation
// that is changed while something fails takes effect at the next attempt.
package scripted

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	core "k8s.io/api/core/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typed "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/record"
)

const prefix = "scripted.nimble-watch.test/"

// Main runs all controllers until it is told to stop, and returns the exit code.
func Main(arguments []string) int {
	if err := run(arguments); err != nil {
		fmt.Fprintln(os.Stderr, "scripted:", err)
		return 1
	}
	return 0
}

func run(arguments []string) error {
	flags := flag.NewFlagSet("scripted", flag.ContinueOnError)
	kubeconfig := flags.String("kubeconfig", "", "how to reach the API server")
	folder := flags.String("dir", ".", "the cluster's folder")
	block := flags.String("block", "", "the cluster's block of loopback addresses, such as 127.7")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		return err
	}
	config.QPS, config.Burst = 100, 200
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	factory := informers.NewSharedInformerFactory(client, 0)
	broadcaster := record.NewBroadcaster(record.WithContext(ctx))
	broadcaster.StartRecordingToSink(&typed.EventSinkImpl{Interface: client.CoreV1().Events("")})
	defer broadcaster.Shutdown()
	voice := func(component string) record.EventRecorder {
		return broadcaster.NewRecorder(scheme.Scheme, core.EventSource{Component: component})
	}
	controllers := []func(context.Context){
		newVolumes(client, factory, voice(provisioner+"_csi-oci-controller"), *folder).run,
		newBalancers(client, factory, voice("service-controller"), *block).run,
		newAutoscaler(client, factory, voice("cluster-autoscaler"), *folder).run,
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	for _, controller := range controllers {
		go controller(ctx)
	}
	<-ctx.Done()
	return nil
}

// scriptedSeconds reads a duration from an annotation; the admission policy has refused anything that is no number.
func scriptedSeconds(annotations map[string]string, key string, otherwise time.Duration) time.Duration {
	if value, err := strconv.ParseFloat(annotations[prefix+key], 64); err == nil {
		return time.Duration(value * float64(time.Second))
	}
	return otherwise
}
