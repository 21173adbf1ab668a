/*
 * fault_vfs.h - a shim over SQLite's own VFS that makes the N-th change of a file fail.
 *
 * Counted: opening for writing, writes, syncs, truncations, and the mapping of shared
 * memory. Registered as the default VFS, it is under every store that is opened.
 */
#ifndef FAULT_VFS_H
#define FAULT_VFS_H

#include <stdbool.h>

/* Registers the shim; once a program. */
void fault_vfs_install(void);
/* The nth change from now fails with `code`; with `persistent` all later ones too. nth 0: none. */
void fault_vfs_arm(unsigned long nth, bool persistent, int code);
/* Whether one has failed since it was armed. */
bool fault_vfs_fired(void);

#endif
