//go:build linux

// Command bsm-guest is everything of ours in the guest: /init of the initramfs,
// then the dispatcher as PID 1, and by argv[0] the bridge and the file worker.
package main

import (
	"os"

	"brainstorm-sandbox/guest/internal/worker"
)

func main() {
	switch os.Args[0] {
	case "bsm-files":
		os.Exit(worker.Main(os.Stdin, os.Stdout, os.Stderr))
	case "bsm-bridge":
		bridgeMain()
	default:
		if os.Getpid() != 1 {
			os.Stderr.WriteString("bsm-guest is the init of a Brainstorm Sandbox guest and does nothing elsewhere.\n")
			os.Exit(2)
		}
		initMain()
	}
}
