/* random.h - the host's randomness, from OpenSSL. */
#ifndef AO_HOST_RANDOM_H
#define AO_HOST_RANDOM_H

#include "core/id.h"
#include "core/limits.h"

/* Fills; AO_ERR_IO when the system has no randomness to give. */
int random_bytes(void *out, size_t len);
/* Seeds a generator for ids. */
int random_prng(struct ao_prng *ret_prng);
/* A stream key: AO_KEY_LEN hex digits and a NUL. */
int random_key(char out[AO_KEY_LEN + 1]);

#endif
