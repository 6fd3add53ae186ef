//go:build linux

package dispatch

import (
	"os"
	"testing"
	"time"
)

// A tool may be a whole pipe ahead, and what it is ahead by is one chunk.
func TestPumpTakesAWholePipeAtOnce(t *testing.T) {
	pipes, err := openStreams(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer pipes.close()
	tool := os.NewFile(uintptr(pipes.write[0]), "tool")
	pipes.write[0] = -1
	written := make(chan error, 1)
	go func() {
		_, err := tool.Write(make([]byte, pipeSize))
		tool.Close()
		written <- err
	}()
	select {
	case err := <-written:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatalf("the pipe does not hold %d bytes", pipeSize)
	}
	var chunks []int
	pump(pipes.read[0], 1, func(_ byte, data []byte) error {
		chunks = append(chunks, len(data))
		return nil
	})
	if len(chunks) != 1 || chunks[0] != pipeSize {
		t.Fatalf("chunks of %v bytes", chunks)
	}
}
