// lying-qemu stands where the helper expects QEMU ($BSM_QEMU). It runs the real one behind it and
// passes everything on, but for what files beside it ask for:
//
//	refuse   exit at once, as a QEMU that cannot start
//	lie      answer query-status with the state that the file holds
//	silent   never answer query-status
//	plant    before a restored VM is paused, have its guest open one more descriptor (test image)
//	phantom  once the real one has ended, go on as if it had not, and answer that it runs
//	leak     connect to a server on the internet, as a QEMU with a network would
//	from-disk make restored VMs from the files ram and device_state beside it, where there are such
//	frames   send other frames than the guest, by the rules that the file holds (frames.go)
//
// It reports in files of its own: planted-PID once a guest has acknowledged the plant, attacked-PID once a
// frame was changed.
package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
)

var dir = filepath.Dir(os.Args[0])

func asked(name string) (string, bool) {
	content, err := os.ReadFile(filepath.Join(dir, name))
	return strings.TrimSpace(string(content)), err == nil
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "lying-qemu:", err)
	os.Exit(1)
}

var chardev = regexp.MustCompile(`^socket,id=(qmp|p\d+),fd=(\d+)$`)

const controlPort = 1027

// As in the helper's qemu-args.ts.
const (
	ramFd   = 9
	stateFd = 12
)

// replace hands QEMU another file under a descriptor's number, if there is one.
func replace(files []uintptr, fd int, path string, how int) {
	other, err := syscall.Open(path, how|syscall.O_CLOEXEC, 0)
	if err == syscall.ENOENT {
		return
	}
	if err != nil {
		fail(fmt.Errorf("%s: %w", path, err))
	}
	files[fd] = uintptr(other)
}

func main() {
	if _, yes := asked("refuse"); yes {
		fmt.Fprintln(os.Stderr, "lying-qemu: told to refuse")
		os.Exit(1)
	}
	real, found := asked("real")
	if !found {
		real = "/usr/bin/qemu-system-aarch64"
	}
	restored := false
	outer := map[string]int{}
	for _, arg := range os.Args[1:] {
		if match := chardev.FindStringSubmatch(arg); match != nil {
			outer[match[1]], _ = strconv.Atoi(match[2])
		}
		restored = restored || arg == "-incoming"
	}

	files := make([]uintptr, 16)
	for fd := range files {
		files[fd] = uintptr(fd)
		if _, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_GETFD, 0); errno != 0 {
			files[fd] = ^uintptr(0)
		}
	}
	if _, yes := asked("from-disk"); yes && restored {
		replace(files, ramFd, filepath.Join(dir, "ram"), os.O_RDWR)
		replace(files, stateFd, filepath.Join(dir, "device_state"), os.O_RDONLY)
	}
	inner := map[string]int{}
	for name, fd := range outer {
		pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
		if err != nil {
			fail(err)
		}
		inner[name] = pair[0]
		files[fd] = uintptr(pair[1])
		if err := syscall.SetNonblock(fd, false); err != nil {
			fail(err)
		}
	}

	// PDEATHSIG counts from the thread that forks: keep it.
	runtime.LockOSThread()
	pid, err := syscall.ForkExec(real, append([]string{real}, os.Args[1:]...), &syscall.ProcAttr{
		Env:   os.Environ(),
		Files: files,
		Sys:   &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL},
	})
	if err != nil {
		fail(err)
	}
	for _, fd := range outer {
		syscall.CloseOnExec(fd)
	}
	for name, fd := range outer {
		syscall.Close(int(files[fd]))
		_ = name
	}

	for name, fd := range outer {
		if number, err := strconv.Atoi(strings.TrimPrefix(name, "p")); err == nil {
			ports[number] = &guestPort{number: number, host: fd, guest: inner[name]}
		}
	}
	for _, port := range ports {
		go port.toGuest()
		go port.toHost()
	}
	if _, yes := asked("leak"); yes {
		leak()
	}
	qmp := &machineProtocol{host: outer["qmp"], qemu: inner["qmp"], control: ports[controlPort], restored: restored}
	go qmp.toQemu()
	go qmp.toHost()

	var status syscall.WaitStatus
	for {
		if _, err := syscall.Wait4(pid, &status, 0, nil); err != syscall.EINTR {
			break
		}
	}
	if _, yes := asked("phantom"); yes {
		select {} // toQemu answers
	}
	if status.Signaled() {
		os.Exit(128 + int(status.Signal()))
	}
	os.Exit(status.ExitStatus())
}

func writeAll(fd int, data []byte) bool {
	for len(data) > 0 {
		n, err := syscall.Write(fd, data)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return false
		}
		data = data[n:]
	}
	return true
}

func read(fd int, into []byte) int {
	for {
		n, err := syscall.Read(fd, into)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return 0
		}
		return n
	}
}

// hangUp tells the helper that the real one ended, unless it is to seem alive.
func hangUp(host int) {
	if _, yes := asked("phantom"); !yes {
		syscall.Shutdown(host, syscall.SHUT_WR)
	}
}

// leak knocks at a server on the internet; who runs it says whether one is there.
func leak() {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		fail(err)
	}
	_ = syscall.Connect(fd, &syscall.SockaddrInet4{Port: 443, Addr: [4]byte{1, 1, 1, 1}})
	syscall.Close(fd)
}

// ---------------------------------------------------------------- QMP

type machineProtocol struct {
	host, qemu int
	control    *guestPort
	restored   bool
}

// toQemu passes commands on.
func (m *machineProtocol) toQemu() {
	data := make([]byte, 64*1024)
	for {
		n := read(m.host, data)
		if n == 0 {
			syscall.Shutdown(m.qemu, syscall.SHUT_WR)
			return
		}
		if _, yes := asked("plant"); yes && m.restored && stop.Match(data[:n]) {
			m.control.plant()
		}
		if !writeAll(m.qemu, data[:n]) {
			if _, yes := asked("phantom"); !yes {
				return
			}
			for _, id := range requestId.FindAllSubmatch(data[:n], -1) {
				answer := `{"return": {"status": "running", "singlestep": false, "running": true}, "id": ` + string(id[1]) + "}\n"
				writeAll(m.host, []byte(answer))
			}
		}
	}
}

var requestId = regexp.MustCompile(`"id":\s*(\d+)`)

var stop = regexp.MustCompile(`"execute":\s*"stop"`)

var status = regexp.MustCompile(`"status": "[a-z-]+"`)

// toHost passes answers on line by line, some of them changed.
func (m *machineProtocol) toHost() {
	var held []byte
	data := make([]byte, 64*1024)
	for {
		n := read(m.qemu, data)
		if n == 0 {
			hangUp(m.host)
			return
		}
		held = append(held, data[:n]...)
		for {
			end := bytes.IndexByte(held, '\n')
			if end < 0 {
				break
			}
			line := append([]byte(nil), held[:end+1]...)
			held = held[end+1:]
			if isStatus := bytes.Contains(line, []byte(`"return"`)) && bytes.Contains(line, []byte(`"singlestep"`)); isStatus {
				if _, yes := asked("silent"); yes {
					continue
				}
				if state, yes := asked("lie"); yes {
					line = status.ReplaceAll(line, []byte(`"status": "`+state+`"`))
				}
			}
			if !writeAll(m.host, line) {
				return
			}
		}
	}
}
