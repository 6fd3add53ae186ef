package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

const (
	mfdCloexec      = 1
	mfdAllowSealing = 2
	fAddSeals       = 1033
	sealSeal        = 1
	sealShrink      = 2
	sealGrow        = 4
	sealWrite       = 8
)

type memory struct {
	Event string `json:"event"`
	Name  string `json:"name"`
	Pid   int    `json:"pid"`
	Fd    int    `json:"fd"`
	Size  int64  `json:"size"`
}

type sealed struct {
	Event string `json:"event"`
}

type copied struct {
	Event string `json:"event"`
	Size  int64  `json:"size"`
}

type digested struct {
	Event  string `json:"event"`
	Name   string `json:"name"`
	Digest string `json:"digest"`
}

// memfd makes memory files, one for each argument, reports each as soon as it can be opened under
// /proc/PID/fd/FD, and keeps them until standard input ends. Whoever opened them meanwhile holds them on.
//
//	NAME=empty:SIZE   a new one of SIZE bytes, not sealed
//	NAME=copy:FD      a sealed copy of what FD reads
//	NAME=ram:FD       the same, and its RAM digest follows as a line of its own
func memfd(args []string) error {
	flags := flag.NewFlagSet("memfd", flag.ContinueOnError)
	if err := flags.Parse(args); err != nil {
		return err
	}
	type hashing struct {
		name string
		fd   int
	}
	var toHash []hashing
	for _, argument := range flags.Args() {
		name, source, _ := strings.Cut(argument, "=")
		kind, number, _ := strings.Cut(source, ":")
		n, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			return fmt.Errorf("memfd: %q is not NAME=empty:SIZE, NAME=copy:FD or NAME=ram:FD", argument)
		}
		fd, err := createMemfd("bsm-" + name)
		if err != nil {
			return err
		}
		size := n
		switch kind {
		case "empty":
			err = syscall.Ftruncate(fd, n)
		case "copy", "ram":
			size, err = copySparse(fd, int(n))
			if err == nil {
				err = seal(fd)
			}
			if kind == "ram" {
				toHash = append(toHash, hashing{name, fd})
			}
		default:
			err = fmt.Errorf("unknown kind %q", kind)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		report(memory{Event: "memory", Name: name, Pid: os.Getpid(), Fd: fd, Size: size})
	}
	for _, one := range toHash {
		digest, err := ramDigest(one.fd)
		if err != nil {
			return fmt.Errorf("%s: %w", one.name, err)
		}
		report(digested{Event: "digest", Name: one.name, Digest: digest})
	}
	select {} // main ends us with our standard input
}

// sealCommand makes inherited memory files final, which no one may map writable any more.
//
//	bsm-launcher seal --fds 3,4,5
func sealCommand(args []string) error {
	flags := flag.NewFlagSet("seal", flag.ContinueOnError)
	list := flags.String("fds", "", "memory files to seal")
	if err := flags.Parse(args); err != nil {
		return err
	}
	for _, text := range strings.Split(*list, ",") {
		fd, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("--fds %q: descriptors", *list)
		}
		if err := seal(fd); err != nil {
			return err
		}
	}
	report(sealed{Event: "sealed"})
	return nil
}

// digestCommand reports the RAM digest of an inherited memory file.
//
//	bsm-launcher digest --fd N
func digestCommand(args []string) error {
	flags := flag.NewFlagSet("digest", flag.ContinueOnError)
	fd := flags.Int("fd", -1, "memory file")
	if err := flags.Parse(args); err != nil {
		return err
	}
	digest, err := ramDigest(*fd)
	if err != nil {
		return err
	}
	report(digested{Event: "digest", Name: "ram", Digest: digest})
	return nil
}

// copyCommand copies one descriptor to another, holes as holes, and syncs it.
//
//	bsm-launcher copy --from N --to N
func copyCommand(args []string) error {
	flags := flag.NewFlagSet("copy", flag.ContinueOnError)
	from := flags.Int("from", -1, "descriptor to read")
	to := flags.Int("to", -1, "descriptor to write")
	if err := flags.Parse(args); err != nil {
		return err
	}
	size, err := copySparse(*to, *from)
	if err != nil {
		return err
	}
	if err := syscall.Fsync(*to); err != nil {
		return fmt.Errorf("fsync: %w", err)
	}
	report(copied{Event: "copied", Size: size})
	return nil
}

func createMemfd(name string) (int, error) {
	number := uintptr(sysMemfdCreate)
	text, err := syscall.BytePtrFromString(name)
	if err != nil {
		return -1, err
	}
	fd, _, errno := syscall.Syscall(number, uintptr(unsafe.Pointer(text)), mfdCloexec|mfdAllowSealing, 0)
	if errno != 0 {
		return -1, fmt.Errorf("memfd_create: %w", errno)
	}
	// QEMU opens it again by its /proc path, read-write and as another user. No one else can reach
	// that path: it takes ptrace access to a process that holds the descriptor.
	if err := syscall.Fchmod(int(fd), 0o666); err != nil {
		return -1, fmt.Errorf("fchmod: %w", err)
	}
	return int(fd), nil
}

// unmapWithin is how long a killed process may take to give its mappings back: a QEMU that something
// of its own stands in front of ends a little after what was reaped.
const unmapWithin = 5 * time.Second

// seal makes the bytes final: a private mapping can still be made and written, the file itself no more.
func seal(fd int) error {
	var errno syscall.Errno
	for end := time.Now().Add(unmapWithin); ; time.Sleep(2 * time.Millisecond) {
		_, _, errno = syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), fAddSeals, sealSeal|sealShrink|sealGrow|sealWrite)
		if errno != syscall.EBUSY || time.Now().After(end) {
			break
		}
	}
	if errno == syscall.EBUSY {
		return errors.New("the memory is still mapped writable by a living process")
	}
	if errno != 0 {
		return fmt.Errorf("F_ADD_SEALS: %w", errno)
	}
	return nil
}
