/*
 * braintrust_slug.h - Braintrust's exported spans (SpanComponents V3 and V4):
 * what an SDK hands to another process as the parent of its spans.
 */
#ifndef AO_BRAINTRUST_SLUG_H
#define AO_BRAINTRUST_SLUG_H

#include "core/base.h"
#include "core/buf.h"
#include "core/limits.h"

enum ao_bt_object {
    AO_BT_EXPERIMENT = 1,
    AO_BT_PROJECT_LOGS = 2,
    AO_BT_PLAYGROUND_LOGS = 3,
};

/* All strings are NUL-terminated, empty when absent. */
struct ao_bt_parent {
    enum ao_bt_object object_type;
    char object_id[AO_NAME_MAX + 1];
    char project_name[AO_NAME_MAX + 1]; /* of compute_object_metadata_args */
    char project_id[AO_NAME_MAX + 1];
    char row_id[AO_NAME_MAX + 1];
    char span_id[AO_NAME_MAX + 1];      /* 16 hex, or a UUID from older SDKs */
    char root_span_id[AO_NAME_MAX + 1]; /* 32 hex, or a UUID */
    bool has_propagated_event;
};

/*
 * Understands the value of BRAINTRUST_TRACE_CONTEXT: a slug (base64), the same
 * wrapped as a JSON string, or a JSON object with the slug's own keys
 * (object_type as number or name, object_id, row_id, span_id, root_span_id,
 * compute_object_metadata_args). AO_ERR_SYNTAX, AO_ERR_UNSUPPORTED (version),
 * AO_ERR_LIMIT.
 */
int ao_bt_parent_parse(struct ao_str text, struct ao_bt_parent *ret_parent);
/* A V4 slug for this parent. */
int ao_bt_parent_format(const struct ao_bt_parent *parent, struct ao_buf *out);
/*
 * "project_id:X", "project_name:X", "experiment_id:X" or "playground_id:X", the
 * form that x-bt-parent and the baggage member braintrust.parent carry.
 */
int ao_bt_parent_container(const struct ao_bt_parent *parent, struct ao_buf *out);

#endif
