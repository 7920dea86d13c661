package scripted

import (
	"context"
	"fmt"
	"os"
	"time"

	"k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
)

// Failed attempts come again after one second, then two, then four, up to half a minute.
const (
	firstRetry = time.Second
	lastRetry  = 30 * time.Second
)

// worker hands the keys of changed objects to one function, one at a time, again and slower when it fails.
type worker struct {
	name  string
	queue workqueue.TypedRateLimitingInterface[string]
	// reconcile does what is missing; it returns when to be called again though nothing changes, or zero.
	reconcile func(ctx context.Context, key string) (time.Duration, error)
}

func newWorker(name string, reconcile func(context.Context, string) (time.Duration, error)) *worker {
	limiter := workqueue.NewTypedItemExponentialFailureRateLimiter[string](firstRetry, lastRetry)
	return &worker{name: name, queue: workqueue.NewTypedRateLimitingQueue(limiter), reconcile: reconcile}
}

// follow queues every object that the informer sees change.
func (w *worker) follow(informer cache.SharedIndexInformer) {
	add := func(object any) {
		if key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(object); err == nil {
			w.queue.Add(key)
		}
	}
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: add, DeleteFunc: add, UpdateFunc: func(_, object any) { add(object) },
	})
	if err != nil {
		panic(err) // only an informer that was stopped refuses, and none is before the program ends
	}
}

func (w *worker) run(ctx context.Context) {
	context.AfterFunc(ctx, w.queue.ShutDown)
	for {
		key, stopped := w.queue.Get()
		if stopped {
			return
		}
		again, err := w.reconcile(ctx, key)
		switch {
		case err != nil && ctx.Err() == nil:
			if !errors.IsConflict(err) && !errors.IsNotFound(err) {
				fmt.Fprintf(os.Stderr, "scripted: %s %s: %v\n", w.name, key, err)
			}
			w.queue.AddRateLimited(key)
		case again > 0:
			w.queue.AddAfter(key, again)
		default:
			w.queue.Forget(key)
		}
		w.queue.Done(key)
	}
}
