//go:build linux

package main

import (
	"crypto/rand"
	"encoding/hex"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"

	"brainstorm-sandbox/guest/internal/boot"
	"brainstorm-sandbox/guest/internal/bridge"
	"brainstorm-sandbox/guest/internal/control"
	"brainstorm-sandbox/guest/internal/dispatch"
	"brainstorm-sandbox/guest/internal/frame"
	"brainstorm-sandbox/guest/internal/guest"
	"brainstorm-sandbox/guest/internal/query"
	"brainstorm-sandbox/guest/internal/server"
	"brainstorm-sandbox/guest/internal/spawn"
	"brainstorm-sandbox/guest/internal/strictjson"
	"brainstorm-sandbox/guest/internal/tools"
	"brainstorm-sandbox/guest/internal/vital"
	"brainstorm-sandbox/guest/internal/vsock"
)

const (
	portsDir = "/sys/class/virtio-ports"
	// maxProcesses is how many processes and threads a dispatch may have.
	maxProcesses = 256
)

var console *os.File

func say(line string) {
	if console != nil {
		console.WriteString("bsm: " + line + "\n")
	}
}

// openConsole comes after the modules: the console is a virtio device. Go writes
// the trace of a crash to descriptor 2, and so does the bridge.
func openConsole() {
	fd, err := syscall.Open("/dev/console", syscall.O_WRONLY|syscall.O_NOCTTY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	console = os.NewFile(uintptr(fd), "console")
	syscall.Dup3(fd, 1, 0)
	syscall.Dup3(fd, 2, 0)
}

// die says why and ends the machine.
func die(reason string) {
	say(reason)
	boot.PowerOff()
	os.Exit(1)
}

func must(what string, err error) {
	if err != nil {
		die(what + ": " + err.Error())
	}
}

func initMain() {
	// A pause for the garbage collector costs milliseconds under emulation, and
	// a dispatcher at rest holds little: let the heap grow first.
	debug.SetGCPercent(400)
	debug.SetMemoryLimit(96 << 20)
	syscall.Umask(0o022)
	vital.Fatal = die

	must("early mounts", boot.EarlyMounts())
	must("modules", boot.LoadModules())
	openConsole()
	self, err := syscall.Open("/init", oPath|syscall.O_CLOEXEC, 0)
	must("own executable", err)
	identity, err := imageIdentity()
	must("image identity", err)

	reaper := spawn.NewReaper()
	identity.CID, identity.HasCID = vsock.LocalCID("/dev/vsock")
	bridged := !identity.HasCID && startBridge(reaper)
	must("root", boot.Root())

	inspector, err := query.NewInspector("/proc", boot.Overlay)
	must("inspector", err)
	_, total, err := inspector.Memory()
	must("memory", err)
	groups, err := spawn.NewGroups("/sys/fs/cgroup", spawn.Limits{Processes: maxProcesses, Memory: boot.MemoryForTools(total)})
	must("cgroups", err)
	spawner, err := spawn.New(reaper, self)
	must("spawner", err)
	nonce := make([]byte, 32)
	_, err = rand.Read(nonce)
	must("nonce", err)

	state := guest.New(hex.EncodeToString(nonce))
	evidencePort := &dispatch.EvidencePort{}
	dispatcher := &dispatch.Service{
		State:    state,
		Evidence: evidencePort,
		Runner:   &dispatch.Runner{Spawner: spawner, Groups: groups, Inspector: inspector},
	}
	serve(1024, frame.MaxLarge, bridged, dispatcher)
	serve(1025, frame.MaxLarge, bridged, evidencePort)
	serve(1026, frame.MaxSmall, bridged, &query.Service{Inspector: inspector})
	serve(1027, frame.MaxSmall, bridged, &control.Service{
		State: state, Identity: identity, Dispatch: dispatcher, Inspector: inspector, PowerOff: boot.PowerOff,
	})
	must("hostname", syscall.Sethostname([]byte("sandbox")))
	must("loopback", boot.LoopbackUp())
	must("hardening", boot.Harden())
	must("rest", boot.Rest())
	dispatcher.Runner.Replenish()
	say("ready after " + boot.Uptime() + " ms")
	select {}
}

const oPath = 0x200000

func serve(port, max uint32, bridged bool, service server.Service) {
	listener, err := vsock.Listen(port)
	must("listen", err)
	p := &server.Port{Max: max, Bridged: bridged, Service: service}
	vital.Go(func() { must("accept", p.Serve(listener)) })
}

// startBridge runs the bridge as a process of its own; if it ends, so do we. It
// starts before the root is switched and stays in the initramfs, the only place
// from where the virtio ports can be reached. Without a virtio socket device
// this is the QEMU image, whose ports are announced shortly after the driver.
func startBridge(reaper *spawn.Reaper) bool {
	var ports map[uint32]string
	for try := 0; len(ports) < 4; try++ {
		if try == 1000 {
			return false
		}
		time.Sleep(time.Millisecond)
		ports = bridge.Ports(portsDir, "/dev")
	}
	argv := []string{"bsm-bridge"}
	for number, device := range ports {
		argv = append(argv, strconv.Itoa(int(number))+"="+device)
	}
	process, err := reaper.Adopt(func() (int, error) {
		return syscall.ForkExec("/init", argv, &syscall.ProcAttr{Files: []uintptr{0, 1, 2}})
	})
	must("bridge", err)
	must("bridge", boot.Unkillable(process.Pid))
	vital.Go(func() {
		<-process.Done
		die("the bridge ended")
	})
	return true
}

// bridgeMain gets its ports as arguments, number=device.
func bridgeMain() {
	debug.SetGCPercent(400)
	ports := map[uint32]string{}
	for _, arg := range os.Args[1:] {
		number, device, _ := strings.Cut(arg, "=")
		n, _ := strconv.Atoi(number)
		ports[uint32(n)] = device
	}
	if err := bridge.Run(ports); err != nil {
		os.Stderr.WriteString("bsm-bridge: " + err.Error() + "\n")
	}
	os.Exit(1)
}

// imageIdentity reads what the image build left beside us.
func imageIdentity() (control.Identity, error) {
	data, err := os.ReadFile("/bsm/image.json")
	if err != nil {
		return control.Identity{}, err
	}
	o, err := strictjson.ParseObject(data)
	if err != nil {
		return control.Identity{}, err
	}
	f := strictjson.Read("image.json", o)
	identity := control.Identity{ImageVersion: f.Text("image_version"), ImageDigest: f.Text("image_digest")}
	if err := f.Done(); err != nil {
		return identity, err
	}
	if identity.Tools, err = tools.Catalog(); err != nil {
		return identity, err
	}
	bootID, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	identity.BootID = strings.TrimSpace(string(bootID))
	return identity, err
}
