/* command_store.h - what commands that only read the store have in common. */
#ifndef AO_HOST_COMMAND_STORE_H
#define AO_HOST_COMMAND_STORE_H

#include "host/store/store.h"

/*
 * Opens the store at `path` (NULL: the default one). On failure the sentence goes to stderr and *ret_exit is the
 * exit code: AO_EXIT_USAGE for a store that is not there or not usable, AO_EXIT_FAILURE otherwise.
 */
struct store *command_open_store(const char *path, enum store_mode mode, int *ret_exit);
/* The run that `which` means (store_find_run), or a sentence on stderr; returns the exit code. Release it after AO_EXIT_OK. */
int command_find_run(struct store *store, const char *which, struct run *ret_run);
/* Prints the store's last error, or that memory is short, on stderr and returns the exit code for it. */
int command_store_failed(const struct store *store, int err);

#endif
