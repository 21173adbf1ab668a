#include "csrc/mask.h"

#include "core/redact.h"

void ao_mask_record(void *custom, struct ao_buf *json, size_t text_at)
{
    struct ao_buf masked;
    if (!ao_redact_needed_with(custom, (struct ao_str){json->data + text_at, json->len - text_at}))
        return;
    ao_buf_init(&masked, json->max);
    int err = ao_redact_with(custom, ao_buf_str(json), &masked, NULL);
    if (err) {
        json->err = err;
        ao_buf_release(&masked);
        return;
    }
    ao_buf_release(json);
    *json = masked;
}
