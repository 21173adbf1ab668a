#include "host/process_mark.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Of one PID namespace of one boot: the words before the process number. */
struct place {
    char boot[40];
    char space[40];
};

/* The first bytes of a small file, as text; false when it cannot be read. */
static bool read_start(const char *path, char *out, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, out, size - 1);
    if (fd >= 0)
        close(fd);
    out[got > 0 ? got : 0] = '\0';
    return got > 0;
}

static bool find_place(struct place *place)
{
    if (!read_start("/proc/sys/kernel/random/boot_id", place->boot, sizeof(place->boot)))
        return false;
    place->boot[strcspn(place->boot, " \n")] = '\0';
    ssize_t len = readlink("/proc/self/ns/pid", place->space, sizeof(place->space) - 1);
    if (len <= 0)
        return false;
    place->space[len] = '\0';
    return place->boot[0] != '\0' && !strchr(place->space, ' ');
}

/* State and start time; the name in between may hold anything, brackets too. */
static bool read_stat(long pid, char *ret_state, unsigned long long *ret_start)
{
    char path[40], text[1024];
    snprintf(path, sizeof(path), "/proc/%ld/stat", pid);
    if (!read_start(path, text, sizeof(text)))
        return false;
    const char *at = strrchr(text, ')');
    if (!at || at[1] != ' ' || !at[2])
        return false;
    *ret_state = at[2];
    at += 2;
    for (int field = 3; field < 22; field++) {
        at = strchr(at, ' ');
        if (!at)
            return false;
        at++;
    }
    char *end;
    *ret_start = strtoull(at, &end, 10);
    return end != at;
}

void process_mark(uint64_t unique, char out[PROCESS_MARK_MAX])
{
    struct place place;
    char state;
    unsigned long long start;
    if (find_place(&place) && read_stat((long)getpid(), &state, &start))
        snprintf(out, PROCESS_MARK_MAX, "%s %s %ld %llu %016llx", place.boot, place.space, (long)getpid(), start,
                 (unsigned long long)unique);
    else
        snprintf(out, PROCESS_MARK_MAX, "%016llx", (unsigned long long)unique);
}

bool process_mark_is_gone(const char *mark)
{
    struct place here, there;
    long pid;
    unsigned long long started, start;
    char state;
    if (sscanf(mark, "%39s %39s %ld %llu", there.boot, there.space, &pid, &started) != 4 || pid <= 0)
        return false;
    if (!find_place(&here) || strcmp(here.boot, there.boot) != 0 || strcmp(here.space, there.space) != 0)
        return false;
    if (kill((pid_t)pid, 0) && errno == ESRCH)
        return true;
    /* Another user's process may be hidden from us (proc(5), hidepid). */
    if (!read_stat(pid, &state, &start))
        return false;
    return state == 'Z' || state == 'X' || start != started;
}
