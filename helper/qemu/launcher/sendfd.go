package main

import (
	"errors"
	"flag"
	"fmt"
	"syscall"
)

// sendFd writes one message with one descriptor (SCM_RIGHTS) to an inherited Unix socket: QMP's
// `getfd` takes its descriptor that way and no other.
//
//	bsm-launcher send-fd --socket N --fd N --message JSON
func sendFd(args []string) error {
	flags := flag.NewFlagSet("send-fd", flag.ContinueOnError)
	socket := flags.Int("socket", -1, "connected Unix socket")
	fd := flags.Int("fd", -1, "descriptor to send")
	message := flags.String("message", "", "bytes that carry it")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *message == "" {
		return errors.New("send-fd: a descriptor travels only with at least one byte")
	}
	for {
		err := syscall.Sendmsg(*socket, []byte(*message), syscall.UnixRights(*fd), nil, 0)
		if err == syscall.EINTR || err == syscall.EAGAIN {
			continue
		}
		if err != nil {
			return fmt.Errorf("sendmsg: %w", err)
		}
		return nil
	}
}
