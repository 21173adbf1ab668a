#include "host/file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/err.h"
#include "core/mem.h"
#include "host/text.h"

int file_write_all(int fd, struct ao_str text)
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

int file_make_folders(char *path)
{
    for (char *slash = path[0] ? strchr(path + 1, '/') : NULL; slash; slash = strchr(slash + 1, '/')) {
        struct stat info;
        *slash = '\0';
        if (stat(path, &info) != 0 && mkdir(path, 0700) != 0 && errno != EEXIST)
            return AO_ERR_IO;
        *slash = '/';
    }
    return AO_OK;
}

void file_sync_folder(const char *path)
{
    char copy[PATH_MAX];
    int len = snprintf(copy, sizeof(copy), "%s", path);
    int fd = len > 0 && len < PATH_MAX ? open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        (void)fsync(fd);
        close(fd);
    }
}

/* The file behind the path, links followed; where there is none yet, the path itself (ao_free). */
static char *real_file(const char *path)
{
    char *resolved = realpath(path, NULL);
    char *copy = ao_strdup(ao_str_from(resolved ? resolved : path));
    free(resolved);
    return copy;
}

/* A file beside `file` that can take its place: its name (ao_free) and descriptor. */
static int make_beside(const char *file, char **ret_name, int *ret_fd)
{
    char *name = text_format("%s.XXXXXX", file);
    if (!name)
        return AO_ERR_NOMEM;
    int fd = mkostemp(name, O_CLOEXEC);
    if (fd < 0) {
        int failure = errno;
        ao_free(name);
        errno = failure;
        return AO_ERR_IO;
    }
    *ret_name = name;
    *ret_fd = fd;
    return AO_OK;
}

static mode_t usual_mode(void)
{
    mode_t mask = umask(0);
    (void)umask(mask);
    return 0666 & ~mask;
}

static int write_and_close(int fd, struct ao_str text)
{
    int err = file_write_all(fd, text);
    if (!err && fsync(fd))
        err = AO_ERR_IO;
    int failure = errno;
    if (close(fd) && !err)
        return AO_ERR_IO;
    errno = failure;
    return err;
}

static int replace(const char *file, struct ao_str text, mode_t mode)
{
    char *name = NULL;
    int fd = -1, err = make_beside(file, &name, &fd);
    if (err)
        return err;
    (void)fchmod(fd, mode == FILE_MODE_USUAL ? usual_mode() : mode);
    err = write_and_close(fd, text);
    if (!err && rename(name, file))
        err = AO_ERR_IO;
    int failure = errno;
    if (err)
        (void)unlink(name);
    else
        file_sync_folder(file);
    ao_free(name);
    errno = failure;
    return err;
}

int file_replace(const char *path, struct ao_str text, mode_t mode)
{
    char *file = real_file(path);
    int err = file ? replace(file, text, mode) : AO_ERR_NOMEM;
    int failure = errno;
    ao_free(file);
    errno = failure;
    return err;
}

int file_check_replace(const char *path)
{
    char *file = real_file(path), *name = NULL;
    int fd = -1, err = file ? make_beside(file, &name, &fd) : AO_ERR_NOMEM, failure = errno;
    if (!err) {
        close(fd);
        (void)unlink(name);
    }
    ao_free(name);
    ao_free(file);
    errno = failure;
    return err;
}
