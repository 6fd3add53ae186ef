// bsm-launcher owns what Node cannot: memory files, seals, parent-death signals, descriptor passing.
//
// Every command speaks NDJSON on stdout, takes its descriptors by inheritance (never by path) and
// ends when its standard input ends: a helper that dies, however it dies, takes its VMs with it.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"sort"
	"strings"
	"syscall"
)

// exitUsage and exitFailed follow sysexits, like the helper's own codes.
const (
	exitUsage  = 64
	exitFailed = 70
)

var commands = map[string]func(args []string) error{
	"run":     run,
	"memfd":   memfd,
	"copy":    copyCommand,
	"seal":    sealCommand,
	"digest":  digestCommand,
}

func main() {
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		names := make([]string, 0, len(commands))
		for name := range commands {
			names = append(names, name)
		}
		sort.Strings(names)
		fmt.Fprintf(os.Stderr, "usage: bsm-launcher %s …\n", strings.Join(names, "|"))
		os.Exit(exitUsage)
	}
	// A Ctrl-C in the terminal goes to every process of the group; when to end is the helper's to say.
	signal.Ignore(syscall.SIGINT, syscall.SIGHUP)
	if os.Args[1] != "run" { // which has someone to take with it
		go func() {
			untilStdinEnds()
			os.Exit(0)
		}()
	}
	if err := commands[os.Args[1]](os.Args[2:]); err != nil {
		report(failure{Event: "error", Message: err.Error()})
		os.Exit(exitFailed)
	}
}

type failure struct {
	Event   string `json:"event"`
	Message string `json:"message"`
}

// report writes one NDJSON line to stdout.
func report(line any) {
	text, err := json.Marshal(line)
	if err != nil {
		panic(err) // only our own structs come here
	}
	// A reader that is gone shows as EOF on stdin; nothing else to do about it here.
	_, _ = os.Stdout.Write(append(text, '\n'))
}

// untilStdinEnds blocks until the parent closes our standard input, or dies.
func untilStdinEnds() {
	var buffer [64]byte
	for {
		n, err := os.Stdin.Read(buffer[:])
		if n == 0 || err != nil {
			return
		}
	}
}
