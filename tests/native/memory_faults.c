/*
 * memory_faults.c - preloaded by a test: makes allocations of the extension fail that go past Python, to the C library.
 *
 * Only calls from the shared object of the given name count: the interpreter, and the writer's way through the C library
 * itself, are left alone. Counted from 0 in the order in which they come, whichever thread makes them.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

static _Atomic long next = -1; /* number of the next call; negative: not armed */
static long first;
static long last; /* calls first..last-1 fail; 0: all from the first on */
static _Atomic int fired;
static uintptr_t begin;
static uintptr_t end;

/* Calls from within an address range fail from now on. */
void faults_arm(long from, long to)
{
    first = from;
    last = to;
    fired = 0;
    next = 0;
}

/* Whether any has failed. */
int faults_disarm(void)
{
    next = -1;
    return fired;
}

void faults_watch(uintptr_t from, uintptr_t to)
{
    begin = from;
    end = to;
}

static int fails(const void *caller)
{
    if (next < 0 || (uintptr_t)caller < begin || (uintptr_t)caller >= end)
        return 0;
    long n = atomic_fetch_add(&next, 1);
    if (n < first || (last && n >= last))
        return 0;
    fired = 1;
    errno = ENOMEM;
    return 1;
}

#define REAL(function) ((__typeof__(&function))dlsym(RTLD_NEXT, #function))

void *malloc(size_t size)
{
    static __typeof__(&malloc) real;
    if (!real)
        real = REAL(malloc);
    return fails(__builtin_return_address(0)) ? NULL : real(size);
}

void *realloc(void *ptr, size_t size)
{
    static __typeof__(&realloc) real;
    if (!real)
        real = REAL(realloc);
    return fails(__builtin_return_address(0)) ? NULL : real(ptr, size);
}

void *mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
    static __typeof__(&mmap) real;
    if (!real)
        real = REAL(mmap);
    return fails(__builtin_return_address(0)) ? MAP_FAILED : real(addr, len, prot, flags, fd, offset);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *), void *arg)
{
    static __typeof__(&pthread_create) real;
    if (!real)
        real = REAL(pthread_create);
    return fails(__builtin_return_address(0)) ? EAGAIN : real(thread, attr, start, arg);
}
