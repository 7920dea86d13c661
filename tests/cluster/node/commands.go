package node

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// command answers the few commands that a scripted container knows. None is a process: echo, env, printenv, hostname, cat
// (standard input, or files of mounted volumes), sleep, true, false, and sh -c with one of these.
func (r *scriptedRuntime) command(ctx context.Context, c *container, command []string, in io.Reader, out, errs io.Writer) (code int, err error) {
	if len(command) == 0 {
		return 0, runtimeError("no command given")
	}
	name, arguments := filepath.Base(command[0]), command[1:]
	switch name {
	case "true", ":":
		return 0, nil
	case "false":
		return 1, nil
	case "echo":
		_, err = fmt.Fprintln(out, strings.Join(arguments, " "))
		return 0, err
	case "hostname":
		_, err = fmt.Fprintln(out, c.sandbox.config.GetHostname())
		return 0, err
	case "env", "printenv":
		return c.environment(arguments, out)
	case "cat":
		return c.cat(arguments, in, out, errs)
	case "sleep":
		return sleep(ctx, arguments, errs)
	case "sh", "bash":
		if len(arguments) == 2 && arguments[0] == "-c" {
			if line := strings.TrimPrefix(strings.TrimSpace(arguments[1]), "exec "); !strings.ContainsAny(line, "|&;<>$`\"'()") {
				return r.command(ctx, c, strings.Fields(line), in, out, errs)
			}
		}
		_, err = fmt.Fprintf(errs, "%s: this container is scripted and knows only %s -c with one simple command\n", name, name)
		return 2, err
	}
	text := fmt.Sprintf("exec failed: unable to start container process: exec: %q: executable file not found in $PATH", command[0])
	return 0, runtimeError(fmt.Sprintf("failed to exec in container: failed to start exec %q: OCI runtime exec failed: %s", newID(), text))
}

// environment prints all variables that the container was given, or the named ones.
func (c *container) environment(names []string, out io.Writer) (code int, err error) {
	found := 0
	for _, variable := range c.config.GetEnvs() {
		switch {
		case len(names) == 0:
			_, err = fmt.Fprintf(out, "%s=%s\n", variable.GetKey(), variable.GetValue())
		case slices.Contains(names, variable.GetKey()):
			found++
			_, err = fmt.Fprintln(out, variable.GetValue())
		}
		if err != nil {
			return 1, err
		}
	}
	if found < len(names) {
		return 1, nil
	}
	return 0, nil
}

// cat copies standard input, or files that lie in a volume of the container.
func (c *container) cat(paths []string, in io.Reader, out, errs io.Writer) (code int, err error) {
	if len(paths) == 0 {
		_, err = io.Copy(out, in)
		return 0, err
	}
	for _, path := range paths {
		content, err := os.ReadFile(c.onHost(path))
		if err != nil {
			fmt.Fprintf(errs, "cat: %s: No such file or directory\n", path)
			code = 1
			continue
		}
		if _, err := out.Write(content); err != nil {
			return 1, err
		}
	}
	return code, nil
}

// onHost is where a file of the container lies on this machine, or an empty name for one that lies in no volume.
func (c *container) onHost(path string) string {
	best, host := "", ""
	for _, mount := range c.config.GetMounts() {
		inside := mount.GetContainerPath()
		rest, within := strings.CutPrefix(filepath.Clean(path), filepath.Clean(inside))
		if within && (rest == "" || rest[0] == '/') && len(inside) > len(best) {
			best, host = inside, filepath.Join(mount.GetHostPath(), rest)
		}
	}
	return host
}

func sleep(ctx context.Context, arguments []string, errs io.Writer) (code int, err error) {
	if len(arguments) == 1 {
		if seconds, err := strconv.ParseFloat(arguments[0], 64); err == nil && seconds >= 0 {
			select {
			case <-ctx.Done():
				return 0, ctx.Err()
			case <-time.After(time.Duration(seconds * float64(time.Second))):
				return 0, nil
			}
		}
	}
	_, err = fmt.Fprintln(errs, "sleep: want one number of seconds")
	return 1, err
}
