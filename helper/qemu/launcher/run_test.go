package main

import (
	"os"
	"syscall"
	"testing"
)

func TestWhatIsNotListedIsNotInherited(t *testing.T) {
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	defer write.Close()
	fd := write.Fd()
	if _, _, errno := syscall.Syscall(syscall.SYS_FCNTL, fd, syscall.F_SETFD, 0); errno != 0 {
		t.Fatal(errno)
	}
	if _, err := filesToHandOn(""); err != nil {
		t.Fatal(err)
	}
	if flags, _, _ := syscall.Syscall(syscall.SYS_FCNTL, fd, syscall.F_GETFD, 0); flags&syscall.FD_CLOEXEC == 0 {
		t.Fatal("a descriptor that is not listed would be inherited")
	}
}

func TestListedDescriptorsKeepTheirNumbers(t *testing.T) {
	files, err := filesToHandOn("4,7")
	if err != nil {
		t.Fatal(err)
	}
	closed := ^uintptr(0)
	want := []uintptr{files[0], 2, 2, closed, 4, closed, closed, 7}
	if len(files) != len(want) {
		t.Fatal(files)
	}
	for i := range want {
		if files[i] != want[i] {
			t.Fatal(files)
		}
	}
}

func TestStandardStreamsAndNonsenseAreNotHandedOn(t *testing.T) {
	for _, list := range []string{"2", "x", "5,4", "3,,4", "-1"} {
		if _, err := filesToHandOn(list); err == nil {
			t.Errorf("%q was taken", list)
		}
	}
}
