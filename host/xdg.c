#include "host/xdg.h"

#include <pwd.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/mem.h"

#define XDG_PATH_MAX 4096u

/* $HOME, else what the system knows of the user; NULL when neither is an absolute path. */
static const char *home_folder(void)
{
    const char *home = getenv("HOME");
    const struct passwd *user = home && home[0] == '/' ? NULL : getpwuid(getuid());
    if (user)
        home = user->pw_dir;
    return home && home[0] == '/' ? home : NULL;
}

char *xdg_path(const char *variable, const char *fallback, const char *file)
{
    struct ao_buf path;
    ao_buf_init(&path, XDG_PATH_MAX);
    const char *base = getenv(variable);
    if (base && base[0] == '/') { /* a relative one is to be ignored */
        ao_buf_add_cstr(&path, base);
    } else {
        const char *home = home_folder();
        if (!home)
            return NULL;
        ao_buf_add_cstr(&path, home);
        ao_buf_add_cstr(&path, fallback);
    }
    ao_buf_add_cstr(&path, file);
    char *text = ao_buf_detach(&path, NULL);
    ao_buf_release(&path);
    return text;
}
