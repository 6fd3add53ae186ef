//go:build linux

package spawn

import (
	"os"
	"sync"
	"syscall"
	"unsafe"
)

// Reaper waits for every child of PID 1: those that were started here get their
// status delivered, orphans that fell to us are just taken away.
type Reaper struct {
	mu      sync.Mutex
	waiting map[int]chan syscall.WaitStatus
	started chan struct{}
}

// NewReaper starts reaping.
func NewReaper() *Reaper {
	r := &Reaper{waiting: map[int]chan syscall.WaitStatus{}, started: make(chan struct{}, 1)}
	go r.loop()
	return r
}

func (r *Reaper) loop() {
	for {
		pid, err := nextDead()
		switch err {
		case 0:
			r.take(pid)
		case syscall.ECHILD:
			<-r.started
		}
	}
}

// nextDead waits for a child to end and leaves it where it is.
func nextDead() (int, syscall.Errno) {
	const pAll, wExited, wNoWait = 0, 4, 0x1000000
	var info struct { // siginfo_t, 128 bytes
		_   [4]int32
		pid int32
		_   [27]int32
	}
	_, _, errno := syscall.Syscall6(syscall.SYS_WAITID, pAll, 0, uintptr(unsafe.Pointer(&info)), wExited|wNoWait|syscall.WALL, 0, 0)
	return int(info.pid), errno
}

// take collects a dead child with the table locked: from then on its number may
// be the next child's, who would be given its status. A tool could arrange that
// for one of its orphans, by going through all numbers before it ends.
func (r *Reaper) take(pid int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var status syscall.WaitStatus
	if taken, err := syscall.Wait4(pid, &status, syscall.WALL, nil); err != nil || taken != pid {
		return
	}
	if done := r.waiting[pid]; done != nil {
		delete(r.waiting, pid)
		done <- status
	}
}

// watch starts a child with the table locked, so that even one that ends at
// once finds its entry.
func (r *Reaper) watch(start func() (int, syscall.Errno)) (*Process, error) {
	r.mu.Lock()
	pid, errno := start()
	if errno != 0 {
		r.mu.Unlock()
		return nil, os.NewSyscallError("clone3", errno)
	}
	done := make(chan syscall.WaitStatus, 1)
	r.waiting[pid] = done
	r.mu.Unlock()
	select {
	case r.started <- struct{}{}:
	default:
	}
	return &Process{Pid: pid, Done: done}, nil
}

// Adopt watches a child that was started by other means.
func (r *Reaper) Adopt(start func() (int, error)) (*Process, error) {
	var failure error
	p, err := r.watch(func() (int, syscall.Errno) {
		pid, err := start()
		if err != nil {
			failure = err
			return 0, syscall.ECANCELED
		}
		return pid, 0
	})
	if failure != nil {
		return nil, failure
	}
	return p, err
}
