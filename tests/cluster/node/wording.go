package node

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/distribution/reference"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// image is an image's name in the parts that error texts are made of.
type image struct {
	name     string // as a runtime writes it: with registry and tag or digest
	registry string // "nvcr.io"
	host     string // who is asked: "registry-1.docker.io" for docker.io
	path     string // "nim/meta/llama3-8b-instruct"
	tag      string // tag or digest
}

// parseImage completes a short name as containerd does: docker.io, library, latest.
func parseImage(name string) (image, error) {
	named, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return image{}, err
	}
	named = reference.TagNameOnly(named)
	parsed := image{name: named.String(), registry: reference.Domain(named), path: reference.Path(named)}
	parsed.host = parsed.registry
	if parsed.registry == "docker.io" {
		parsed.host = "registry-1.docker.io"
	}
	if digested, ok := named.(reference.Digested); ok {
		parsed.tag = digested.Digest().String()
	} else if tagged, ok := named.(reference.Tagged); ok {
		parsed.tag = tagged.Tag()
	}
	return parsed, nil
}

// digest stands for the content of the image: the same for the same name, as no registry is asked.
func (i image) digest() string { return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(i.name))) }

// layer is the digest of a layer of the image.
func (i image) layer() string {
	return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte("layer of "+i.name)))
}

// manifest is the address that containerd and CRI-O ask for the manifest.
func (i image) manifest() string {
	return fmt.Sprintf("https://%s/v2/%s/manifests/%s", i.host, i.path, i.tag)
}

// token is the address that hands out tokens, with the account when credentials were sent.
func (i image) token(user string) string {
	scope := "scope=" + url.QueryEscape("repository:"+i.path+":pull")
	if user != "" {
		scope = "account=" + url.QueryEscape(user) + "&" + scope
	}
	switch i.registry {
	case "nvcr.io":
		return "https://nvcr.io/proxy_auth?" + scope
	case "docker.io":
		return "https://auth.docker.io/token?" + scope + "&service=registry.docker.io"
	}
	return fmt.Sprintf("https://%s/token?%s&service=%s", i.registry, scope, i.registry)
}

// Addresses that stand in error texts only: OCI's resolver, and one kept for documentation (RFC 5737).
const (
	resolver       = "169.254.169.254:53"
	registryServer = "203.0.113.17:443"
)

// pullError is what the runtime says about a failed pull, as the kubelet's gRPC client would hand it on.
// user is the account that was sent with the pull, empty for none.
func pullError(outcome string, i image, user string, crio bool) error {
	if crio {
		return crioPullError(outcome, i, user)
	}
	return containerdPullError(outcome, i, user)
}

func containerdPullError(outcome string, i image, user string) error {
	resolve := fmt.Sprintf("failed to resolve reference %q: ", i.name)
	authorize := func(answer string) string {
		kind := "anonymous"
		if user != "" {
			kind = "oauth"
		}
		return resolve + fmt.Sprintf("failed to authorize: failed to fetch %s token: unexpected status from GET request to %s: %s", kind, i.token(user), answer)
	}
	head := resolve + fmt.Sprintf("failed to do request: Head %q: dial tcp", i.manifest())
	code, cause := codes.Unknown, ""
	switch outcome {
	case "not-found":
		code, cause = codes.NotFound, resolve+i.name+": not found"
	case "unauthorized":
		cause = authorize("401 Unauthorized")
		if i.registry == "docker.io" && user == "" {
			cause = resolve + "pull access denied, repository does not exist or may require authorization: server message: insufficient_scope: authorization failed"
		}
	case "forbidden":
		cause = authorize("403 Forbidden")
	case "payment-required":
		cause = authorize("402 Payment Required")
	case "rate-limited":
		cause = fmt.Sprintf("failed to copy: httpReadSeeker: failed open: unexpected status code https://%s/v2/%s/manifests/%s: 429 Too Many Requests - Server message: toomanyrequests: You have reached your pull rate limit. You may increase the limit by authenticating and upgrading: https://www.docker.com/increase-rate-limit",
			i.host, i.path, i.digest())
	case "no-such-host":
		cause = head + fmt.Sprintf(": lookup %s on %s: no such host", i.host, resolver)
	case "connection-refused":
		cause = head + fmt.Sprintf(" %s: connect: connection refused", registryServer)
	case "timeout":
		cause = head + fmt.Sprintf(" %s: i/o timeout", registryServer)
	case "disk-full":
		cause = fmt.Sprintf("failed to extract layer %s: write /var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots/105/fs/opt/nim/lib/libtorch_cuda.so: no space left on device: unknown", i.layer())
	case "no-platform":
		code, cause = codes.NotFound, "no match for platform in manifest: not found"
	}
	return asClient(status.Error(code, fmt.Sprintf("failed to pull and unpack image %q: %s", i.name, cause)))
}

func crioPullError(outcome string, i image, user string) error {
	repository := i.registry + "/" + i.path
	reading := fmt.Sprintf("reading manifest %s in %s: ", i.tag, repository)
	pinging := fmt.Sprintf("pinging container registry %s: Get \"https://%s/v2/\": dial tcp", i.registry, i.host)
	initializing, prefix, cause := true, "", ""
	switch outcome {
	case "not-found":
		cause = reading + "manifest unknown"
	case "unauthorized":
		if cause = reading + "unauthorized: authentication required"; user != "" {
			cause = "unable to retrieve auth token: invalid username/password: unauthorized: authentication required"
		}
	case "forbidden":
		cause = reading + "denied: requested access to the resource is denied"
	case "payment-required":
		cause = "requesting bearer token: invalid status code from registry 402 (Payment Required)"
	case "rate-limited":
		cause = reading + "toomanyrequests: You have reached your pull rate limit. You may increase the limit by authenticating and upgrading: https://www.docker.com/increase-rate-limit"
	case "no-such-host":
		cause = pinging + fmt.Sprintf(": lookup %s on %s: no such host", i.host, resolver)
	case "connection-refused":
		prefix, cause = "RegistryUnavailable: ", pinging+fmt.Sprintf(" %s: connect: connection refused", registryServer)
	case "timeout":
		cause = pinging + fmt.Sprintf(" %s: i/o timeout", registryServer)
	case "disk-full":
		initializing = false
		cause = fmt.Sprintf("writing blob: storing blob to file \"/var/tmp/container_images_storage4290390387/1\": write /var/tmp/container_images_storage4290390387/1: no space left on device")
	case "no-platform":
		initializing = false
		cause = fmt.Sprintf("choosing image instance: no image found in manifest list for architecture %q, variant \"\", OS \"linux\"", "amd64")
	}
	if initializing {
		cause = fmt.Sprintf("initializing source docker://%s: %s", i.name, cause)
	}
	text := prefix + "unable to pull image or OCI artifact: pull image err: " + cause
	if strings.HasPrefix(cause, "initializing") && strings.Contains(cause, reading) {
		// Only a manifest that could be asked for is tried as an artifact as well.
		text += "; artifact err: get manifest: build image source: " + cause[strings.Index(cause, reading):]
	}
	return asClient(status.Error(codes.Unknown, text))
}

// asClient does to a pull error what the kubelet's gRPC client does: the code Unknown is stripped.
func asClient(err error) error {
	if said, ok := status.FromError(err); ok && said.Code() == codes.Unknown {
		return errors.New(said.Message())
	}
	return err
}

// runtimeError turns a scripted text into an error of the runtime. A text that begins with "rpc error: code = X desc = "
// keeps that code; any other has the code Unknown, as nearly all errors of containerd and CRI-O have.
func runtimeError(text string) error {
	rest, coded := strings.CutPrefix(text, "rpc error: code = ")
	name, described, complete := strings.Cut(rest, " desc = ")
	if coded && complete {
		for code := codes.OK; code <= codes.Unauthenticated; code++ {
			if code.String() == name {
				return status.Error(code, described)
			}
		}
	}
	return status.Error(codes.Unknown, text)
}
