/*
 * process_mark.h - a name for this process by which others can tell that it is gone.
 *
 * A process number alone means little: it is used again, and the same number is another process in another container or
 * on another host. A mark names the boot of the kernel (/proc/sys/kernel/random/boot_id), the PID namespace
 * (/proc/self/ns/pid), the number, and the start time in clock ticks since the boot (/proc/PID/stat, field 22 of proc(5)).
 */
#ifndef AO_HOST_PROCESS_MARK_H
#define AO_HOST_PROCESS_MARK_H

#include "core/base.h"

#define PROCESS_MARK_MAX 160u

/* `unique` tells several users in one process from each other. Without a /proc the mark is that alone. */
void process_mark(uint64_t unique, char out[PROCESS_MARK_MAX]);
/* True: it surely runs no more. False: it runs, or nobody here can tell. */
bool process_mark_is_gone(const char *mark);

#endif
