//go:build linux

package spawn

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Limits bound one dispatch as a whole.
type Limits struct {
	Processes int
	Memory    int64 // bytes, the overlay pages it writes included
}

// Groups makes a cgroup (v2) for every run.
type Groups struct {
	root   string
	limits Limits
	count  int
}

// NewGroups hands the controllers down to the groups it will make in root.
func NewGroups(root string, limits Limits) (*Groups, error) {
	if err := os.WriteFile(root+"/cgroup.subtree_control", []byte("+cpu +memory +pids"), 0); err != nil {
		return nil, err
	}
	return &Groups{root: root, limits: limits}, nil
}

// Group is one run's cgroup.
type Group struct {
	path string
}

// New makes a group with its limits set; it is empty.
func (g *Groups) New() (*Group, error) {
	g.count++
	path := g.root + "/dispatch-" + strconv.Itoa(g.count)
	if err := os.Mkdir(path, 0o755); err != nil {
		return nil, err
	}
	group := &Group{path: path}
	memory := strconv.FormatInt(g.limits.Memory, 10)
	for _, setting := range [][2]string{
		{"pids.max", strconv.Itoa(g.limits.Processes)},
		{"memory.max", memory},
		{"memory.oom.group", "1"},
		// Half the share of the dispatcher, so that a busy tool does not slow
		// the heartbeat.
		{"cpu.weight", "50"},
	} {
		if err := group.write(setting[0], setting[1]); err != nil {
			group.Close()
			return nil, err
		}
	}
	// There is no such file in a kernel without swap.
	if err := group.write("memory.swap.max", "0"); err != nil && !errors.Is(err, syscall.ENOENT) {
		group.Close()
		return nil, err
	}
	return group, nil
}

// open gives the descriptor that a process is born into the group by. It is not
// kept: a group waiting for its dispatch must not show in a count of descriptors.
func (g *Group) open() (int, error) {
	fd, err := syscall.Open(g.path, syscall.O_RDONLY|syscall.O_DIRECTORY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: g.path, Err: err}
	}
	return fd, nil
}

// write avoids os.WriteFile, which asks the poller about every file.
func (g *Group) write(name, value string) error {
	fd, err := syscall.Open(g.path+"/"+name, syscall.O_WRONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: name, Err: err}
	}
	defer syscall.Close(fd)
	if _, err := syscall.Write(fd, []byte(value)); err != nil {
		return &os.PathError{Op: "write", Path: name, Err: err}
	}
	return nil
}

// Kill ends every process of the group, those it is just forking included.
func (g *Group) Kill() { g.write("cgroup.kill", "1") }

var errPopulated = errors.New("processes of the dispatch are still there after they were killed")

// Empty kills the group and waits until nothing of it lives, at most 5 s.
func (g *Group) Empty() error {
	for deadline, pause := time.Now().Add(5*time.Second), time.Millisecond; ; pause *= 2 {
		g.Kill()
		events, err := os.ReadFile(g.path + "/cgroup.events")
		if err != nil {
			return err
		}
		if strings.Contains(string(events), "populated 0") {
			return nil
		}
		if time.Now().After(deadline) {
			return errPopulated
		}
		time.Sleep(pause)
	}
}

// Close removes an empty group.
func (g *Group) Close() error { return syscall.Rmdir(g.path) }
