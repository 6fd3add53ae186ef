/// What glibc offers only to C with _GNU_SOURCE.
#pragma once

/// memfd_create(2), close-on-exec. -1 and errno on failure.
int stand_in_memfd(const char *name);
