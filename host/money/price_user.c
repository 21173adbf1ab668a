#include "host/money/price_user.h"

#include <errno.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/mem.h"
#include "host/file.h"
#include "host/money/price_table.h"
#include "host/text.h"
#include "host/xdg.h"

char *price_user_path(void)
{
    return xdg_path("XDG_CONFIG_HOME", "/.config", "/agentobs/prices.json");
}

/* ---- reading ---- */

int price_user_load(struct ao_price_table *ret_table, char **ret_error)
{
    *ret_error = NULL;
    char *path = price_user_path();
    if (!path)
        return AO_ERR_NOTFOUND;
    int err = price_table_load(path, ret_table, ret_error);
    ao_free(path);
    if (err == AO_ERR_NOTFOUND) {
        ao_free(*ret_error);
        *ret_error = NULL;
    }
    return err;
}

/* Tells with the reason how to go on without the table. */
static void add_mend(char **error)
{
    if (!*error)
        return;
    char *longer = text_format("%s; mend it, or take it away with: agentobs-host prices --remove", *error);
    ao_free(*error);
    *error = longer;
}

int price_table_standard(struct ao_price_table *ret_table, char **ret_error)
{
    struct ao_price_table table, over;
    *ret_error = NULL;
    ao_price_table_init(&table);
    ao_price_table_init(&over);
    int err = price_table_builtin(&table, ret_error);
    if (!err) {
        err = price_user_load(&over, ret_error);
        if (err == AO_ERR_NOTFOUND)
            err = AO_OK;
        else if (err)
            add_mend(ret_error);
        else
            err = price_table_override(&table, &over);
    }
    ao_price_table_release(&over);
    if (err)
        ao_price_table_release(&table);
    else
        *ret_table = table;
    return err;
}

/* ---- writing ---- */

static int fail(char **ret_error, const char *what, const char *path)
{
    int why = errno;
    *ret_error = text_format("price table %s: %s: %s", path, what, strerror(why));
    return AO_ERR_IO;
}

/* Of a folder that cannot be made the path names that one. */
static int install(char *path, struct ao_str text, char **ret_error)
{
    int err = file_make_folders(path);
    if (err)
        return fail(ret_error, "cannot make this folder", path);
    err = file_replace(path, text, 0600);
    return err == AO_ERR_IO ? fail(ret_error, "cannot be replaced", path) : err;
}

int price_user_install(const char *from, struct ao_price_table *ret_table, char **ret_error)
{
    struct ao_price_table table;
    struct ao_buf text;
    ao_price_table_init(&table);
    int err = price_table_read(from, &text, ret_error);
    if (!err)
        err = price_table_parse(ao_buf_str(&text), from, &table, ret_error);
    char *path = err ? NULL : price_user_path();
    if (!err && !path) {
        *ret_error = text_format("no home to keep a price table in: set HOME or XDG_CONFIG_HOME");
        err = AO_ERR_USAGE;
    }
    if (!err)
        err = install(path, ao_buf_str(&text), ret_error);
    ao_free(path);
    ao_buf_release(&text);
    if (err)
        ao_price_table_release(&table);
    else
        *ret_table = table;
    return err;
}

int price_user_remove(char **ret_error)
{
    *ret_error = NULL;
    char *path = price_user_path();
    if (!path)
        return AO_ERR_NOTFOUND;
    int err = AO_OK;
    if (unlink(path))
        err = errno == ENOENT || errno == ENOTDIR ? AO_ERR_NOTFOUND : fail(ret_error, "cannot be removed", path);
    else
        file_sync_folder(path);
    ao_free(path);
    return err;
}
