/*
 * file.h - files that others rely on: replaced as a whole or not at all.
 *
 * Errors: AO_ERR_IO, errno tells; AO_ERR_NOMEM.
 */
#ifndef AO_HOST_FILE_H
#define AO_HOST_FILE_H

#include <sys/types.h>

#include "core/base.h"

int file_write_all(int fd, struct ao_str text);

/* Makes the folders (0700) that are missing above the file. On failure the path is cut: to the folder that cannot be made. */
int file_make_folders(char *path);

#define FILE_MODE_USUAL ((mode_t)0) /* as the umask says */
/*
 * Writes a temporary file beside it, syncs, renames, syncs the folder: after a crash there is the old or the new one. Of
 * a link the target is replaced, and not the link.
 */
int file_replace(const char *path, struct ao_str text, mode_t mode);
/* Whether file_replace can work: a file is made beside and removed, as rights do not tell all (a read-only or odd file system). */
int file_check_replace(const char *path);
/* So that a name that was made or taken away survives a crash; a file system that cannot is left alone. */
void file_sync_folder(const char *path);

#endif
