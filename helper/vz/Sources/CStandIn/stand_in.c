#define _GNU_SOURCE
#include "stand_in.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

int stand_in_memfd(const char *name) { return memfd_create(name, MFD_CLOEXEC); }

ssize_t stand_in_send_fd(int socket, int fd, const void *bytes, size_t length) {
  union {
    struct cmsghdr header;
    char space[CMSG_SPACE(sizeof(int))];
  } control;
  memset(&control, 0, sizeof control);
  struct iovec part = {.iov_base = (void *)bytes, .iov_len = length};
  struct msghdr message = {
      .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.space, .msg_controllen = sizeof control.space};
  struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(sizeof(int));
  memcpy(CMSG_DATA(rights), &fd, sizeof fd);
  return sendmsg(socket, &message, MSG_NOSIGNAL);
}
