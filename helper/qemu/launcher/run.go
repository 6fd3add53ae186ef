package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
)

type started struct {
	Event string `json:"event"`
	Pid   int    `json:"pid"`
}

type exited struct {
	Event  string `json:"event"`
	Code   *int   `json:"code"`
	Signal string `json:"signal,omitempty"`
}

// run starts one program, confined, and reaps it. The program dies when our standard input ends, when
// we die (PDEATHSIG), and when it wants to; how it ended is the last line on stdout.
//
//	bsm-launcher run [--uid N --gid N] [--no-files] [--nice N] --fds 3,4,5 -- PROGRAM ARG…
func run(args []string) error {
	flags := flag.NewFlagSet("run", flag.ContinueOnError)
	uid := flags.Int("uid", -1, "user to become (root only)")
	gid := flags.Int("gid", -1, "group to become (root only)")
	noFiles := flags.Bool("no-files", false, "allow no file to be written to")
	nice := flags.Int("nice", 0, "priority of the program")
	fds := flags.String("fds", "", "descriptors to hand on under the same numbers; all others are closed")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() == 0 {
		return errors.New("run: no program given")
	}
	files, err := filesToHandOn(*fds)
	if err != nil {
		return err
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{}); err != nil {
		return fmt.Errorf("RLIMIT_CORE: %w", err)
	}
	if *noFiles {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{}); err != nil {
			return fmt.Errorf("RLIMIT_FSIZE: %w", err)
		}
	}
	notDumpable()
	if *nice != 0 {
		// Priority is a thread's: set before the fork, on the thread that forks.
		runtime.LockOSThread()
		if err := syscall.Setpriority(syscall.PRIO_PROCESS, 0, *nice); err != nil {
			return fmt.Errorf("nice %d: %w", *nice, err)
		}
	}

	// PDEATHSIG fires when the forking *thread* ends. The main goroutine keeps this one for good:
	// it never returns before the program has been reaped.
	runtime.LockOSThread()
	attributes := &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setsid: true}
	if *uid >= 0 {
		attributes.Credential = &syscall.Credential{Uid: uint32(*uid), Gid: uint32(*gid)}
	}
	pid, err := syscall.ForkExec(flags.Arg(0), flags.Args(), &syscall.ProcAttr{
		Env:   []string{"PATH=/usr/bin:/bin", "LC_ALL=C"},
		Files: files,
		Dir:   "/",
		Sys:   attributes,
	})
	if err != nil {
		return fmt.Errorf("%s: %w", flags.Arg(0), err)
	}
	closeAll(files)
	report(started{Event: "started", Pid: pid})

	go func() {
		untilStdinEnds()
		// Not yet reaped, or the process would be over: the pid is still ours, never a stranger's.
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}()

	var status syscall.WaitStatus
	for {
		_, err = syscall.Wait4(pid, &status, 0, nil)
		if err != syscall.EINTR {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("wait: %w", err)
	}
	end := exited{Event: "exited"}
	if status.Signaled() {
		end.Signal = signalName(status.Signal())
	} else {
		code := status.ExitStatus()
		end.Code = &code
	}
	report(end)
	return nil
}

// filesToHandOn maps the listed descriptors onto themselves, standard input to /dev/null and standard
// output to our standard error (stdout is ours). Everything not listed is marked close-on-exec.
func filesToHandOn(list string) ([]uintptr, error) {
	null, err := syscall.Open("/dev/null", syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("/dev/null: %w", err)
	}
	files := []uintptr{uintptr(null), 2, 2}
	if list != "" {
		for _, text := range strings.Split(list, ",") {
			fd, err := strconv.Atoi(text)
			if err != nil || fd < len(files) {
				return nil, fmt.Errorf("--fds %q: descriptors from 3 up, rising", list)
			}
			for len(files) < fd {
				files = append(files, ^uintptr(0)) // closed in the child
			}
			files = append(files, uintptr(fd))
		}
	}
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		if fd, err := strconv.Atoi(entry.Name()); err == nil && fd > 2 {
			syscall.CloseOnExec(fd)
		}
	}
	return files, nil
}

// closeAll drops our own copies, so that the program's end of a socket is the only one left.
func closeAll(files []uintptr) {
	for fd, file := range files {
		if fd > 2 && file != ^uintptr(0) {
			_ = syscall.Close(int(file))
		}
	}
}

func notDumpable() {
	const prSetDumpable = 4
	_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, prSetDumpable, 0, 0)
}

func signalName(signal syscall.Signal) string {
	switch signal {
	case syscall.SIGKILL:
		return "SIGKILL"
	case syscall.SIGTERM:
		return "SIGTERM"
	case syscall.SIGSEGV:
		return "SIGSEGV"
	case syscall.SIGABRT:
		return "SIGABRT"
	case syscall.SIGSYS:
		return "SIGSYS"
	case syscall.SIGBUS:
		return "SIGBUS"
	}
	return "signal " + strconv.Itoa(int(signal))
}
