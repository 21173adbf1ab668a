#include "host/sinks/env_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/mem.h"
#include "host/sinks/env_parse.h"
#include "host/text.h"

static void wipe_free(char *secret)
{
    if (secret)
        explicit_bzero(secret, strlen(secret));
    ao_free(secret);
}

void env_list_release(struct env_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        ao_free(list->entries[i].key);
        wipe_free(list->entries[i].value);
    }
    ao_free(list->entries);
    ao_free(list->path);
    *list = (struct env_list){0};
}

const struct env_entry *env_list_find(const struct env_list *list, const char *key)
{
    for (size_t i = list->count; i-- > 0;)
        if (strcmp(list->entries[i].key, key) == 0)
            return &list->entries[i];
    return NULL;
}

/* Takes over `value`. */
static int add_entry(struct env_list *list, struct ao_str key, char *value, unsigned line)
{
    struct env_entry *entries = ao_realloc(list->entries, (list->count + 1) * sizeof(*entries));
    if (entries)
        list->entries = entries;
    char *copy = entries ? ao_strdup(key) : NULL;
    if (!copy) {
        wipe_free(value);
        return AO_ERR_NOMEM;
    }
    entries[list->count++] = (struct env_entry){copy, value, line};
    return AO_OK;
}

static int parse_all(struct env_list *list, struct ao_str text, env_wanted_fn *wanted, char **ret_error)
{
    struct env_parser parser;
    struct env_assignment found;
    struct ao_buf value;
    int more;
    env_parser_init(&parser, text);
    ao_buf_init(&value, ENV_FILE_MAX);
    while ((more = env_parser_next(&parser, &value, &found)) > 0) {
        char key[ENV_KEY_MAX + 1];
        memcpy(key, found.key.ptr, found.key.len);
        key[found.key.len] = '\0';
        if (wanted && !wanted(key))
            continue;
        struct ao_str plain = ao_buf_str(&value);
        char *copy = ao_strndup(plain.ptr, plain.len);
        more = copy ? add_entry(list, found.key, copy, found.line) : AO_ERR_NOMEM;
        if (more)
            break;
    }
    if (value.data)
        explicit_bzero(value.data, value.cap);
    ao_buf_release(&value);
    if (more == AO_ERR_SYNTAX)
        *ret_error = text_format("%s:%u: %s", list->path, parser.line, parser.problem);
    return more;
}

int env_list_parse(const char *path, struct ao_str text, env_wanted_fn *wanted, struct env_list *ret_list,
                   char **ret_error)
{
    struct env_list list = {.path = ao_strdup(ao_str_from(path))};
    char *error = NULL;
    int err = list.path ? parse_all(&list, text, wanted, &error) : AO_ERR_NOMEM;
    if (err) {
        env_list_release(&list);
        *ret_error = error;
        return err;
    }
    *ret_list = list;
    return AO_OK;
}

/* Reads at most ENV_FILE_MAX bytes; AO_ERR_LIMIT when there are more. */
static int read_fd(int fd, struct ao_buf *out)
{
    for (;;) {
        char piece[8192];
        ssize_t got = read(fd, piece, sizeof(piece));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return AO_ERR_IO;
        if (got == 0)
            return ao_buf_err(out);
        ao_buf_add(out, piece, (size_t)got);
        explicit_bzero(piece, sizeof(piece));
        if (ao_buf_err(out))
            return ao_buf_err(out);
    }
}

/* A path that is no regular file (a FIFO would block, a folder is a mistake) is AO_ERR_IO with errno EINVAL. */
static int read_file(const char *path, struct ao_buf *out)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return errno == ENOENT || errno == ENOTDIR ? AO_ERR_NOTFOUND : AO_ERR_IO;
    int err = fstat(fd, &status) ? AO_ERR_IO : AO_OK;
    if (!err && !S_ISREG(status.st_mode)) {
        errno = EINVAL;
        err = AO_ERR_IO;
    }
    if (!err)
        err = read_fd(fd, out);
    int saved = errno;
    close(fd);
    errno = saved;
    return err;
}

int env_list_load(const char *path, env_wanted_fn *wanted, struct env_list *ret_list, char **ret_error)
{
    struct ao_buf text;
    ao_buf_init(&text, ENV_FILE_MAX);
    int err = read_file(path, &text);
    if (err == AO_ERR_IO)
        *ret_error = text_format("%s cannot be read: %s", path,
                                 errno == EINVAL ? "it is not a regular file" : strerror(errno));
    else if (err == AO_ERR_LIMIT)
        *ret_error = text_format("%s is larger than 1 MiB: that is no file of settings", path);
    else if (err == AO_ERR_NOMEM)
        *ret_error = NULL;
    else if (!err)
        err = env_list_parse(path, ao_buf_str(&text), wanted, ret_list, ret_error);
    if (text.data)
        explicit_bzero(text.data, text.cap);
    ao_buf_release(&text);
    return err;
}

static int load_if_there(const char *folder, const char *name, env_wanted_fn *wanted, struct env_list *ret_list,
                         char **ret_error)
{
    bool slash = *folder && folder[strlen(folder) - 1] == '/';
    char *path = text_format("%s%s%s", folder, slash ? "" : "/", name);
    if (!path) {
        *ret_error = NULL;
        return AO_ERR_NOMEM;
    }
    int err = env_list_load(path, wanted, ret_list, ret_error);
    ao_free(path);
    return err;
}

/* From `folder` (an absolute path, changed here) upwards. */
static int load_upwards(char *folder, const char *name, env_wanted_fn *wanted, struct env_list *ret_list,
                        char **ret_error)
{
    for (size_t i = 0; i < ENV_PARENTS_MAX; i++) {
        int err = load_if_there(folder, name, wanted, ret_list, ret_error);
        if (err != AO_ERR_NOTFOUND)
            return err;
        char *slash = strrchr(folder, '/');
        if (!slash || !slash[1])
            return AO_OK;
        slash[slash == folder ? 1 : 0] = '\0';
    }
    return AO_OK;
}

int env_load(const char *folder, env_wanted_fn *wanted, struct env *ret_env, char **ret_error)
{
    struct env env = {0};
    char here[PATH_MAX];
    *ret_error = NULL;
    /* Without a working directory (it was removed) there are no files either. */
    if (!realpath(folder ? folder : ".", here)) {
        *ret_env = env;
        return AO_OK;
    }
    int err = load_if_there(here, ".env", wanted, &env.dotenv, ret_error);
    if (err == AO_OK || err == AO_ERR_NOTFOUND)
        err = load_upwards(here, ".env.braintrust", wanted, &env.braintrust, ret_error);
    if (err) {
        env_release(&env);
        return err;
    }
    *ret_env = env;
    return AO_OK;
}

void env_release(struct env *env)
{
    env_list_release(&env->braintrust);
    env_list_release(&env->dotenv);
}

static bool is_blank(const char *text)
{
    return text[strspn(text, " \t\r\n\f\v")] == '\0';
}

bool env_get(const struct env *env, const char *key, struct env_value *ret_value)
{
    const struct env_list *const lists[] = {&env->braintrust, &env->dotenv};
    const char *text = getenv(key);
    if (text && !is_blank(text)) {
        *ret_value = (struct env_value){text, NULL, 0};
        return true;
    }
    for (size_t i = 0; i < AO_ARRAY_LEN(lists); i++) {
        const struct env_entry *entry = env_list_find(lists[i], key);
        if (entry && !is_blank(entry->value)) {
            *ret_value = (struct env_value){entry->value, lists[i]->path, entry->line};
            return true;
        }
    }
    return false;
}
