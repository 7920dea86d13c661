// Package shapes is the one table of the OKE node shapes that the embedded cluster knows: what a node of each shape
// offers, is called and carries. Kubelet, autoscaler and control plane read it, so that a node that comes later looks
// like one that was there from the start.
//
// Sizes are those of Oracle's public list of compute shapes; labels, annotation and taint are those of an OKE node.
package shapes

import (
	"crypto/sha256"
	"fmt"
	"math/big"
	"net"
	"sort"
	"strings"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// GPU is the extended resource by which pods ask for a graphics card.
const GPU v1.ResourceName = "nvidia.com/gpu"

// Region is the short code of the region in which every node stands, as in its OCIDs.
const Region = "phx"

// Shape is a kind of machine.
type Shape struct {
	Key      string // short name used on the command line, such as a10-1
	Name     string // Oracle's name, such as VM.GPU.A10.1
	GPUs     int64
	CPUs     int64 // as Kubernetes counts them: two for an OCPU
	MemoryGB int64
	Pods     int64
}

// ephemeralGB is the boot volume as the file system shows it, once grown.
const ephemeralGB = 200

var table = map[string]Shape{
	"a10-1":  {"a10-1", "VM.GPU.A10.1", 1, 30, 240, 110},
	"a10-2":  {"a10-2", "VM.GPU.A10.2", 2, 60, 480, 110},
	"h100-8": {"h100-8", "BM.GPU.H100.8", 8, 224, 2048, 110},
	"cpu":    {"cpu", "VM.Standard.E5.Flex", 0, 8, 64, 110},
}

// Keys lists the short names, sorted.
func Keys() []string {
	keys := make([]string, 0, len(table))
	for key := range table {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	return keys
}

// Lookup finds a shape by its short name or by Oracle's.
func Lookup(name string) (Shape, error) {
	for _, shape := range table {
		if shape.Key == name || shape.Name == name {
			return shape, nil
		}
	}
	return Shape{}, fmt.Errorf("no shape is called %q; there are %s", name, strings.Join(Keys(), ", "))
}

// Capacity is what a machine of the shape has.
func (s Shape) Capacity() v1.ResourceList {
	list := v1.ResourceList{
		v1.ResourceCPU:              *resource.NewQuantity(s.CPUs, resource.DecimalSI),
		v1.ResourceMemory:           *resource.NewQuantity(s.MemoryGB<<30, resource.BinarySI),
		v1.ResourceEphemeralStorage: *resource.NewQuantity(ephemeralGB<<30, resource.BinarySI),
		v1.ResourcePods:             *resource.NewQuantity(s.Pods, resource.DecimalSI),
	}
	if s.GPUs > 0 {
		list[GPU] = *resource.NewQuantity(s.GPUs, resource.DecimalSI)
	}
	return list
}

// Taints keep pods without a GPU off expensive machines, as OKE's bootstrap does.
func (s Shape) Taints() []v1.Taint {
	if s.GPUs == 0 {
		return nil
	}
	return []v1.Taint{{Key: string(GPU), Value: "present", Effect: v1.TaintEffectNoSchedule}}
}

// Node is one machine: everything about it follows from its name, shape and pool.
type Node struct {
	Name  string // its private IP, as on OKE
	Shape Shape
	Pool  string
}

// FirstIndex and LastIndex bound the last number of a node's address.
const (
	FirstIndex = 11
	LastIndex  = 250
)

// NodeName is the private IP of the machine with that number.
func NodeName(index int) string { return fmt.Sprintf("10.0.10.%d", index) }

// NodeIndex is the number of the machine with that name.
func NodeIndex(name string) (int, error) {
	ip := net.ParseIP(name).To4()
	if ip == nil || ip[0] != 10 || ip[1] != 0 || ip[2] != 10 || int(ip[3]) < FirstIndex || int(ip[3]) > LastIndex {
		return 0, fmt.Errorf("%q is no node address: 10.0.10.%d to 10.0.10.%d are", name, FirstIndex, LastIndex)
	}
	return int(ip[3]), nil
}

// OCID is an identifier as Oracle writes them, always the same for the same name.
func OCID(kind, name string) string {
	sum := sha256.Sum256([]byte("nimble-watch " + kind + " " + name))
	text := new(big.Int).SetBytes(sum[:]).Text(36)
	return fmt.Sprintf("ocid1.%s.oc1.%s.a%s", kind, Region, strings.Repeat("a", max(0, 59-len(text)))+text)
}

// ProviderID is the bare OCID of the instance, as OKE's controllers set it.
func (n Node) ProviderID() string { return OCID("instance", n.Name) }

// Labels are those of an OKE node.
func (n Node) Labels() map[string]string {
	index, err := NodeIndex(n.Name)
	if err != nil {
		index = FirstIndex
	}
	host := fmt.Sprintf("oke-c%s-n%s-s%s-%d", short("cluster", "demo"), short("pool", n.Pool), short("subnet", n.Pool), index-FirstIndex)
	return map[string]string{
		v1.LabelHostname:                        n.Name,
		v1.LabelInstanceTypeStable:              n.Shape.Name,
		v1.LabelInstanceType:                    n.Shape.Name,
		v1.LabelTopologyZone:                    fmt.Sprintf("PHX-AD-%d", (index-FirstIndex)%3+1),
		v1.LabelTopologyRegion:                  Region,
		v1.LabelArchStable:                      "amd64",
		v1.LabelOSStable:                        "linux",
		"oci.oraclecloud.com/fault-domain":      "FAULT-DOMAIN-1",
		"oci.oraclecloud.com/node.info.managed": "true",
		"oke.oraclecloud.com/pool.name":         n.Pool,
		"hostname":                              host,
		"displayName":                           host,
	}
}

// Annotations are those of an OKE node.
func (n Node) Annotations() map[string]string {
	return map[string]string{
		"oci.oraclecloud.com/node-pool-id":   OCID("nodepool", n.Pool),
		"oci.oraclecloud.com/compartment-id": OCID("compartment", "demo"),
	}
}

func short(kind, name string) string {
	ocid := OCID(kind, name)
	return ocid[len(ocid)-11:]
}
