package node

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	cadvisorv1 "github.com/google/cadvisor/info/v1"
	cadvisorv2 "github.com/google/cadvisor/info/v2"
)

// mountpoint is the one file system of a node, as OKE's images have it.
const mountpoint = "/"

// inodes is the number of inodes of that file system.
const inodes = 50_000_000

// hardware is what cadvisor would find on a machine of the node's shape. The eviction manager, the image garbage
// collection and `kubectl top` read their figures here; with no figures at all the first two would not work.
type hardware struct {
	name    string
	cpus    int
	memory  uint64 // bytes
	storage uint64 // bytes of the file system
	faults  *faults
}

// id is an identifier in the form of a machine id or UUID, the same for the same node and purpose.
func (h *hardware) id(purpose string) string {
	sum := sha256.Sum256([]byte(purpose + h.name))
	return fmt.Sprintf("%x-%x-%x-%x-%x", sum[0:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
}

// disk is the state of the file system: two fifths used, or nearly full while the node has the fault disk-pressure.
func (h *hardware) disk() cadvisorv2.FsInfo {
	free, available := uint64(inodes-inodes/20), h.storage/5*3
	if h.faults.is(faultDiskPressure) {
		available = h.storage / 50
	}
	total := uint64(inodes)
	return cadvisorv2.FsInfo{
		Timestamp: time.Now(), Device: "/dev/sda3", Mountpoint: mountpoint, Capacity: h.storage, Available: available,
		Usage: h.storage - available, Inodes: &total, InodesFree: &free,
	}
}

// Start has nothing to start.
func (h *hardware) Start() error { return nil }

// MachineInfo describes the machine.
func (h *hardware) MachineInfo() (*cadvisorv1.MachineInfo, error) {
	return &cadvisorv1.MachineInfo{
		NumCores: h.cpus, NumPhysicalCores: max(h.cpus/2, 1), NumSockets: 1, MemoryCapacity: h.memory, InstanceID: cadvisorv1.InstanceID(h.name),
		MachineID: h.id("machine"), SystemUUID: h.id("system"), BootID: h.id("boot"),
	}, nil
}

// VersionInfo names an operating system such as OKE's nodes run.
func (h *hardware) VersionInfo() (*cadvisorv1.VersionInfo, error) {
	return &cadvisorv1.VersionInfo{
		KernelVersion: "5.15.0-308.179.6.el8uek.x86_64", ContainerOsVersion: "Oracle Linux Server 8.10",
	}, nil
}

// ContainerInfoV2 gives the figures of the cgroup asked for: a tenth of the machine is in use, whichever it is.
func (h *hardware) ContainerInfoV2(name string, _ cadvisorv2.RequestOptions) (map[string]cadvisorv2.ContainerInfo, error) {
	now := time.Now()
	sample := func(at time.Time) *cadvisorv2.ContainerStats {
		nanoCores := uint64(h.cpus) * 1e8
		return &cadvisorv2.ContainerStats{
			Timestamp: at,
			Cpu:       &cadvisorv1.CpuStats{Usage: cadvisorv1.CpuUsage{Total: nanoCores * uint64(at.Unix()%1e6)}},
			CpuInst:   &cadvisorv2.CpuInstStats{Usage: cadvisorv2.CpuInstUsage{Total: nanoCores}},
			Memory:    &cadvisorv1.MemoryStats{Usage: h.memory / 10, WorkingSet: h.memory / 10, RSS: h.memory / 12},
		}
	}
	return map[string]cadvisorv2.ContainerInfo{name: {
		Spec: cadvisorv2.ContainerSpec{
			CreationTime: now.Add(-time.Hour), HasCpu: true, HasMemory: true, Memory: cadvisorv2.MemorySpec{Limit: h.memory},
		},
		Stats: []*cadvisorv2.ContainerStats{sample(now.Add(-time.Second)), sample(now)},
	}}, nil
}

// GetRequestedContainersInfo knows no containers but those of the runtime.
func (h *hardware) GetRequestedContainersInfo(string, cadvisorv2.RequestOptions) (map[string]*cadvisorv1.ContainerInfo, error) {
	return map[string]*cadvisorv1.ContainerInfo{}, nil
}

// ImagesFsInfo is the node's one file system.
func (h *hardware) ImagesFsInfo(context.Context) (cadvisorv2.FsInfo, error) { return h.disk(), nil }

// RootFsInfo is the node's one file system.
func (h *hardware) RootFsInfo() (cadvisorv2.FsInfo, error) { return h.disk(), nil }

// ContainerFsInfo is the node's one file system.
func (h *hardware) ContainerFsInfo(context.Context) (cadvisorv2.FsInfo, error) { return h.disk(), nil }

// GetDirFsInfo is the node's one file system, wherever the directory is.
func (h *hardware) GetDirFsInfo(string) (cadvisorv2.FsInfo, error) { return h.disk(), nil }
