package node

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	kubeletapp "k8s.io/kubernetes/cmd/kubelet/app"
	kubeletoptions "k8s.io/kubernetes/cmd/kubelet/app/options"
	kubeletconfig "k8s.io/kubernetes/pkg/kubelet/apis/config"
	"k8s.io/kubernetes/pkg/kubemark"
)

// longestDir is what the path of a Unix socket (107 characters) leaves to the folder; a longer one gets another name.
const longestDir = 107 - len("/pod-resources/kubelet.sock")

// Run starts the kubelet of a node and returns when ctx ends, or with the reason why it could not be started.
func Run(ctx context.Context, options Options) error {
	if err := quiet(options.Verbosity); err != nil {
		return err
	}
	// Whatever wants a temporary folder gets it inside ours, where nothing is left behind.
	temporary := filepath.Join(options.Dir, "tmp")
	if err := os.MkdirAll(temporary, 0o755); err != nil {
		return err
	}
	if err := os.Setenv("TMPDIR", temporary); err != nil {
		return err
	}
	if len(options.Dir) > longestDir {
		if err := os.Chdir(options.Dir); err != nil {
			return err
		}
		options.Dir = "/proc/self/cwd"
	}
	config, err := clientcmd.BuildConfigFromFlags("", options.Kubeconfig)
	if err != nil {
		return err
	}
	config.QPS, config.Burst = 100, 200
	own, err := kubernetes.NewForConfig(rest.AddUserAgent(rest.CopyConfig(config), "scripted-runtime"))
	if err != nil {
		return err
	}
	faults := newFaults()
	faults.watch(ctx, own, options.Node.Name)
	config.Wrap(faults.gate)
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	if err := start(ctx, options, own, client, faults); err != nil {
		return err
	}
	go annotate(ctx, own, options)
	<-ctx.Done()
	return nil
}

// quiet sets how much the kubelet logs; its log is the process's standard error.
func quiet(verbosity int) error {
	flags := flag.NewFlagSet("klog", flag.ContinueOnError)
	klog.InitFlags(flags)
	return flags.Set("v", strconv.Itoa(verbosity))
}

// start puts the kubelet together out of kubemark's hollow one and our parts.
func start(ctx context.Context, options Options, own kubernetes.Interface, client *kubernetes.Clientset, faults *faults) error {
	capacity := options.Node.Shape.Capacity()
	hardware := &hardware{
		name: options.Node.Name, cpus: int(capacity.Cpu().Value()), memory: uint64(capacity.Memory().Value()),
		storage: uint64(capacity.StorageEphemeral().Value()), faults: faults,
	}
	pods := watchPods(ctx, own, options.Node.Name)
	images := newImages(pods, hardware)
	runtime := newRuntime(options.CRIO, pods, images, faults, newAddresses(options.PodBlock))
	if err := runtime.startStreams(); err != nil {
		return err
	}
	flags, settings, err := configure(options)
	if err != nil {
		return err
	}
	hollow := kubemark.NewHollowKubelet(flags, settings, client, client, hardware, images, runtime, newDevices(hardware, options.GPUs))
	deps := hollow.KubeletDeps
	deps.Recorder = newRecorder(ctx, client.CoreV1(), options)
	deps.ProbeManager = nil // kubemark's is a fake; for none the kubelet makes a real one
	deps.VolumePlugins = withoutOwners(deps.VolumePlugins)
	deps.OSInterface = confined{dir: options.Dir}
	if deps.TLSOptions, err = kubeletapp.InitializeTLS(ctx, flags, settings); err != nil {
		return fmt.Errorf("no certificate to serve with: %w", err)
	}
	if options.ClientCA != "" {
		auth, reload, err := kubeletapp.BuildAuth(types.NodeName(options.Node.Name), client, *settings)
		if err != nil {
			return err
		}
		deps.Auth = auth
		reload(ctx.Done())
	}
	return kubeletapp.RunKubelet(ctx, &kubeletoptions.KubeletServer{KubeletFlags: *flags, KubeletConfiguration: *settings}, deps)
}

// configure returns the kubelet's settings: its defaults, but for what a test cluster needs short and what lies in Dir.
func configure(options Options) (*kubeletoptions.KubeletFlags, *kubeletconfig.KubeletConfiguration, error) {
	settings, err := kubeletoptions.NewKubeletConfiguration()
	if err != nil {
		return nil, nil, err
	}
	flags := kubeletoptions.NewKubeletFlags()
	flags.RootDirectory = options.Dir
	flags.CertDirectory = filepath.Join(options.Dir, "pki")
	flags.HostnameOverride = options.Node.Name
	flags.NodeLabels = options.Node.Labels()
	flags.MinimumGCAge = metav1.Duration{Duration: time.Minute}
	flags.MaxContainerCount, flags.MaxPerPodContainerCount = 500, 2

	settings.Address, settings.Port, settings.ReadOnlyPort = options.Address, int32(options.Port), 0
	settings.HealthzPort = 0
	settings.PodLogsDir = filepath.Join(options.Dir, "logs")
	settings.VolumePluginDir = filepath.Join(options.Dir, "plugins")
	settings.ProviderID = options.Node.ProviderID()
	settings.RegisterWithTaints = options.Node.Shape.Taints()
	settings.MaxPods = int32(options.Node.Shape.Pods)
	settings.ClusterDNS, settings.ClusterDomain = []string{options.ClusterDNS}, "cluster.local"
	settings.ResolverConfig = "" // that of the machine would show through in events about its search domains
	settings.CgroupsPerQOS, settings.CgroupRoot = false, ""
	settings.EnforceNodeAllocatable = nil
	settings.FailSwapOn = false
	settings.EnableControllerAttachDetach = true

	parallel := int32(10)
	settings.SerializeImagePulls, settings.MaxParallelImagePulls = false, &parallel
	settings.RegistryPullQPS = 0 // a test starts all its faults at once
	settings.ImageGCHighThresholdPercent, settings.ImageGCLowThresholdPercent = 90, 80

	// Short, so that tests need not wait: a node counts as gone after 12 s of silence, a crash is repeated after 10 s at most.
	settings.NodeStatusUpdateFrequency = metav1.Duration{Duration: time.Second}
	settings.NodeStatusReportFrequency = metav1.Duration{Duration: 4 * time.Second}
	settings.NodeLeaseDurationSeconds = 8 // renewed at a quarter of it
	settings.SyncFrequency = metav1.Duration{Duration: 10 * time.Second}
	settings.CrashLoopBackOff.MaxContainerRestartPeriod = &metav1.Duration{Duration: 10 * time.Second}

	settings.EvictionHard = map[string]string{
		"memory.available": "100Mi", "nodefs.available": "10%", "nodefs.inodesFree": "5%", "imagefs.available": "15%", "imagefs.inodesFree": "5%",
	}
	settings.EvictionPressureTransitionPeriod = metav1.Duration{Duration: 10 * time.Second}

	settings.TLSCertFile, settings.TLSPrivateKeyFile = options.CertFile, options.KeyFile
	settings.Authentication.X509.ClientCAFile = options.ClientCA
	settings.Authentication.Anonymous.Enabled = false
	settings.Authentication.Webhook.Enabled = true
	settings.Authorization.Mode = kubeletconfig.KubeletAuthorizationModeWebhook

	// The kubelet sets the limit of open files; it gets the one that it has.
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return nil, nil, err
	}
	settings.MaxOpenFiles = int64(min(limit.Max, 1<<20))
	return flags, settings, nil
}

// annotate gives the node the annotations that OKE's controllers give it, as soon as the kubelet has registered it. The
// kubelet itself cannot, and registers again when somebody deletes the node; so does this.
func annotate(ctx context.Context, client kubernetes.Interface, options Options) {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": options.Node.Annotations()}})
	if err != nil {
		klog.ErrorS(err, "Annotations of the node cannot be written as JSON")
		return
	}
	wait.UntilWithContext(ctx, func(ctx context.Context) {
		node, err := client.CoreV1().Nodes().Get(ctx, options.Node.Name, metav1.GetOptions{ResourceVersion: "0"})
		if err != nil || annotated(node, options) {
			return
		}
		if _, err = client.CoreV1().Nodes().Patch(ctx, options.Node.Name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
			klog.ErrorS(err, "Annotations of the node cannot be set, trying again")
		}
	}, time.Second)
}

func annotated(node *v1.Node, options Options) bool {
	for key, value := range options.Node.Annotations() {
		if node.Annotations[key] != value {
			return false
		}
	}
	return true
}
