//go:build linux

// Package boot brings the machine from the initramfs to the point where the
// dispatcher can serve.
package boot

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"unsafe"
)

// Modules is where the initramfs keeps the kernel modules and their order.
const Modules = "/bsm/modules"

// Overlay is where the tmpfs that takes all writes can be asked for its size;
// below a folder only root enters.
const Overlay = "/run/bsm/overlay"

// LoadModules loads the modules listed in Modules/order. The order matters:
// a module's symbols must be there before it (recipe, "Kernel").
func LoadModules() error {
	order, err := os.ReadFile(Modules + "/order")
	if err != nil {
		return err
	}
	empty := []byte{0}
	for _, name := range strings.Fields(string(order)) {
		fd, err := syscall.Open(Modules+"/"+name, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
		if err != nil {
			return &os.PathError{Op: "open", Path: name, Err: err}
		}
		_, _, errno := syscall.Syscall(sysFinitModule, uintptr(fd), uintptr(unsafe.Pointer(&empty[0])), 0)
		syscall.Close(fd)
		if errno != 0 && errno != syscall.EEXIST {
			return &os.PathError{Op: "finit_module", Path: name, Err: errno}
		}
	}
	return nil
}

// EarlyMounts makes what the bridge and module loading need in the initramfs.
func EarlyMounts() error {
	return all(
		mount("devtmpfs", "/dev", "devtmpfs", syscall.MS_NOSUID|syscall.MS_NOEXEC, ""),
		mount("sysfs", "/sys", "sysfs", syscall.MS_NOSUID|syscall.MS_NOEXEC|syscall.MS_NODEV, ""),
		// Tools see no process but their own.
		mount("proc", "/proc", "proc", syscall.MS_NOSUID|syscall.MS_NOEXEC|syscall.MS_NODEV, "hidepid=invisible"),
	)
}

// Root mounts the disk read-only under an overlay in memory at /new and enters
// it. The disk never changes, so its hash is exact; all writes live in RAM,
// which a restore rewinds.
func Root() error {
	const nodev, nosuid, noatime = syscall.MS_NODEV, syscall.MS_NOSUID, syscall.MS_NOATIME
	if err := all(
		mount("/dev/vda", "/disk", "ext4", syscall.MS_RDONLY|nodev|nosuid|noatime, "noload"),
		mount("overlay-memory", "/memory", "tmpfs", nodev|nosuid|noatime, "mode=0700,size=50%"),
		mkdir("/memory/upper", 0o755), mkdir("/memory/work", 0o755),
		mount("overlay", "/new", "overlay", nodev|nosuid|noatime, "lowerdir=/disk,upperdir=/memory/upper,workdir=/memory/work"),
		mount("/proc", "/new/proc", "", syscall.MS_MOVE, ""),
		mount("/sys", "/new/sys", "", syscall.MS_MOVE, ""),
		mount("run", "/new/run", "tmpfs", nodev|nosuid|noatime, "mode=0755,size=1m"),
		mkdir("/new/run/bsm", 0o700), mkdir("/new/run/bsm/overlay", 0o700),
		mount("/memory", "/new/run/bsm/overlay", "", syscall.MS_MOVE, ""),
		devices("/new/dev"),
	); err != nil {
		return err
	}
	return all(
		wrap("chdir", syscall.Chdir("/new")),
		mount(".", "/", "", syscall.MS_MOVE, ""),
		wrap("chroot", syscall.Chroot(".")),
		wrap("chdir", syscall.Chdir("/")),
		mount("cgroup2", "/sys/fs/cgroup", "cgroup2", nodev|nosuid|syscall.MS_NOEXEC, ""),
	)
}

// devices builds a /dev of what a tool may have. The kernel's own devtmpfs,
// with the disk, the virtio ports and the rest, stays behind in the initramfs.
func devices(dev string) error {
	if err := mount("dev", dev, "tmpfs", syscall.MS_NOSUID|syscall.MS_NOEXEC|syscall.MS_NOATIME, "mode=0755,size=1m"); err != nil {
		return err
	}
	nodes := []struct {
		name         string
		major, minor int
	}{{"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0}}
	for _, n := range nodes {
		path := dev + "/" + n.name
		if err := all(wrap("mknod", syscall.Mknod(path, syscall.S_IFCHR|0o666, n.major<<8|n.minor)), wrap("chmod", syscall.Chmod(path, 0o666))); err != nil {
			return err
		}
	}
	return all(
		mkdir(dev+"/pts", 0o755), mkdir(dev+"/shm", 0o755),
		mount("devpts", dev+"/pts", "devpts", syscall.MS_NOSUID|syscall.MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620"),
		mount("shm", dev+"/shm", "tmpfs", syscall.MS_NOSUID|syscall.MS_NODEV|syscall.MS_NOATIME, "mode=1777,size=50%"),
		wrap("symlink", syscall.Symlink("pts/ptmx", dev+"/ptmx")),
		wrap("symlink", syscall.Symlink("/proc/self/fd", dev+"/fd")),
		wrap("symlink", syscall.Symlink("/proc/self/fd/0", dev+"/stdin")),
		wrap("symlink", syscall.Symlink("/proc/self/fd/1", dev+"/stdout")),
		wrap("symlink", syscall.Symlink("/proc/self/fd/2", dev+"/stderr")),
	)
}

// Harden closes what neither we nor a tool will need again.
func Harden() error {
	return set([][2]string{
		{"kernel/modules_disabled", "1"},
		{"kernel/kexec_load_disabled", "1"},
		{"kernel/dmesg_restrict", "1"},
		{"kernel/kptr_restrict", "2"},
		{"kernel/unprivileged_bpf_disabled", "2"},
		{"kernel/perf_event_paranoid", "3"},
		{"user/max_user_namespaces", "0"},
		// Shared memory of System V ends with its last process.
		{"kernel/shm_rmid_forced", "1"},
	})
}

// Rest keeps the kernel from waking up for what this machine has no use for.
// Every wakeup of an idle guest costs the host a millisecond under emulation.
func Rest() error {
	return set([][2]string{
		// Twice a second: defragmenting memory ahead of need (mm/compaction.c).
		{"vm/compaction_proactiveness", "0"},
		// Once a second: folding the counters of each CPU, of which there is one
		// or two (mm/vmstat.c); in seconds.
		{"vm/stat_interval", "3600"},
		// Nothing is ever written back: all writes are in memory.
		{"vm/dirty_writeback_centisecs", "0"},
	})
}

// set writes sysctls; those that this kernel lacks are left out.
func set(settings [][2]string) error {
	for _, setting := range settings {
		err := os.WriteFile("/proc/sys/"+setting[0], []byte(setting[1]), 0)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// Unkillable keeps the OOM killer away from a process. The dispatcher needs
// none of this: the kernel never chooses PID 1 (mm/oom_kill.c,
// oom_unkillable_task), and tools would inherit the value from it.
func Unkillable(pid int) error {
	return os.WriteFile("/proc/"+strconv.Itoa(pid)+"/oom_score_adj", []byte("-1000"), 0)
}

// LoopbackUp brings the network interface lo up, so that a tool can talk to
// itself; there is no other interface.
func LoopbackUp() error {
	const siocsifflags, up, running = 0x8914, 1, 0x40
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer syscall.Close(fd)
	var request struct {
		name  [16]byte
		flags uint16
		_     [22]byte
	}
	copy(request.name[:], "lo")
	request.flags = up | running
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), siocsifflags, uintptr(unsafe.Pointer(&request))); errno != 0 {
		return os.NewSyscallError("ioctl(SIOCSIFFLAGS)", errno)
	}
	return nil
}

// MemoryForTools is what is left for a dispatch in a machine of total bytes,
// after the share of kernel, dispatcher and frames.
func MemoryForTools(total int64) int64 {
	const ours = 80 << 20
	if total-ours > total/2 {
		return total - ours
	}
	return total / 2
}

// PowerOff ends the machine.
func PowerOff() {
	syscall.Reboot(syscall.LINUX_REBOOT_CMD_POWER_OFF)
}

// Uptime in milliseconds, for the log.
func Uptime() string {
	data, _ := os.ReadFile("/proc/uptime")
	seconds, _ := strconv.ParseFloat(strings.SplitN(string(data), " ", 2)[0], 64)
	return strconv.Itoa(int(seconds * 1000))
}

func all(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func wrap(what string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

func mkdir(path string, mode uint32) error {
	return wrap("mkdir "+path, syscall.Mkdir(path, mode))
}

func mount(source, target, kind string, flags uintptr, data string) error {
	return wrap("mount "+target, syscall.Mount(source, target, kind, flags, data))
}
