package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"syscall"
	"testing"
)

// memoryOf is a memory file of size bytes with the given pieces in it.
func memoryOf(t *testing.T, size int64, pieces map[int64][]byte) int {
	t.Helper()
	fd, err := createMemfd("test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if err := syscall.Ftruncate(fd, size); err != nil {
		t.Fatal(err)
	}
	for offset, piece := range pieces {
		if _, err := syscall.Pwrite(fd, piece, offset); err != nil {
			t.Fatal(err)
		}
	}
	return fd
}

func bytesOf(t *testing.T, fd int) []byte {
	t.Helper()
	size, err := sizeOf(fd)
	if err != nil {
		t.Fatal(err)
	}
	all := make([]byte, size)
	if err := readFull(fd, all, 0); err != nil {
		t.Fatal(err)
	}
	return all
}

func digestOf(t *testing.T, fd int) string {
	t.Helper()
	digest, err := ramDigest(fd)
	if err != nil {
		t.Fatal(err)
	}
	return digest
}

// naiveDigest follows the definition without knowing of holes or threads.
func naiveDigest(all []byte) string {
	total := sha256.New()
	total.Write([]byte("brainstorm-ram-v1\x00"))
	binary.Write(total, binary.BigEndian, uint64(len(all)))
	for offset := 0; offset < len(all); offset += leafSize {
		end := offset + leafSize
		if end > len(all) {
			end = len(all)
		}
		if bytes.Count(all[offset:end], []byte{0}) == end-offset {
			continue
		}
		binary.Write(total, binary.BigEndian, uint64(offset))
		leaf := sha256.Sum256(all[offset:end])
		total.Write(leaf[:])
	}
	return "sha256:" + hex.EncodeToString(total.Sum(nil))
}

var pieces = map[int64][]byte{
	0:                   []byte("first"),
	leafSize - 2:        []byte("over a border"),
	5*leafSize + 100:    bytes.Repeat([]byte{7}, 3*leafSize),
	20 * leafSize:       make([]byte, leafSize), // zeros, and no hole
	30*leafSize + 1_000: []byte("last, in a short leaf"),
}

const size = 30*leafSize + 2_000

func TestTheDigestIsWhatItsDefinitionSays(t *testing.T) {
	fd := memoryOf(t, size, pieces)
	if got, want := digestOf(t, fd), naiveDigest(bytesOf(t, fd)); got != want {
		t.Fatalf("%s, want %s", got, want)
	}
}

func TestTheDigestDoesNotDependOnHoles(t *testing.T) {
	holes := memoryOf(t, size, pieces)
	whole := memoryOf(t, size, map[int64][]byte{0: bytesOf(t, holes)})
	if digestOf(t, holes) != digestOf(t, whole) {
		t.Fatal("holes count")
	}
}

func TestTheDigestChangesWithEveryByteAndWithTheSize(t *testing.T) {
	seen := map[string]bool{digestOf(t, memoryOf(t, size, pieces)): true}
	for _, offset := range []int64{0, 10, leafSize, 12 * leafSize, size - 1} {
		fd := memoryOf(t, size, pieces)
		if _, err := syscall.Pwrite(fd, []byte{0xff}, offset); err != nil {
			t.Fatal(err)
		}
		seen[digestOf(t, fd)] = true
	}
	seen[digestOf(t, memoryOf(t, size+1, pieces))] = true
	if len(seen) != 7 {
		t.Fatalf("%d different digests, want 7", len(seen))
	}
}

func TestACopyHasTheSameBytesAndLeavesZerosOut(t *testing.T) {
	from := memoryOf(t, size, pieces)
	to := memoryOf(t, 0, nil)
	copied, err := copySparse(to, from)
	if err != nil || copied != size {
		t.Fatal(copied, err)
	}
	if !bytes.Equal(bytesOf(t, from), bytesOf(t, to)) {
		t.Fatal("other bytes")
	}
	var stat syscall.Stat_t
	if err := syscall.Fstat(to, &stat); err != nil {
		t.Fatal(err)
	}
	if stat.Blocks*512 > 6*leafSize {
		t.Fatalf("%d bytes are taken", stat.Blocks*512)
	}
}

func TestASealedMemoryCanBeMappedPrivatelyAndNeverWritten(t *testing.T) {
	fd := memoryOf(t, leafSize, map[int64][]byte{0: []byte("golden")})
	if err := seal(fd); err != nil {
		t.Fatal(err)
	}
	if _, err := syscall.Pwrite(fd, []byte("x"), 0); err != syscall.EPERM {
		t.Fatalf("write: %v", err)
	}
	if err := syscall.Ftruncate(fd, 0); err != syscall.EPERM {
		t.Fatalf("truncate: %v", err)
	}
	if _, err := syscall.Mmap(fd, 0, leafSize, syscall.PROT_WRITE, syscall.MAP_SHARED); err != syscall.EPERM {
		t.Fatalf("shared mapping: %v", err)
	}
	view, err := syscall.Mmap(fd, 0, leafSize, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Munmap(view)
	copy(view, "broken")
	if !bytes.HasPrefix(bytesOf(t, fd), []byte("golden")) {
		t.Fatal("the private view shows in the memory")
	}
}

func TestMemoryThatIsMappedWritableIsNotSealed(t *testing.T) {
	fd := memoryOf(t, leafSize, nil)
	view, err := syscall.Mmap(fd, 0, leafSize, syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Munmap(view)
	if err := seal(fd); err == nil {
		t.Fatal("sealed")
	}
}
