package main

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"runtime"
	"sync"
)

// leafSize is the unit of the RAM digest.
const leafSize = 64 << 10

// ramDigest is defined over what is not zero, so that holes cost nothing and their layout (which a
// copy may change) does not count:
//
//	"sha256:" + hex SHA-256( "brainstorm-ram-v1\0" ‖ u64be(size)
//	    ‖ for every 64 KiB leaf that is not all zero, by rising offset: u64be(offset) ‖ SHA-256(leaf) )
//
// The last leaf may be short. Leaves are hashed side by side.
func ramDigest(fd int) (string, error) {
	size, err := sizeOf(fd)
	if err != nil {
		return "", err
	}
	offsets, err := leavesWithData(fd, size)
	if err != nil {
		return "", err
	}
	sums := make([][]byte, len(offsets)) // nil: all zero after all
	workers := runtime.GOMAXPROCS(0)
	failed := make([]error, workers)
	var group sync.WaitGroup
	for worker := 0; worker < workers; worker++ {
		group.Add(1)
		go func(worker int) {
			defer group.Done()
			leaf := make([]byte, leafSize)
			for i := worker; i < len(offsets); i += workers {
				length := size - offsets[i]
				if length > leafSize {
					length = leafSize
				}
				if err := readFull(fd, leaf[:length], offsets[i]); err != nil {
					failed[worker] = err
					return
				}
				if pagesWhile(leaf[:length], true) == int(length) {
					continue
				}
				sum := sha256.Sum256(leaf[:length])
				sums[i] = sum[:]
			}
		}(worker)
	}
	group.Wait()
	for _, err := range failed {
		if err != nil {
			return "", err
		}
	}
	total := sha256.New()
	total.Write([]byte("brainstorm-ram-v1\x00"))
	writeU64(total, uint64(size))
	for i, sum := range sums {
		if sum != nil {
			writeU64(total, uint64(offsets[i]))
			total.Write(sum)
		}
	}
	return "sha256:" + hex.EncodeToString(total.Sum(nil)), nil
}

func leavesWithData(fd int, size int64) ([]int64, error) {
	var offsets []int64
	next := int64(0)
	err := eachExtent(fd, size, func(start, end int64) error {
		leaf := start - start%leafSize
		if leaf < next {
			leaf = next
		}
		for ; leaf < end; leaf += leafSize {
			offsets = append(offsets, leaf)
			next = leaf + leafSize
		}
		return nil
	})
	return offsets, err
}

func writeU64(to interface{ Write([]byte) (int, error) }, value uint64) {
	var bytes [8]byte
	binary.BigEndian.PutUint64(bytes[:], value)
	_, _ = to.Write(bytes[:]) // a hash never fails
}
