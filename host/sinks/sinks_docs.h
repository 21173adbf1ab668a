/*
 * sinks_docs.h - the backends and their settings for people: the tables of docs/backends.md.
 */
#ifndef AO_HOST_SINKS_DOCS_H
#define AO_HOST_SINKS_DOCS_H

#include "core/buf.h"

/* Appends two tables in Markdown. The buffer's sticky error. */
int sinks_markdown(struct ao_buf *out);

#endif
