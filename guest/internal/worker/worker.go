// Package worker touches files for the dispatcher: a process like any tool,
// never root.
package worker

import "os"

// Main runs one order.
func Main(stdin, stdout, stderr *os.File) int {
	stderr.WriteString("not yet\n")
	return 1
}
