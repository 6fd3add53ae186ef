//go:build linux

package spawn

import (
	"os"
	"sync"
	"syscall"
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
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WALL, nil)
		switch err {
		case nil:
			r.mu.Lock()
			done := r.waiting[pid]
			delete(r.waiting, pid)
			r.mu.Unlock()
			if done != nil {
				done <- status
			}
		case syscall.ECHILD:
			<-r.started
		}
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
