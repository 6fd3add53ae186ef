#define _GNU_SOURCE
#include "stand_in.h"

#include <sys/mman.h>

int stand_in_memfd(const char *name) { return memfd_create(name, MFD_CLOEXEC); }
