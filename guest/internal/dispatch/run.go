//go:build linux

package dispatch

import (
	"errors"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"brainstorm-sandbox/guest/internal/query"
	"brainstorm-sandbox/guest/internal/spawn"
	"brainstorm-sandbox/guest/internal/vital"
)

// drainLimit is how long the pipes of a killed tool may take to end. Their
// writers are dead; only a host that takes no evidence can make this long.
const drainLimit = 40 * time.Second

// Runner runs programs one at a time in a cgroup each.
type Runner struct {
	Spawner   *spawn.Spawner
	Groups    *spawn.Groups
	Inspector *query.Inspector

	mu    sync.Mutex
	spare *spawn.Group
	used  []*spawn.Group
}

// stop is asked of a running program; the first reason stays.
type stopper struct {
	once   sync.Once
	ch     chan struct{}
	reason string
}

func newStopper() *stopper { return &stopper{ch: make(chan struct{})} }

func (s *stopper) stop(reason string) {
	s.once.Do(func() {
		s.reason = reason
		close(s.ch)
	})
}

// stopped gives the reason, or "" while there is none.
func (s *stopper) stopped() string {
	select {
	case <-s.ch:
		return s.reason
	default:
		return ""
	}
}

// sinkFunc takes output; an error means that no more of it is wanted.
type sinkFunc func(stream byte, data []byte) error

// run runs spec to its end and leaves nothing of it alive. The exit code is
// the shell's: 128 + the signal that ended the program.
func (r *Runner) run(spec spawn.Spec, stdin []byte, sink sinkFunc, stop *stopper) (int, error) {
	group, err := r.takeGroup()
	if err != nil {
		return 0, err
	}
	defer r.retire(group)
	spec.Group = group

	pipes, err := openStreams(stdin)
	if err != nil {
		return 0, err
	}
	defer pipes.close()
	spec.Stdin, spec.Stdout, spec.Stderr = pipes.stdin, pipes.write[0], pipes.write[1]
	if stop.stopped() != "" {
		return 137, nil
	}
	process, err := r.Spawner.Start(spec)
	pipes.closeChildEnds()
	if err != nil {
		return 0, err
	}
	var pumps sync.WaitGroup
	pumps.Add(2)
	for i := range pipes.read {
		from, stream := pipes.read[i], byte(i+1)
		vital.Go(func() {
			defer pumps.Done()
			pump(from, stream, sink)
		})
	}
	var status syscall.WaitStatus
	select {
	case status = <-process.Done:
	case <-stop.ch:
		group.Kill()
		status = <-process.Done
	}
	err = group.Empty()
	drained := time.AfterFunc(drainLimit, pipes.abandon)
	pumps.Wait()
	drained.Stop()
	return exitCode(status), err
}

func exitCode(status syscall.WaitStatus) int {
	if status.Signaled() {
		return 128 + int(status.Signal())
	}
	return status.ExitStatus()
}

// pipeSize is how many bytes a tool may be ahead of us.
const pipeSize = 256 << 10

// buffers are kept from one dispatch to the next: their pages are there already.
var buffers = sync.Pool{New: func() any { return new([pipeSize]byte) }}

// pump reads a stream to its end. After the sink has had enough it goes on
// reading, so that the tool is not stuck in a write while it is being killed.
func pump(file *os.File, stream byte, sink sinkFunc) {
	buffer := buffers.Get().(*[pipeSize]byte)
	defer buffers.Put(buffer)
	buf := buffer[:]
	wanted := true
	for chunks := 0; ; chunks++ {
		n, err := file.Read(buf)
		if n > 0 && wanted {
			wanted = sink(stream, buf[:n]) == nil
		}
		if err != nil {
			return
		}
		if chunks > promptChunks && n < smallChunk {
			time.Sleep(gatherTime)
		}
	}
}

// A chunk costs far more than the byte in it, here and on the host. A tool that
// goes on writing has what it writes gathered in its pipe: a hundred chunks a
// second, and 25 MB/s where it fills the pipe meanwhile.
const (
	promptChunks = 100
	smallChunk   = pipeSize / 4
	gatherTime   = 10 * time.Millisecond
)

// takeGroup gives the cgroup that Replenish prepared.
func (r *Runner) takeGroup() (*spawn.Group, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if group := r.spare; group != nil {
		r.spare = nil
		return group, nil
	}
	var group *spawn.Group
	var err error
	r.Inspector.Quiet(func() { group, err = r.Groups.New() })
	return group, err
}

// retire leaves a used group to Replenish: removing it can wait for the result.
func (r *Runner) retire(group *spawn.Group) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.used = append(r.used, group)
}

// Replenish removes used groups and prepares the next one, so that making it is
// no part of a dispatch. What fails here is tried again by takeGroup.
func (r *Runner) Replenish() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Inspector.Quiet(func() {
		for _, group := range r.used {
			group.Close()
		}
		r.used = nil
		if r.spare == nil {
			r.spare, _ = r.Groups.New()
		}
	})
}

type streams struct {
	stdin int
	read  [2]*os.File
	write [2]int
}

func openStreams(stdin []byte) (s *streams, err error) {
	s = &streams{stdin: -1, write: [2]int{-1, -1}}
	defer func() {
		if err != nil {
			s.close()
			s.closeChildEnds()
		}
	}()
	if stdin == nil {
		s.stdin, err = syscall.Open("/dev/null", syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	} else {
		s.stdin, err = spawn.Memfd(stdin)
	}
	if err != nil {
		return s, err
	}
	for i := range s.read {
		var p [2]int
		if err = syscall.Pipe2(p[:], syscall.O_CLOEXEC); err != nil {
			return s, err
		}
		s.write[i] = p[1]
		// A smaller pipe does as well, only slower.
		syscall.Syscall(syscall.SYS_FCNTL, uintptr(p[0]), syscall.F_SETPIPE_SZ, pipeSize)
		// Only our end: the tool expects blocking writes.
		if err = syscall.SetNonblock(p[0], true); err != nil {
			syscall.Close(p[0])
			return s, err
		}
		s.read[i] = os.NewFile(uintptr(p[0]), "output")
	}
	return s, nil
}

func (s *streams) closeChildEnds() {
	for _, fd := range []*int{&s.stdin, &s.write[0], &s.write[1]} {
		if *fd >= 0 {
			syscall.Close(*fd)
			*fd = -1
		}
	}
}

// abandon makes the pumps return.
func (s *streams) abandon() {
	for _, file := range s.read {
		if file != nil {
			file.SetReadDeadline(time.Now())
		}
	}
}

func (s *streams) close() {
	for _, file := range s.read {
		if file != nil {
			file.Close()
		}
	}
	s.closeChildEnds()
}

var errStop = errors.New("no more output is wanted")

// collect runs a worker whose output is wanted whole, within limit bytes.
func (r *Runner) collect(spec spawn.Spec, stdin []byte, limit int, stop *stopper) (out, complaint []byte, code int, err error) {
	var mu sync.Mutex
	code, err = r.run(spec, stdin, func(stream byte, data []byte) error {
		mu.Lock()
		defer mu.Unlock()
		into := &out
		if stream == 2 {
			into = &complaint
		}
		if len(*into)+len(data) > limit {
			return io.ErrShortBuffer
		}
		*into = append(*into, data...)
		return nil
	}, stop)
	return out, complaint, code, err
}
