/*
 * store_requeue.h - a second chance for what a sink refused.
 */
#ifndef AO_HOST_STORE_REQUEUE_H
#define AO_HOST_STORE_REQUEUE_H

#include "host/store/store.h"

/*
 * Puts what the sink refused (store_quarantine) to the end of the log again and
 * empties its quarantine, in one transaction. Other sinks get these changes once
 * more too, which is harmless: they write by id; those that take a span once do not. Errors as in store.h.
 */
int store_requeue(struct store *store, const char *sink, uint64_t *ret_count);
/* How much is in the quarantine of this sink. */
int store_quarantined(struct store *store, const char *sink, uint64_t *ret_count);

#endif
