/* xdg.h - where a user's files lie (XDG Base Directory Specification 0.8). */
#ifndef AO_HOST_XDG_H
#define AO_HOST_XDG_H

/*
 * The folder that `variable` names ("XDG_DATA_HOME"), else the home folder with `fallback` ("/.local/share"),
 * and `file` ("/agentobs/agentobs.db") behind it. NULL when there is no home or no memory (ao_free).
 */
char *xdg_path(const char *variable, const char *fallback, const char *file);

#endif
