package node

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// writeLog appends lines to a container's log in the form that the CRI prescribes: time, stream, F for a full line, text.
// The file exists afterwards even when there is nothing to say, since `kubectl logs` reads it.
func writeLog(path, text string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	if text != "" {
		for _, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
			if _, err = fmt.Fprintf(file, "%s stdout F %s\n", time.Now().UTC().Format(time.RFC3339Nano), line); err != nil {
				break
			}
		}
	}
	if closed := file.Close(); err == nil {
		err = closed
	}
	return err
}
