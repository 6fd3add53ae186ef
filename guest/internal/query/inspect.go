//go:build linux

// Package query answers what the host asks about the guest (protocol §3, 1026).
package query

import (
	"bytes"
	"errors"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// MaxProcesses bounds a ProcessList.
const MaxProcesses = 100

// ErrLate says that an answer was not there in time.
var ErrLate = errors.New("it took too long")

// Inspector reads /proc. Methods that open something exclude each other and
// whatever else in this process opens files for a moment (Quiet), so that a count
// of descriptors never depends on what else was just being asked. What a tool can
// make long takes a time to give up at.
type Inspector struct {
	mu      sync.Mutex
	proc    string
	overlay string
	meminfo int
}

// NewInspector keeps /proc/meminfo open: the heartbeat reads it every 5 s.
func NewInspector(proc, overlay string) (*Inspector, error) {
	fd, err := syscall.Open(proc+"/meminfo", syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: proc + "/meminfo", Err: err}
	}
	return &Inspector{proc: proc, overlay: overlay, meminfo: fd}, nil
}

// Quiet runs work that opens descriptors for a moment.
func (i *Inspector) Quiet(work func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	work()
}

// OpenFDs counts the descriptors of all processes that are not sockets, those
// the counting itself opens left out. A tool may hold a million of them.
func (i *Inspector) OpenFDs(until time.Time) (int, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	pids, err := i.pids()
	if err != nil {
		return 0, err
	}
	total := 0
	kernel := i.kernelThreads()
	for _, pid := range pids {
		if kernel[pid] {
			continue
		}
		// A process may end meanwhile: then it has no descriptors.
		n, err := i.count(pid, until)
		if err == ErrLate {
			return 0, err
		}
		total += n
	}
	return total, nil
}

// kernelThreads lists the children of kthreadd in one read: they have no
// descriptors, and looking for some in fifty of them is most of what a count
// costs. One that the kernel leaves out is looked at like any other.
func (i *Inspector) kernelThreads() map[string]bool {
	children, err := readFile(i.proc + "/2/task/2/children")
	if err != nil {
		return nil
	}
	threads := map[string]bool{"2": true}
	// Every number ends with a space; what does not was cut off.
	whole := children[:bytes.LastIndexByte(children, ' ')+1]
	for _, pid := range strings.Fields(string(whole)) {
		threads[pid] = true
	}
	return threads
}

// count leaves out the descriptor that the counting itself reads by.
func (i *Inspector) count(pid string, until time.Time) (int, error) {
	dir := i.proc + "/" + pid + "/fd"
	fd, err := syscall.Open(dir, syscall.O_RDONLY|syscall.O_DIRECTORY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return 0, &os.PathError{Op: "open", Path: dir, Err: err}
	}
	names, err := list(fd)
	syscall.Close(fd)
	if err != nil {
		return 0, err
	}
	total, own := 0, pid == strconv.Itoa(os.Getpid())
	for _, name := range names {
		if time.Now().After(until) {
			return 0, ErrLate
		}
		if own && name == strconv.Itoa(fd) {
			continue
		}
		target, err := os.Readlink(dir + "/" + name)
		if err == nil && !strings.HasPrefix(target, "socket:") {
			total++
		}
	}
	return total, nil
}

// Memory gives the bytes in use and in all: what is not available is used. It
// opens nothing, and waits for nobody: the heartbeat asks it.
func (i *Inspector) Memory() (used, total int64, err error) {
	var buf [4096]byte
	n, err := syscall.Pread(i.meminfo, buf[:], 0)
	if err != nil {
		return 0, 0, err
	}
	total = kilobytes(buf[:n], "MemTotal:") << 10
	return total - kilobytes(buf[:n], "MemAvailable:")<<10, total, nil
}

func kilobytes(meminfo []byte, key string) int64 {
	for _, line := range bytes.Split(meminfo, []byte("\n")) {
		if fields := bytes.Fields(line); len(fields) >= 2 && string(fields[0]) == key {
			n, _ := strconv.ParseInt(string(fields[1]), 10, 64)
			return n
		}
	}
	return 0
}

// Process is one entry of a ProcessList.
type Process struct {
	Name string
	PID  int
}

// Processes lists at most limit user-space processes; kernel threads are not
// listed, there are as many as a whole list.
func (i *Inspector) Processes(limit int, until time.Time) ([]Process, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	pids, err := i.pids()
	if err != nil {
		return nil, err
	}
	found := []Process{}
	for _, pid := range pids {
		if len(found) == limit {
			break
		}
		if time.Now().After(until) {
			return nil, ErrLate
		}
		stat, err := readFile(i.proc + "/" + pid + "/stat")
		if err != nil {
			continue
		}
		name, kernel := parseStat(stat)
		if kernel {
			continue
		}
		n, _ := strconv.Atoi(pid)
		found = append(found, Process{name, n})
	}
	return found, nil
}

// parseStat takes the name, which may contain anything, and the flags, of which
// PF_KTHREAD tells a kernel thread (proc(5), linux/sched.h).
func parseStat(stat []byte) (name string, kernel bool) {
	open, end := bytes.IndexByte(stat, '('), bytes.LastIndexByte(stat, ')')
	if open < 0 || end < open {
		return "", true
	}
	const flagsField, kthread = 6, 0x00200000
	rest := bytes.Fields(stat[end+1:])
	if len(rest) <= flagsField {
		return "", true
	}
	flags, _ := strconv.ParseUint(string(rest[flagsField]), 10, 64)
	return strings.ToValidUTF8(string(stat[open+1:end]), "\uFFFD"), flags&kthread != 0
}

// OverlayBytes is what the overlay's tmpfs holds.
func (i *Inspector) OverlayBytes() (int64, error) {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(i.overlay, &fs); err != nil {
		return 0, os.NewSyscallError("statfs", err)
	}
	return int64(fs.Blocks-fs.Bfree) * int64(fs.Bsize), nil
}

// Load is the load average over a minute and the number of tasks.
func Load() (load float64, tasks int64) {
	var info syscall.Sysinfo_t
	if syscall.Sysinfo(&info) != nil {
		return 0, 0
	}
	return float64(int64(float64(info.Loads[0])/65536*100)) / 100, int64(info.Procs)
}

func (i *Inspector) pids() ([]string, error) {
	fd, err := syscall.Open(i.proc, syscall.O_RDONLY|syscall.O_DIRECTORY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: i.proc, Err: err}
	}
	defer syscall.Close(fd)
	names, err := list(fd)
	pids := names[:0]
	for _, name := range names {
		if name[0] >= '1' && name[0] <= '9' {
			pids = append(pids, name)
		}
	}
	return pids, err
}

func list(fd int) ([]string, error) {
	var names []string
	buf := make([]byte, 8<<10)
	for {
		n, err := syscall.ReadDirent(fd, buf)
		if err != nil || n == 0 {
			return names, err
		}
		_, _, names = syscall.ParseDirent(buf[:n], -1, names)
	}
}

// readFile reads a small /proc file without asking the poller about it.
func readFile(path string) ([]byte, error) {
	fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer syscall.Close(fd)
	var buf [1024]byte
	n, err := syscall.Read(fd, buf[:])
	if err != nil {
		return nil, err
	}
	return append([]byte(nil), buf[:n]...), nil
}
