package node

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
)

// answerTime bounds one exchange with a stub server.
const answerTime = 10 * time.Second

// serve keeps a stub server on every TCP port that the container declares, for as long as the script wants something to
// listen there, until ctx ends. The script is read again and again, so that a server can be repaired or broken at once.
// The first look is taken before serve returns: the ports of a container without a script are open when it has started.
func (r *scriptedRuntime) serve(ctx context.Context, c *container) {
	if c.sandbox.address == "" {
		return // the node's address is not this machine's, so nothing can listen on the host network
	}
	declared, _ := containerOf(r.latest(c.sandbox), c.name())
	doors := &doors{
		server: &http.Server{Handler: r.handler(c, declared.Image), ReadTimeout: answerTime, WriteTimeout: answerTime},
		open:   map[string]net.Listener{}, stuck: map[string]bool{},
		complain: func(err error) { _ = writeLog(c.logPath, "scripted runtime: "+err.Error()) },
	}
	for _, port := range declared.Ports {
		if port.Protocol == "" || port.Protocol == v1.ProtocolTCP {
			doors.addresses = append(doors.addresses, net.JoinHostPort(c.sandbox.address, strconv.Itoa(int(port.ContainerPort))))
		}
	}
	look := func() {
		script, err := r.script(c)
		doors.set(err == nil && script.Listens(r.age(c)))
	}
	look()
	go func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				_ = doors.server.Close() // with all that is open
				doors.set(false)
				return
			case <-tick.C:
				look()
			}
		}
	}()
}

// doors are the ports of one container.
type doors struct {
	server    *http.Server
	addresses []string
	open      map[string]net.Listener
	stuck     map[string]bool // those that could not be opened, of which the log tells once
	complain  func(error)
}

// set opens the doors, or shuts them.
func (d *doors) set(open bool) {
	for _, address := range d.addresses {
		switch listener := d.open[address]; {
		case open && listener == nil:
			listener, err := net.Listen("tcp", address)
			if err != nil {
				if !d.stuck[address] {
					d.stuck[address] = true
					d.complain(err)
				}
				continue
			}
			d.open[address] = listener
			go func() { _ = d.server.Serve(listener) }() // ends when the listener is closed
		case !open && listener != nil:
			_ = listener.Close()
			delete(d.open, address)
		}
	}
}

// ready says whether the container's server, or the command of an exec probe, reports that it is ready.
func (r *scriptedRuntime) ready(c *container) bool {
	script, err := r.script(c)
	return err == nil && script.Ready(r.age(c))
}

// broken says whether the container's server has failed for good.
func (r *scriptedRuntime) broken(c *container) bool {
	script, err := r.script(c)
	return err != nil || script.Failed(r.age(c))
}

// handler answers as a NIM does: alive as soon as it listens, ready once the model is loaded, then an OpenAI-compatible
// interface. Any other path answers as the one for readiness does, so that other programs' probes are served too.
func (r *scriptedRuntime) handler(c *container, image string) http.Handler {
	model := modelName(image)
	mux := http.NewServeMux()
	whenReady := func(answer http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, request *http.Request) {
			if !r.ready(c) {
				say(w, http.StatusServiceUnavailable, map[string]any{"object": "health.response", "message": "Service is not ready."})
				return
			}
			answer(w, request)
		}
	}
	mux.HandleFunc("/v1/health/live", func(w http.ResponseWriter, _ *http.Request) {
		if r.broken(c) {
			say(w, http.StatusServiceUnavailable, map[string]any{"object": "health.response", "message": "Service is not live."})
			return
		}
		say(w, http.StatusOK, map[string]any{"object": "health.response", "message": "Service is live."})
	})
	mux.HandleFunc("/", whenReady(func(w http.ResponseWriter, _ *http.Request) {
		say(w, http.StatusOK, map[string]any{"object": "health.response", "message": "Service is ready."})
	}))
	mux.HandleFunc("/v1/models", whenReady(func(w http.ResponseWriter, _ *http.Request) {
		say(w, http.StatusOK, map[string]any{"object": "list", "data": []any{map[string]any{
			"id": model, "object": "model", "created": r.started(c).Unix(), "owned_by": "system", "root": model, "max_model_len": 8192,
		}}})
	}))
	mux.HandleFunc("/v1/chat/completions", whenReady(func(w http.ResponseWriter, request *http.Request) { complete(w, request, model) }))
	return mux
}

func (r *scriptedRuntime) started(c *container) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return c.startedAt
}

// modelName is the model that a NIM image serves: nvcr.io/nim/meta/llama3-8b-instruct:1.0.0 serves meta/llama3-8b-instruct.
func modelName(name string) string {
	parsed, err := parseImage(name)
	if err != nil {
		return name
	}
	return strings.TrimPrefix(strings.TrimPrefix(parsed.path, "nim/"), "library/")
}

func say(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body) // the other side may be gone
}

// question is what a chat completion is asked with, as far as it is read.
type question struct {
	Model    string `json:"model"`
	Stream   bool   `json:"stream"`
	Messages []struct {
		Role    string `json:"role"`
		Content string `json:"content"`
	} `json:"messages"`
}

// word finds what a model would count as a token, nearly enough.
var word = regexp.MustCompile(`\S+`)

// complete answers a chat completion by repeating the last message, whole or as a stream.
func complete(w http.ResponseWriter, request *http.Request, model string) {
	refuse := func(code int, kind, text string) {
		say(w, code, map[string]any{"object": "error", "message": text, "type": kind, "param": nil, "code": code})
	}
	if request.Method != http.MethodPost {
		refuse(http.StatusMethodNotAllowed, "MethodNotAllowed", "Method Not Allowed")
		return
	}
	var asked question
	if err := json.NewDecoder(http.MaxBytesReader(w, request.Body, 1<<20)).Decode(&asked); err != nil || len(asked.Messages) == 0 {
		refuse(http.StatusBadRequest, "BadRequestError", "the body must be a JSON object with a model and at least one message")
		return
	}
	if asked.Model != model {
		refuse(http.StatusNotFound, "NotFoundError", fmt.Sprintf("The model `%s` does not exist.", asked.Model))
		return
	}
	last := asked.Messages[len(asked.Messages)-1].Content
	reply := "You said: " + last
	id, created := "chat-"+newID()[:32], time.Now().Unix()
	if !asked.Stream {
		prompt, answer := len(word.FindAllString(last, -1)), len(word.FindAllString(reply, -1))
		say(w, http.StatusOK, map[string]any{
			"id": id, "object": "chat.completion", "created": created, "model": model,
			"choices": []any{map[string]any{"index": 0, "message": map[string]any{"role": "assistant", "content": reply}, "finish_reason": "stop"}},
			"usage":   map[string]any{"prompt_tokens": prompt, "completion_tokens": answer, "total_tokens": prompt + answer},
		})
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	piece := func(delta map[string]any, finish any) {
		text, _ := json.Marshal(map[string]any{ // maps of strings always marshal
			"id": id, "object": "chat.completion.chunk", "created": created, "model": model,
			"choices": []any{map[string]any{"index": 0, "delta": delta, "finish_reason": finish}},
		})
		fmt.Fprintf(w, "data: %s\n\n", text)
	}
	for _, part := range word.FindAllString(reply, -1) {
		piece(map[string]any{"content": part + " "}, nil)
	}
	piece(map[string]any{}, "stop")
	fmt.Fprint(w, "data: [DONE]\n\n")
}
