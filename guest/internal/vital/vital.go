// Package vital runs the goroutines the guest cannot live without.
package vital

import (
	"fmt"
	"os"
)

// Fatal ends the machine; init sets it. Until then a panic ends the process.
var Fatal = func(reason string) {
	os.Stderr.WriteString(reason + "\n")
	os.Exit(2)
}

// Go runs work beside. If it panics the guest powers off: half a dispatcher
// would go on answering, and its answers are what the host's checks rest on.
func Go(work func()) {
	go func() {
		defer func() {
			if r := recover(); r != nil {
				Fatal(fmt.Sprintf("panic: %v", r))
			}
		}()
		work()
	}()
}
