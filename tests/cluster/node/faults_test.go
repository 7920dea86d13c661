package node

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// chatty is a server that begins to answer and never ends, as a watch does.
func chatty(t *testing.T) (url string) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush()
		<-request.Context().Done()
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func ask(ctx context.Context, t *testing.T, faults *faults, url string) (*http.Response, error) {
	t.Helper()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return faults.gate(http.DefaultTransport).RoundTrip(request)
}

func TestAWatchEndsWhenTheNodeFallsSilent(t *testing.T) {
	faults := newFaults()
	response, err := ask(t.Context(), t, faults, chatty(t))
	if err != nil {
		t.Fatal(err)
	}
	faults.set(faultSilent)
	if _, err := io.ReadAll(response.Body); err == nil {
		t.Error("the watch ended as if the server had ended it")
	}
}

func TestASilentNodeHoldsRequestsBackUntilItHeals(t *testing.T) {
	faults := newFaults()
	faults.set(faultSilent)
	url := chatty(t)
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := ask(short, t, faults, url); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a request during the silence got %v", err)
	}
	answered := make(chan error, 1)
	go func() {
		response, err := faults.gate(http.DefaultTransport).RoundTrip(httptest.NewRequest(http.MethodGet, url, nil))
		if err == nil {
			err = response.Body.Close()
		}
		answered <- err
	}()
	faults.set("")
	if err := <-answered; err != nil {
		t.Errorf("after the silence: %v", err)
	}
}

func TestAnUnknownFaultChangesNothing(t *testing.T) {
	faults := newFaults()
	faults.set(faultNoGPU)
	faults.set("on-fire")
	if !faults.is(faultNoGPU) {
		t.Error("the fault was taken away by a word that is none")
	}
}
