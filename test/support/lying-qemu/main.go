// lying-qemu stands where the helper expects QEMU ($BSM_QEMU). It runs the real one behind it and
// passes everything on, but for what files beside it ask for:
//
//	refuse   exit at once, as a QEMU that cannot start
//	lie      answer query-status with the state that the file holds
//	silent   never answer query-status
//	plant    before a restored VM is paused, have its guest open one more descriptor (test image)
//
// It reports in files of its own: planted-PID once a guest has acknowledged the plant.
package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
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

var chardev = regexp.MustCompile(`^socket,id=(qmp|p1027),fd=(\d+)$`)

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

	control := &controlPort{host: outer["p1027"], guest: inner["p1027"], acknowledged: make(chan struct{})}
	go control.toGuest()
	go control.toHost()
	qmp := &machineProtocol{host: outer["qmp"], qemu: inner["qmp"], control: control, restored: restored}
	go qmp.toQemu()
	go qmp.toHost()

	var status syscall.WaitStatus
	for {
		if _, err := syscall.Wait4(pid, &status, 0, nil); err != syscall.EINTR {
			break
		}
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

// ---------------------------------------------------------------- QMP

type machineProtocol struct {
	host, qemu int
	control    *controlPort
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
			return
		}
	}
}

var stop = regexp.MustCompile(`"execute":\s*"stop"`)

var status = regexp.MustCompile(`"status": "[a-z-]+"`)

// toHost passes answers on line by line, some of them changed.
func (m *machineProtocol) toHost() {
	var held []byte
	data := make([]byte, 64*1024)
	for {
		n := read(m.qemu, data)
		if n == 0 {
			syscall.Shutdown(m.host, syscall.SHUT_WR)
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

// ---------------------------------------------------------------- control port, in bridge records

const (
	recordOpen = 1
	recordData = 2
	headerSize = 9
)

type controlPort struct {
	host, guest  int
	lock         sync.Mutex // one writer towards the guest, at record boundaries
	connection   uint32
	planted      bool
	acknowledged chan struct{}
	once         sync.Once
}

// records cuts a stream into whole bridge records.
func records(fd int, each func(record []byte) bool) {
	var held []byte
	data := make([]byte, 64*1024)
	for {
		n := read(fd, data)
		if n == 0 {
			return
		}
		held = append(held, data[:n]...)
		for len(held) >= headerSize {
			size := headerSize + int(binary.BigEndian.Uint32(held[5:9]))
			if len(held) < size {
				break
			}
			if !each(held[:size]) {
				return
			}
			held = held[size:]
		}
	}
}

func (c *controlPort) toGuest() {
	records(c.host, func(record []byte) bool {
		c.lock.Lock()
		defer c.lock.Unlock()
		if record[4] == recordOpen {
			c.connection = binary.BigEndian.Uint32(record[:4])
		}
		return writeAll(c.guest, record)
	})
	syscall.Shutdown(c.guest, syscall.SHUT_WR)
}

func (c *controlPort) toHost() {
	records(c.guest, func(record []byte) bool {
		if record[4] == recordData && bytes.Contains(record, []byte(`"TestPlantAck"`)) {
			c.once.Do(func() { close(c.acknowledged) })
			return true
		}
		return writeAll(c.host, record)
	})
	syscall.Shutdown(c.host, syscall.SHUT_WR)
}

// plant asks the guest for one more descriptor, as somebody would who had got at the standby after
// its baseline was read; returns once the guest has done it.
func (c *controlPort) plant() {
	c.lock.Lock()
	if c.planted || c.connection == 0 {
		c.lock.Unlock()
		return
	}
	c.planted = true
	message := []byte(`{"type":"TestPlant"}`)
	record := make([]byte, headerSize+4, headerSize+4+len(message))
	binary.BigEndian.PutUint32(record, c.connection)
	record[4] = recordData
	binary.BigEndian.PutUint32(record[5:], uint32(4+len(message)))
	binary.BigEndian.PutUint32(record[9:], uint32(len(message)))
	writeAll(c.guest, append(record, message...))
	c.lock.Unlock()
	select {
	case <-c.acknowledged:
		name := fmt.Sprintf("planted-%d", os.Getpid())
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
			fmt.Fprintln(os.Stderr, "lying-qemu:", err)
		}
	case <-time.After(5 * time.Second):
		fmt.Fprintln(os.Stderr, "lying-qemu: the guest did not acknowledge TestPlant")
	}
}
