package main

import (
	"bytes"
	"fmt"
	"syscall"
)

const (
	seekData = 3
	seekHole = 4
	pageSize = 4096
)

var zeroPage [pageSize]byte

// eachExtent calls visit with every run of bytes of fd that may be non-zero.
func eachExtent(fd int, size int64, visit func(start, end int64) error) error {
	for position := int64(0); position < size; {
		start, err := syscall.Seek(fd, position, seekData)
		if err == syscall.ENXIO {
			return nil // a hole to the end
		}
		if err != nil {
			return fmt.Errorf("SEEK_DATA: %w", err)
		}
		end, err := syscall.Seek(fd, start, seekHole)
		if err != nil {
			return fmt.Errorf("SEEK_HOLE: %w", err)
		}
		if err := visit(start, end); err != nil {
			return err
		}
		position = end
	}
	return nil
}

func sizeOf(fd int) (int64, error) {
	var stat syscall.Stat_t
	if err := syscall.Fstat(fd, &stat); err != nil {
		return 0, fmt.Errorf("fstat: %w", err)
	}
	return stat.Size, nil
}

// copySparse copies from's bytes to to, leaving zero pages as holes. It returns the size.
func copySparse(to, from int) (int64, error) {
	size, err := sizeOf(from)
	if err != nil {
		return 0, err
	}
	if err := syscall.Ftruncate(to, size); err != nil {
		return 0, fmt.Errorf("ftruncate: %w", err)
	}
	buffer := make([]byte, 1<<20)
	err = eachExtent(from, size, func(start, end int64) error {
		for start < end {
			chunk := buffer
			if int64(len(chunk)) > end-start {
				chunk = chunk[:end-start]
			}
			if err := readFull(from, chunk, start); err != nil {
				return err
			}
			if err := writeWithoutZeroPages(to, chunk, start); err != nil {
				return err
			}
			start += int64(len(chunk))
		}
		return nil
	})
	return size, err
}

func writeWithoutZeroPages(fd int, chunk []byte, offset int64) error {
	for len(chunk) > 0 {
		zeros := pagesWhile(chunk, true)
		chunk, offset = chunk[zeros:], offset+int64(zeros)
		data := pagesWhile(chunk, false)
		for written := 0; written < data; {
			n, err := syscall.Pwrite(fd, chunk[written:data], offset+int64(written))
			if err != nil {
				return fmt.Errorf("write: %w", err)
			}
			written += n
		}
		chunk, offset = chunk[data:], offset+int64(data)
	}
	return nil
}

// pagesWhile is the number of leading bytes whose pages are all zero, or all not.
func pagesWhile(chunk []byte, zero bool) int {
	at := 0
	for at < len(chunk) {
		end := at + pageSize
		if end > len(chunk) {
			end = len(chunk)
		}
		if isZero(chunk[at:end]) != zero {
			break
		}
		at = end
	}
	return at
}

func isZero(page []byte) bool { return bytes.Equal(page, zeroPage[:len(page)]) }

func readFull(fd int, buffer []byte, offset int64) error {
	for done := 0; done < len(buffer); {
		n, err := syscall.Pread(fd, buffer[done:], offset+int64(done))
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return fmt.Errorf("read: %w", err)
		}
		if n == 0 {
			return fmt.Errorf("the file ended at %d", offset+int64(done))
		}
		done += n
	}
	return nil
}
