/// What glibc offers only to C with _GNU_SOURCE, and macros that Swift does not import.
#pragma once
#include <stddef.h>
#include <sys/types.h>

/// memfd_create(2), close-on-exec. -1 and errno on failure.
int stand_in_memfd(const char *name);

/// Sends `length` bytes and one descriptor (SCM_RIGHTS) over a Unix socket. -1 and errno on failure.
ssize_t stand_in_send_fd(int socket, int fd, const void *bytes, size_t length);
