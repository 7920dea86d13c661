package node

import (
	"os"
	"path/filepath"
	"strings"

	kubecontainer "k8s.io/kubernetes/pkg/kubelet/container"
)

// confined is the machine's file system as far as the kubelet's folder goes. Links to container logs, which the kubelet
// makes in /var/log/containers whatever its settings are, belong to the machine and are not made.
type confined struct {
	kubecontainer.RealOS
	dir string
}

func (c confined) inside(path string) bool {
	within, err := filepath.Rel(c.dir, path)
	return err == nil && within != ".." && !strings.HasPrefix(within, "../")
}

// MkdirAll makes folders inside.
func (c confined) MkdirAll(path string, mode os.FileMode) error {
	if !c.inside(path) {
		return nil
	}
	return c.RealOS.MkdirAll(path, mode)
}

// Symlink makes links inside.
func (c confined) Symlink(old, new string) error {
	if !c.inside(new) {
		return nil
	}
	return c.RealOS.Symlink(old, new)
}

// Remove removes what lies inside.
func (c confined) Remove(path string) error {
	if !c.inside(path) {
		return nil
	}
	return c.RealOS.Remove(path)
}

// RemoveAll removes what lies inside.
func (c confined) RemoveAll(path string) error {
	if !c.inside(path) {
		return nil
	}
	return c.RealOS.RemoveAll(path)
}

// Glob finds what lies inside.
func (c confined) Glob(pattern string) ([]string, error) {
	if !c.inside(pattern) {
		return nil, nil
	}
	return c.RealOS.Glob(pattern)
}
