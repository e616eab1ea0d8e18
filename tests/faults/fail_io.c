/*
 * A disk that fails on demand, for LD_PRELOAD. It stands between a program and the C library, looks at files under one
 * directory only, and counts each kind of operation on them from 1:
 *
 *   write    write, pwrite, writev: half of the bytes are written before it fails, as on a disk that fills up
 *   sync     fsync, fdatasync
 *   rename   rename
 *   create   open with O_CREAT, mkdir below the directory
 *   remove   unlink
 *   link     link
 *   cut      ftruncate
 *
 *   FAIL_IO_DIR      the directory
 *   FAIL_IO_OP       which kind fails
 *   FAIL_IO_AT       the how-manieth of it
 *   FAIL_IO_ERRNO    with which error; 0: it never comes back instead of failing
 *   FAIL_IO_STICKY   if set, all after it fail too
 *   FAIL_IO_TRACE    a file to which a line is added for each operation that came back: kind, inode, size, name; a sync
 *                    with the size that the file had before it. One that fails has ! before the kind
 *   FAIL_IO_CLOCK    if set, the wall clock jumps by days, forward and back, whenever it is read
 *
 * An operation that fails, or never comes back, says so on standard error with one line of JSON.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum kind { WRITE, SYNC, RENAME, CREATE, REMOVE, LINK, CUT, KINDS };
static const char *const names[KINDS] = {"write", "sync", "rename", "create", "remove", "link", "cut"};

static const char *dir;
static size_t dir_length;
static int fails = -1, error, sticky, clock_jumps, trace = -1;
static long at;
static long counts[KINDS];

#define REAL(type, name, ...)                                             \
  static type (*real)(__VA_ARGS__);                                       \
  if (real == NULL) real = (type (*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

__attribute__((constructor)) static void start(void) {
  const char *text;
  dir = getenv("FAIL_IO_DIR");
  dir_length = dir == NULL ? 0 : strlen(dir);
  if ((text = getenv("FAIL_IO_OP")) != NULL)
    for (int kind = 0; kind < KINDS; kind++)
      if (strcmp(text, names[kind]) == 0) fails = kind;
  if ((text = getenv("FAIL_IO_AT")) != NULL) at = atol(text);
  if ((text = getenv("FAIL_IO_ERRNO")) != NULL) error = atoi(text);
  sticky = getenv("FAIL_IO_STICKY") != NULL;
  clock_jumps = getenv("FAIL_IO_CLOCK") != NULL;
  if ((text = getenv("FAIL_IO_TRACE")) != NULL)
    trace = (int)syscall(SYS_openat, AT_FDCWD, text, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
}

static int is_inside(const char *path) {
  return dir != NULL && strncmp(path, dir, dir_length) == 0 && (path[dir_length] == '/' || path[dir_length] == 0);
}

/* The name of an open file, if it is under the directory. */
static int name_of(int file, char *path) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  ssize_t length = readlink(link, path, PATH_MAX - 1);
  if (length < 0) return 0;
  path[length] = 0;
  return is_inside(path);
}

static void note(const char *prefix, enum kind kind, const struct stat *is, const char *path) {
  char line[PATH_MAX + 100];
  if (trace < 0) return;
  int length = snprintf(line, sizeof line, "%s%s %lu %lld %s\n", prefix, names[kind], is == NULL ? 0 : is->st_ino,
                        is == NULL ? 0LL : (long long)is->st_size, path);
  (void)!syscall(SYS_write, trace, line, (size_t)length);
}

/* Whether this operation is to fail. */
static int is_hit(enum kind kind, const char *path) {
  char line[PATH_MAX + 100];
  long count = __atomic_add_fetch(&counts[kind], 1, __ATOMIC_SEQ_CST);
  if ((int)kind != fails || count < at || (count > at && !sticky)) return 0;
  if (count == at) {
    int length = snprintf(line, sizeof line, "\n{\"fail_io\":\"%s\",\"at\":%ld,\"path\":\"%s\"}\n", names[kind], count, path);
    (void)!syscall(SYS_write, STDERR_FILENO, line, (size_t)length);
  }
  while (error == 0) pause();
  note("!", kind, NULL, path);
  return 1;
}

static void written(int file, const char *path) {
  struct stat is;
  int saved = errno;
  if (trace >= 0 && fstat(file, &is) == 0) note("", WRITE, &is, path);
  errno = saved;
}

ssize_t write(int file, const void *bytes, size_t count) {
  REAL(ssize_t, "write", int, const void *, size_t);
  char path[PATH_MAX];
  if (!name_of(file, path)) return real(file, bytes, count);
  if (is_hit(WRITE, path)) {
    (void)!real(file, bytes, count / 2);
    errno = error;
    return -1;
  }
  ssize_t result = real(file, bytes, count);
  written(file, path);
  return result;
}

ssize_t pwrite(int file, const void *bytes, size_t count, off_t offset) {
  REAL(ssize_t, "pwrite", int, const void *, size_t, off_t);
  char path[PATH_MAX];
  if (!name_of(file, path)) return real(file, bytes, count, offset);
  if (is_hit(WRITE, path)) {
    (void)!real(file, bytes, count / 2, offset);
    errno = error;
    return -1;
  }
  ssize_t result = real(file, bytes, count, offset);
  written(file, path);
  return result;
}

ssize_t pwrite64(int file, const void *bytes, size_t count, off64_t offset) {
  return pwrite(file, bytes, count, (off_t)offset);
}

ssize_t writev(int file, const struct iovec *parts, int count) {
  REAL(ssize_t, "writev", int, const struct iovec *, int);
  char path[PATH_MAX];
  if (!name_of(file, path)) return real(file, parts, count);
  if (is_hit(WRITE, path)) {
    (void)!real(file, parts, count / 2);
    errno = error;
    return -1;
  }
  ssize_t result = real(file, parts, count);
  written(file, path);
  return result;
}

static int synced(int file, int (*real)(int)) {
  char path[PATH_MAX];
  struct stat before;
  if (!name_of(file, path)) return real(file);
  if (is_hit(SYNC, path)) {
    errno = error;
    return -1;
  }
  int known = fstat(file, &before) == 0;
  int result = real(file);
  if (result == 0 && known) note("", SYNC, &before, path);
  return result;
}

int fsync(int file) {
  REAL(int, "fsync", int);
  return synced(file, real);
}

int fdatasync(int file) {
  REAL(int, "fdatasync", int);
  return synced(file, real);
}

int rename(const char *from, const char *to) {
  REAL(int, "rename", const char *, const char *);
  if (is_inside(to) && is_hit(RENAME, to)) {
    errno = error;
    return -1;
  }
  int result = real(from, to);
  if (result == 0 && is_inside(to)) note("", RENAME, NULL, to);
  return result;
}

static int opened(int (*real)(const char *, int, ...), const char *path, int flags, va_list more) {
  if ((flags & (O_CREAT | O_TMPFILE)) == 0) return real(path, flags);
  mode_t mode = va_arg(more, mode_t);
  if ((flags & O_CREAT) && is_inside(path) && is_hit(CREATE, path)) {
    errno = error;
    return -1;
  }
  int result = real(path, flags, mode);
  struct stat is;
  if (result >= 0 && (flags & O_CREAT) && is_inside(path) && fstat(result, &is) == 0) note("", CREATE, &is, path);
  return result;
}

int open(const char *path, int flags, ...) {
  REAL(int, "open", const char *, int, ...);
  va_list more;
  va_start(more, flags);
  int result = opened(real, path, flags, more);
  va_end(more);
  return result;
}

int open64(const char *path, int flags, ...) {
  REAL(int, "open64", const char *, int, ...);
  va_list more;
  va_start(more, flags);
  int result = opened(real, path, flags, more);
  va_end(more);
  return result;
}

int mkdir(const char *path, mode_t mode) {
  REAL(int, "mkdir", const char *, mode_t);
  if (is_inside(path) && path[dir_length] == '/' && is_hit(CREATE, path)) {
    errno = error;
    return -1;
  }
  return real(path, mode);
}

int unlink(const char *path) {
  REAL(int, "unlink", const char *);
  if (is_inside(path) && is_hit(REMOVE, path)) {
    errno = error;
    return -1;
  }
  int result = real(path);
  if (result == 0 && is_inside(path)) note("", REMOVE, NULL, path);
  return result;
}

int link(const char *from, const char *to) {
  REAL(int, "link", const char *, const char *);
  if (is_inside(to) && is_hit(LINK, to)) {
    errno = error;
    return -1;
  }
  int result = real(from, to);
  if (result == 0 && is_inside(to)) note("", LINK, NULL, to);
  return result;
}

int ftruncate(int file, off_t size) {
  REAL(int, "ftruncate", int, off_t);
  char path[PATH_MAX];
  if (name_of(file, path) && is_hit(CUT, path)) {
    errno = error;
    return -1;
  }
  return real(file, size);
}

int ftruncate64(int file, off64_t size) {
  return ftruncate(file, (off_t)size);
}

/* Ahead by 40 days, behind by 40, and so on. */
static time_t jump(void) {
  static long reads;
  long count = __atomic_add_fetch(&reads, 1, __ATOMIC_SEQ_CST);
  return (count % 2 == 0 ? 1 : -1) * (time_t)(40 * 86400);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
  REAL(int, "clock_gettime", clockid_t, struct timespec *);
  int result = real(clock, now);
  if (clock_jumps && clock == CLOCK_REALTIME && result == 0) now->tv_sec += jump();
  return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
  REAL(int, "gettimeofday", struct timeval *restrict, void *restrict);
  int result = real(now, zone);
  if (clock_jumps && result == 0) now->tv_sec += jump();
  return result;
}

time_t time(time_t *result) {
  REAL(time_t, "time", time_t *);
  time_t now = real(NULL) + (clock_jumps ? jump() : 0);
  if (result != NULL) *result = now;
  return now;
}
