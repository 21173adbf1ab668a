#include "host/money/price_user.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/mem.h"
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

static int make_folders(char *path, char **ret_error)
{
    int err = AO_OK;
    for (char *slash = strchr(path + 1, '/'); slash && !err; slash = strchr(slash + 1, '/')) {
        struct stat info;
        *slash = '\0';
        if (stat(path, &info) != 0 && mkdir(path, 0700) != 0 && errno != EEXIST)
            err = fail(ret_error, "cannot make this folder", path);
        *slash = '/';
    }
    return err;
}

static int write_all(int fd, struct ao_str text)
{
    while (text.len) {
        ssize_t wrote = write(fd, text.ptr, text.len);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0)
            return AO_ERR_IO;
        text = (struct ao_str){text.ptr + wrote, text.len - (size_t)wrote};
    }
    return AO_OK;
}

/* So that the new name survives a crash, too; a file system that cannot is none of our business. */
static void sync_folder(char *path)
{
    char *slash = strrchr(path, '/');
    *slash = '\0';
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    *slash = '/';
    if (fd >= 0) {
        (void)fsync(fd);
        close(fd);
    }
}

static int replace_file(char *path, struct ao_str text, char **ret_error)
{
    char *beside = text_format("%s.%ld.tmp", path, (long)getpid());
    if (!beside)
        return AO_ERR_NOMEM;
    (void)unlink(beside); /* what a crash of a process with this number left */
    int fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    int err = fd < 0 ? fail(ret_error, "cannot be made", beside) : AO_OK;
    if (!err && (write_all(fd, text) || fsync(fd)))
        err = fail(ret_error, "cannot be written", beside);
    if (fd >= 0 && close(fd) && !err)
        err = fail(ret_error, "cannot be written", beside);
    if (!err && rename(beside, path))
        err = fail(ret_error, "cannot be replaced", path);
    if (!err)
        sync_folder(path);
    else if (fd >= 0)
        (void)unlink(beside);
    ao_free(beside);
    return err;
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
        err = make_folders(path, ret_error);
    if (!err)
        err = replace_file(path, ao_buf_str(&text), ret_error);
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
        sync_folder(path);
    ao_free(path);
    return err;
}
