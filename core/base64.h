/* base64.h - standard base64 with padding (RFC 4648, section 4). */
#ifndef AO_BASE64_H
#define AO_BASE64_H

#include "core/base.h"
#include "core/buf.h"

void ao_base64_encode(const uint8_t *bytes, size_t len, struct ao_buf *out);
/* AO_ERR_SYNTAX on a foreign character, bad length or misplaced padding; else the buffer's sticky error. */
int ao_base64_decode(struct ao_str text, struct ao_buf *out);

#endif
