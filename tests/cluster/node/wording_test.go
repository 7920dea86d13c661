package node

import (
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	nim    = "nvcr.io/nim/meta/llama3-8b-instruct:1.0.0"
	asked  = `failed to pull and unpack image "` + nim + `": failed to resolve reference "` + nim + `": `
	realm  = "https://nvcr.io/proxy_auth?"
	scope  = "scope=repository%3Anim%2Fmeta%2Fllama3-8b-instruct%3Apull"
	crio   = "unable to pull image or OCI artifact: pull image err: "
	source = crio + "initializing source docker://" + nim + ": "
	whole  = "reading manifest 1.0.0 in nvcr.io/nim/meta/llama3-8b-instruct: "
	artif  = "; artifact err: get manifest: build image source: " + whole
)

func said(t *testing.T, outcome, name, user string, crio bool) string {
	t.Helper()
	parsed, err := parseImage(name)
	if err != nil {
		t.Fatal(err)
	}
	return pullError(outcome, parsed, user, crio).Error()
}

func TestPullErrorsAreWordedAsTheRuntimeWordsThem(t *testing.T) {
	for _, c := range []struct {
		outcome, user string
		crio          bool
		want          string
	}{
		{"not-found", "", false, "rpc error: code = NotFound desc = " + asked + nim + ": not found"},
		{"unauthorized", "", false, asked + "failed to authorize: failed to fetch anonymous token: unexpected status from GET request to " + realm + scope + ": 401 Unauthorized"},
		{"unauthorized", "$oauthtoken", false, asked + "failed to authorize: failed to fetch oauth token: unexpected status from GET request to " + realm + "account=%24oauthtoken&" + scope + ": 401 Unauthorized"},
		{"forbidden", "", false, asked + "failed to authorize: failed to fetch anonymous token: unexpected status from GET request to " + realm + scope + ": 403 Forbidden"},
		{"payment-required", "u", false, asked + "failed to authorize: failed to fetch oauth token: unexpected status from GET request to " + realm + "account=u&" + scope + ": 402 Payment Required"},
		{"no-such-host", "", false, asked + `failed to do request: Head "https://nvcr.io/v2/nim/meta/llama3-8b-instruct/manifests/1.0.0": dial tcp: lookup nvcr.io on 169.254.169.254:53: no such host`},
		{"connection-refused", "", false, asked + `failed to do request: Head "https://nvcr.io/v2/nim/meta/llama3-8b-instruct/manifests/1.0.0": dial tcp 203.0.113.17:443: connect: connection refused`},
		{"timeout", "", false, asked + `failed to do request: Head "https://nvcr.io/v2/nim/meta/llama3-8b-instruct/manifests/1.0.0": dial tcp 203.0.113.17:443: i/o timeout`},
		{"no-platform", "", false, `rpc error: code = NotFound desc = failed to pull and unpack image "` + nim + `": no match for platform in manifest: not found`},
		{"not-found", "", true, source + whole + "manifest unknown" + artif + "manifest unknown"},
		{"unauthorized", "", true, source + whole + "unauthorized: authentication required" + artif + "unauthorized: authentication required"},
		{"unauthorized", "u", true, source + "unable to retrieve auth token: invalid username/password: unauthorized: authentication required"},
		{"forbidden", "u", true, source + whole + "denied: requested access to the resource is denied" + artif + "denied: requested access to the resource is denied"},
		{"payment-required", "u", true, source + "requesting bearer token: invalid status code from registry 402 (Payment Required)"},
		{"no-such-host", "", true, source + `pinging container registry nvcr.io: Get "https://nvcr.io/v2/": dial tcp: lookup nvcr.io on 169.254.169.254:53: no such host`},
		{"connection-refused", "", true, "RegistryUnavailable: " + source + `pinging container registry nvcr.io: Get "https://nvcr.io/v2/": dial tcp 203.0.113.17:443: connect: connection refused`},
		{"timeout", "", true, source + `pinging container registry nvcr.io: Get "https://nvcr.io/v2/": dial tcp 203.0.113.17:443: i/o timeout`},
		{"no-platform", "", true, crio + `choosing image instance: no image found in manifest list for architecture "amd64", variant "", OS "linux"`},
	} {
		if got := said(t, c.outcome, nim, c.user, c.crio); got != c.want {
			t.Errorf("%s, user %q, CRI-O %v:\n got %s\nwant %s", c.outcome, c.user, c.crio, got, c.want)
		}
	}
}

func TestLongPullErrorsNameTheirCause(t *testing.T) {
	for _, c := range []struct {
		outcome string
		crio    bool
		parts   []string
	}{
		{"rate-limited", false, []string{"failed to copy: httpReadSeeker: failed open: unexpected status code https://nvcr.io/v2/", "429 Too Many Requests - Server message: toomanyrequests: You have reached"}},
		{"rate-limited", true, []string{whole + "toomanyrequests: You have reached"}},
		{"disk-full", false, []string{"failed to extract layer sha256:", ": no space left on device: unknown"}},
		{"disk-full", true, []string{crio + "writing blob: storing blob to file", ": no space left on device"}},
	} {
		got := said(t, c.outcome, nim, "", c.crio)
		for _, part := range c.parts {
			if !strings.Contains(got, part) {
				t.Errorf("%s, CRI-O %v: %q is not in %s", c.outcome, c.crio, part, got)
			}
		}
	}
}

func TestEveryOutcomeButSuccessHasWords(t *testing.T) {
	for _, outcome := range pullOutcomes {
		if outcome == "ok" || outcome == "needs-password" {
			continue
		}
		for _, crio := range []bool{false, true} {
			if got := said(t, outcome, "ghcr.io/a/b@sha256:"+strings.Repeat("ab", 32), "", crio); strings.HasSuffix(got, ": ") || strings.Contains(got, "%!") {
				t.Errorf("%s, CRI-O %v: got %s", outcome, crio, got)
			}
		}
	}
}

func TestAShortNameIsCompletedAsContainerdDoes(t *testing.T) {
	const want = `failed to pull and unpack image "docker.io/library/busybox:latest": failed to resolve reference "docker.io/library/busybox:latest": ` +
		"pull access denied, repository does not exist or may require authorization: server message: insufficient_scope: authorization failed"
	if got := said(t, "unauthorized", "busybox", "", false); got != want {
		t.Errorf("got %s", got)
	}
}

func TestAScriptedErrorKeepsTheCodeThatItNames(t *testing.T) {
	for _, c := range []struct {
		text string
		code codes.Code
		says string
	}{
		{"no IP addresses available", codes.Unknown, "no IP addresses available"},
		{"rpc error: code = DeadlineExceeded desc = context deadline exceeded", codes.DeadlineExceeded, "context deadline exceeded"},
		{"rpc error: code = Nonsense desc = x", codes.Unknown, "rpc error: code = Nonsense desc = x"},
	} {
		got := status.Convert(runtimeError(c.text))
		if got.Code() != c.code || got.Message() != c.says {
			t.Errorf("%q: got %s, %q", c.text, got.Code(), got.Message())
		}
	}
}

func TestTheModelIsNamedByTheImage(t *testing.T) {
	for name, want := range map[string]string{nim: "meta/llama3-8b-instruct", "busybox": "busybox", "ghcr.io/acme/model:1": "acme/model"} {
		if got := modelName(name); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
}
