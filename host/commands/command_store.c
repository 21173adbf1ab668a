#include "host/commands/command_store.h"

#include "core/mem.h"
#include "host/exit_codes.h"
#include "host/view/console.h"

#define BUSY_MS 5000u

/* What the user can mend by naming another file or moving this one is bad input. */
static int exit_code(int err)
{
    switch (err) {
    case AO_ERR_NOTFOUND:
    case AO_ERR_RANGE:
    case AO_ERR_CORRUPT:
    case AO_ERR_UNSUPPORTED:
    case AO_ERR_USAGE:
        return AO_EXIT_USAGE;
    default:
        return AO_EXIT_FAILURE;
    }
}

struct store *command_open_store(const char *path, enum store_mode mode, int *ret_exit)
{
    char *own = path ? NULL : store_default_path();
    struct store *store = NULL;
    char *error = NULL;
    if (!path && !own) {
        console_say("no place for the store is known: set HOME or XDG_DATA_HOME, or give --store PATH");
        *ret_exit = AO_EXIT_USAGE;
        return NULL;
    }
    int err = store_open(path ? path : own, mode, BUSY_MS, &store, &error);
    if (err) {
        console_say_text(error ? error : ao_err_text(err));
        *ret_exit = exit_code(err);
    }
    ao_free(error);
    ao_free(own);
    return store;
}

int command_find_run(struct store *store, const char *which, struct run *ret_run)
{
    int err = store_find_run(store, which, ret_run);
    if (err == AO_ERR_NOTFOUND && strcmp(which, "last") == 0) {
        console_say("no runs yet; agentobs-host run -- COMMAND makes one");
        return AO_EXIT_USAGE;
    }
    return err ? command_store_failed(store, err) : AO_EXIT_OK;
}

int command_store_failed(const struct store *store, int err)
{
    console_say_text(err == AO_ERR_NOMEM ? ao_err_text(err) : store_error(store));
    return exit_code(err);
}
