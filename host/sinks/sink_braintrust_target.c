#include "core/context.h"
#include "core/mem.h"
#include "core/trace_context.h"
#include "host/sinks/sink_braintrust_private.h"
#include "host/text.h"

void bt_target_release(struct bt_target *target)
{
    ao_free(target->text);
    ao_free(target->id);
    ao_free(target->name);
    ao_free(target->root_span_id);
    ao_free(target->parent_span_id);
    *target = (struct bt_target){0};
}

static int copy(const char *text, char **ret_copy)
{
    *ret_copy = text && *text ? ao_strdup(ao_str_from(text)) : NULL;
    return text && *text && !*ret_copy ? AO_ERR_NOMEM : AO_OK;
}

static int take_id(const char *id, enum ao_bt_object object, struct bt_target *target)
{
    if (!bt_is_uuid(ao_str_from(id)))
        return AO_ERR_SYNTAX;
    target->object = object;
    target->state = BT_TARGET_READY;
    return copy(id, &target->id);
}

static int take_name(const char *name, struct bt_target *target)
{
    if (!*name)
        return AO_ERR_SYNTAX;
    target->object = AO_BT_PROJECT_LOGS;
    target->state = BT_TARGET_NAMED;
    return copy(name, &target->name);
}

/* 1: `text` is no container. */
static int take_container(const char *text, struct bt_target *target)
{
    static const struct {
        const char *prefix;
        enum ao_bt_object object;
    } kinds[] = {{"project_id:", AO_BT_PROJECT_LOGS},
                 {"experiment_id:", AO_BT_EXPERIMENT},
                 {"playground_id:", AO_BT_PLAYGROUND_LOGS}};
    for (size_t i = 0; i < AO_ARRAY_LEN(kinds); i++) {
        size_t len = strlen(kinds[i].prefix);
        if (strncmp(text, kinds[i].prefix, len) == 0)
            return take_id(text + len, kinds[i].object, target);
    }
    return strncmp(text, "project_name:", 13) == 0 ? take_name(text + 13, target) : 1;
}

static int take_slug(const char *text, struct bt_target *target)
{
    struct ao_bt_parent parent;
    struct ao_span_id hex;
    int err = ao_bt_parent_parse(ao_str_from(text), &parent);
    if (err)
        return err == AO_ERR_NOMEM ? err : AO_ERR_SYNTAX;
    if (parent.object_id[0])
        err = take_id(parent.object_id, parent.object_type, target);
    else if (parent.project_id[0])
        err = take_id(parent.project_id, AO_BT_PROJECT_LOGS, target);
    else
        err = take_name(parent.project_name, target);
    if (err || !parent.span_id[0] || ao_span_id_parse(ao_str_from(parent.span_id), &hex) == AO_OK)
        return err;
    err = copy(parent.root_span_id, &target->root_span_id);
    return err ? err : copy(parent.span_id, &target->parent_span_id);
}

int bt_target_parse(const char *text, struct bt_target *ret_target)
{
    struct bt_target target = {0};
    int err = copy(text, &target.text);
    if (!err)
        err = take_container(text, &target);
    if (err == 1)
        err = take_slug(text, &target);
    if (err) {
        bt_target_release(&target);
        return err;
    }
    *ret_target = target;
    return AO_OK;
}

void bt_targets_trim(struct braintrust *bt)
{
    if (bt->target_count <= BT_TARGETS_KEPT)
        return;
    while (bt->target_count > 1)
        bt_target_release(&bt->targets[--bt->target_count]);
    bt->trace_count = 0;
}

int bt_target_of(struct braintrust *bt, const struct run *run, size_t *ret_index)
{
    const char *text = run ? run->braintrust_parent : NULL;
    *ret_index = 0;
    if (!text || !*text)
        return AO_OK;
    for (size_t i = 0; i < bt->target_count; i++) {
        if (strcmp(bt->targets[i].text, text) == 0) {
            *ret_index = i;
            return AO_OK;
        }
    }
    if (bt->target_count == BT_TARGETS_MAX)
        return AO_ERR_LIMIT;
    struct bt_target target;
    int err = bt_target_parse(text, &target);
    if (err == AO_ERR_SYNTAX) {
        target = (struct bt_target){.state = BT_TARGET_DENIED};
        err = copy(text, &target.text);
    }
    if (err)
        return err;
    *ret_index = bt->target_count++;
    bt->targets[*ret_index] = target;
    return AO_OK;
}

void bt_remember_trace(struct braintrust *bt, const struct ao_trace_id *trace_id, size_t target)
{
    size_t known = bt->trace_count < BT_TRACES_MAX ? bt->trace_count : BT_TRACES_MAX;
    for (size_t i = 0; i < known; i++) {
        if (ao_trace_id_eq(&bt->traces[i].trace_id, trace_id)) {
            bt->traces[i].target = target;
            return;
        }
    }
    bt->traces[bt->trace_count++ % BT_TRACES_MAX] = (struct bt_trace){*trace_id, target};
}

/* ---- links ---- */

static const struct bt_target *target_of_trace(const struct braintrust *bt, const struct ao_trace_id *trace_id)
{
    size_t known = bt->trace_count < BT_TRACES_MAX ? bt->trace_count : BT_TRACES_MAX;
    for (size_t i = 0; i < known; i++)
        if (ao_trace_id_eq(&bt->traces[i].trace_id, trace_id))
            return &bt->targets[bt->traces[i].target];
    return &bt->targets[0];
}

static void add_encoded(struct ao_buf *out, const char *text)
{
    if (ao_percent_encode(ao_str_from(text), out) && !ao_buf_err(out))
        out->err = AO_ERR_SYNTAX;
}

static void add_object_link(struct ao_buf *out, const struct bt_target *target, const char *span)
{
    const char *type = target->object == AO_BT_EXPERIMENT        ? "experiment"
                       : target->object == AO_BT_PLAYGROUND_LOGS ? "playground_logs"
                                                                 : "project_logs";
    ao_buf_add_cstr(out, "/object?object_type=");
    ao_buf_add_cstr(out, type);
    ao_buf_add_cstr(out, "&object_id=");
    add_encoded(out, target->id);
    ao_buf_add_cstr(out, "&id=");
    ao_buf_add_cstr(out, span);
}

static void add_logs_link(struct ao_buf *out, const struct bt_target *target, const char *root, const char *span)
{
    ao_buf_add_cstr(out, "/p/");
    add_encoded(out, target->name);
    ao_buf_add_cstr(out, "/logs?r=");
    add_encoded(out, target->root_span_id ? target->root_span_id : root);
    ao_buf_add_cstr(out, "&s=");
    ao_buf_add_cstr(out, span);
}

char *bt_trace_url(struct sink *sink, const struct ao_trace_id *trace_id, const struct ao_span_id *root_id)
{
    const struct braintrust *bt = (const struct braintrust *)sink;
    const struct bt_target *target = target_of_trace(bt, trace_id);
    const char *org = bt->org_name ? bt->org_name : bt->wanted_org;
    char root[AO_TRACE_ID_HEX + 1], span[AO_SPAN_ID_HEX + 1];
    struct ao_buf url;
    if (target->state == BT_TARGET_DENIED)
        target = &bt->targets[0];
    if (!org || (!target->name && !target->id))
        return NULL;
    ao_trace_id_format(trace_id, root);
    ao_span_id_format(root_id, span);
    ao_buf_init(&url, 16384);
    ao_buf_add_cstr(&url, bt->public_url);
    ao_buf_add_cstr(&url, "/app/");
    add_encoded(&url, org);
    if (target->name && target->object == AO_BT_PROJECT_LOGS)
        add_logs_link(&url, target, root, span);
    else
        add_object_link(&url, target, span);
    char *text = ao_buf_detach(&url, NULL);
    ao_buf_release(&url);
    return text;
}
