//go:build linux

package control

import (
	"encoding/binary"
	"os"
	"syscall"
	"time"
	"unsafe"
)

const (
	rndAddEntropy = 0x40085203 // linux/random.h
	rndReseedCRNG = 0x5207
	realtime      = 0 // CLOCK_REALTIME
)

// reseed credits the entropy and makes the kernel's generator use it at once:
// without RNDRESEEDCRNG two restores would give equal numbers for up to a minute
// (drivers/char/random.c).
func reseed(entropy []byte) error {
	fd, err := syscall.Open("/dev/urandom", syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: "/dev/urandom", Err: err}
	}
	defer syscall.Close(fd)
	// struct rand_pool_info: bits credited, bytes that follow, the bytes.
	pool := binary.LittleEndian.AppendUint32(nil, uint32(len(entropy)*8))
	pool = binary.LittleEndian.AppendUint32(pool, uint32(len(entropy)))
	pool = append(pool, entropy...)
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), rndAddEntropy, uintptr(unsafe.Pointer(&pool[0]))); errno != 0 {
		return os.NewSyscallError("ioctl(RNDADDENTROPY)", errno)
	}
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), rndReseedCRNG, 0); errno != 0 {
		return os.NewSyscallError("ioctl(RNDRESEEDCRNG)", errno)
	}
	return nil
}

// setClock sets the wall clock and says how far it was stepped.
func setClock(ns int64) (time.Duration, error) {
	before := time.Now().UnixNano()
	ts := syscall.NsecToTimespec(ns)
	if _, _, errno := syscall.Syscall(syscall.SYS_CLOCK_SETTIME, realtime, uintptr(unsafe.Pointer(&ts)), 0); errno != 0 {
		return 0, os.NewSyscallError("clock_settime", errno)
	}
	return time.Duration(ns - before), nil
}
