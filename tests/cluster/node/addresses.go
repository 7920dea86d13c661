package node

import (
	"fmt"
	"sync"
)

// addresses hands out the addresses of one node's pods: the last number of a block such as 127.77.3. An address that was
// given back is used again as late as possible, so that nobody's stale connection meets another pod.
type addresses struct {
	mu    sync.Mutex
	block string // "127.77.3"
	last  int
	taken map[string]bool
}

func newAddresses(block string) *addresses { return &addresses{block: block, taken: map[string]bool{}} }

// take returns a free address, or an error when the block is used up.
func (a *addresses) take() (string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for range 254 {
		a.last = a.last%254 + 1
		if address := fmt.Sprintf("%s.%d", a.block, a.last); !a.taken[address] {
			a.taken[address] = true
			return address, nil
		}
	}
	return "", fmt.Errorf("no IP addresses available in range set: %s.1-%s.254", a.block, a.block)
}

func (a *addresses) giveBack(address string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.taken, address)
}
