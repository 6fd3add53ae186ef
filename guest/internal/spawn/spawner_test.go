//go:build linux

package spawn

import (
	"errors"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// The reaper takes every child of its process: one for all tests.
var (
	once    sync.Once
	spawner *Spawner
	failure error
)

func tools(t *testing.T) *Spawner {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("confining a process needs root")
	}
	once.Do(func() {
		self, err := syscall.Open("/proc/self/exe", 0x200000|syscall.O_CLOEXEC, 0)
		if err != nil {
			failure = err
			return
		}
		spawner, failure = New(NewReaper(), self)
	})
	if failure != nil {
		t.Fatal(failure)
	}
	return spawner
}

// run gives the output and status of a shell command under the confinement.
func run(t *testing.T, spec Spec) (string, syscall.WaitStatus, error) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	null, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	spec.Stdin, spec.Stdout, spec.Stderr = int(null.Fd()), int(w.Fd()), int(w.Fd())
	if spec.Dir == "" {
		spec.Dir = "/"
	}
	process, err := tools(t).Start(spec)
	w.Close()
	defer r.Close()
	if err != nil {
		return "", 0, err
	}
	r.SetReadDeadline(time.Now().Add(20 * time.Second))
	out, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(out), <-process.Done, nil
}

func shell(t *testing.T, command string) string {
	t.Helper()
	out, _, err := run(t, Spec{Path: "/bin/sh", Argv: []string{"sh", "-c", command}, Env: []string{"PATH=/usr/bin:/bin", "A=b"}})
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

func TestAToolHasNoIdentityButItsOwn(t *testing.T) {
	if got := shell(t, "id -u; id -g; id -G; echo $A; pwd"); got != "1000\n1000\n1000\nb\n/" {
		t.Errorf("%q", got)
	}
	status := shell(t, "grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status | tr -s '\\t' ' '")
	for _, want := range []string{"CapInh: 0000000000000000", "CapPrm: 0000000000000000", "CapEff: 0000000000000000",
		"CapBnd: 0000000000000000", "CapAmb: 0000000000000000", "NoNewPrivs: 1", "Seccomp: 2"} {
		if !strings.Contains(status, want) {
			t.Errorf("%q is missing in:\n%s", want, status)
		}
	}
}

func TestAToolCannotShieldItselfAndDumpsNoCore(t *testing.T) {
	if got := shell(t, "ulimit -c; ulimit -n"); got != "0\n1024" {
		t.Errorf("%q", got)
	}
	if got := shell(t, "echo -1000 > /proc/self/oom_score_adj"); !strings.Contains(got, "denied") && !strings.Contains(got, "error") {
		t.Errorf("it could shield itself: %q", got)
	}
}

func TestAToolInheritsNoDescriptor(t *testing.T) {
	leak, err := syscall.Open("/dev/null", syscall.O_RDONLY, 0) // without O_CLOEXEC, on purpose
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(leak)
	if got := shell(t, "ls /proc/self/fd | tr '\\n' ' '"); got != "0 1 2 3" { // 3 is what ls reads
		t.Errorf("descriptors %q", got)
	}
}

func TestAToolLeadsASessionOfItsOwn(t *testing.T) {
	if got := shell(t, "cut -d' ' -f1,6 /proc/$$/stat | awk '{print ($1==$2)}'"); got != "1" {
		t.Errorf("%q", got)
	}
}

func TestTheKernelEnforcesTheFilter(t *testing.T) {
	if got := shell(t, "unshare -U true 2>&1; unshare -m true 2>&1"); strings.Count(got, "not permitted") != 2 {
		t.Errorf("%q", got)
	}
}

func TestAFailedStartSaysWhatFailed(t *testing.T) {
	_, _, err := run(t, Spec{Path: "/nonexistent", Argv: []string{"x"}})
	if !errors.Is(err, syscall.ENOENT) || !strings.Contains(err.Error(), "could not be executed") {
		t.Errorf("%v", err)
	}
	_, _, err = run(t, Spec{Path: "/bin/sh", Argv: []string{"sh"}, Dir: "/nonexistent"})
	var directory *DirectoryError
	if !errors.As(err, &directory) {
		t.Errorf("%v", err)
	}
	if _, _, err = run(t, Spec{Path: "/bin/sh", Argv: []string{"a\x00b"}}); err == nil {
		t.Error("a NUL byte was taken")
	}
}

func TestTheSignalThatEndedAToolIsKnown(t *testing.T) {
	_, status, err := run(t, Spec{Path: "/bin/sh", Argv: []string{"sh", "-c", "kill -SEGV $$"}})
	if err != nil || !status.Signaled() || status.Signal() != syscall.SIGSEGV {
		t.Errorf("%v %v", status, err)
	}
}

func TestADeadChildKeepsItsNumberWhileAnotherIsStarted(t *testing.T) {
	reaper := tools(t).reaper
	null, err := os.OpenFile("/dev/null", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	var gate [2]int
	if err := syscall.Pipe2(gate[:], syscall.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	process, err := tools(t).Start(Spec{Path: "/bin/sh", Argv: []string{"sh", "-c", "read x; exit 3"}, Dir: "/",
		Stdin: gate[0], Stdout: int(null.Fd()), Stderr: int(null.Fd())})
	syscall.Close(gate[0])
	if err != nil {
		t.Fatal(err)
	}
	reaper.mu.Lock() // as while a child is started
	syscall.Close(gate[1])
	state := func() string {
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(process.Pid) + "/stat")
		if err != nil {
			return "gone"
		}
		return strings.Fields(string(stat))[2]
	}
	end := time.Now().Add(20 * time.Second)
	for state() != "Z" && state() != "gone" && time.Now().Before(end) {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(50 * time.Millisecond)
	if got := state(); got != "Z" {
		t.Errorf("the dead child is %q: its number was free", got)
	}
	reaper.mu.Unlock()
	if status := <-process.Done; status.ExitStatus() != 3 {
		t.Errorf("%v", status)
	}
}

func TestStartsDoNotDisturbEachOther(t *testing.T) {
	var wait sync.WaitGroup
	for i := 0; i < 8; i++ {
		wait.Add(1)
		go func() {
			defer wait.Done()
			for j := 0; j < 10; j++ {
				out, status, err := run(t, Spec{Path: "/bin/sh", Argv: []string{"sh", "-c", "echo $0 $((6*7))"}})
				if err != nil || out != "sh 42\n" || status.ExitStatus() != 0 {
					t.Errorf("%q %v %v", out, status, err)
				}
			}
		}()
	}
	wait.Wait()
}

func TestAMemfdGivesItsBytesAndCannotBeChanged(t *testing.T) {
	fd, err := Memfd([]byte("abc"))
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	buf := make([]byte, 9)
	if n, err := syscall.Read(fd, buf); err != nil || string(buf[:n]) != "abc" {
		t.Errorf("%q %v", buf[:n], err)
	}
	if _, err := syscall.Write(fd, []byte("x")); err == nil {
		t.Error("it was written to")
	}
	if err := syscall.Ftruncate(fd, 0); err == nil {
		t.Error("it was truncated")
	}
}
