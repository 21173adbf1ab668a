/*
 * The assembler's knowledge of whom the run is for. What the host says stands; where
 * it is silent, the agent's records tell: session and user ids of spans, and the
 * attributes tenant.* that agentobs.tenant() sets.
 */
#define _GNU_SOURCE
#include "core/json.h"
#include "core/mem.h"
#include "host/run/assemble_private.h"

static const char *host_says(const struct assembly *a, size_t key)
{
    return a->config.who ? a->config.who->values[key] : NULL;
}

const char *assembly_session_id(const struct assembly *a)
{
    const char *own = host_says(a, ATTRIBUTION_SESSION);
    return own ? own : a->session_id;
}

const char *assembly_user_id(const struct assembly *a)
{
    const char *own = host_says(a, ATTRIBUTION_USER);
    return own ? own : a->user_id;
}

const char *assembly_who(const struct assembly *a, enum store_who which)
{
    const char *own = host_says(a, ATTRIBUTION_WHO + (size_t)which);
    return own ? own : a->who[which];
}

const char *assembly_agent_session_id(const struct assembly *a)
{
    return a->agent_session_id;
}

void assembly_is_transcript(struct assembly *a)
{
    if (a->config.earlier)
        earlier_is_transcript(a->config.earlier);
}

/* ---- the root ---- */

static const char *known(const struct assembly *a, size_t key)
{
    return key == ATTRIBUTION_SESSION ? assembly_session_id(a)
           : key == ATTRIBUTION_USER  ? assembly_user_id(a)
                                      : assembly_who(a, (enum store_who)(key - ATTRIBUTION_WHO));
}

/* All that is known, as members of an object; "{}" when nothing is. */
static void add_known(const struct assembly *a, struct ao_buf *out)
{
    struct ao_jw w;
    const char *session = host_says(a, ATTRIBUTION_SESSION);
    ao_jw_init(&w, out);
    ao_jw_object_begin(&w);
    for (size_t i = 0; i < ATTRIBUTION_COUNT; i++)
        if (known(a, i))
            ao_jw_key_str(&w, attribution_names[i].attribute, ao_str_from(known(a, i)));
    if (session && a->agent_session_id && strcmp(session, a->agent_session_id) != 0)
        ao_jw_key_str(&w, "agentobs.agent_session_id", ao_str_from(a->agent_session_id));
    ao_jw_object_end(&w);
}

int assembly_root_attributes(struct assembly *a, struct ao_str object)
{
    struct entry *root = &a->entries[0];
    int err = assembly_touch_anyway(a, root);
    return err ? err : assembly_merge(a, &root->span.attributes, object);
}

int assembly_show_who(struct assembly *a)
{
    struct span *root = &a->entries[0].span;
    struct ao_buf object;
    ao_buf_init(&object, 64u * 1024);
    add_known(a, &object);
    int err = ao_buf_err(&object);
    if (!err && object.len > 2)
        err = assembly_merge(a, &root->attributes, ao_buf_str(&object));
    ao_buf_release(&object);
    if (!err)
        err = assembly_keep(a, &root->session_id, ao_str_from(assembly_session_id(a)));
    if (!err)
        err = assembly_keep(a, &root->user_id, ao_str_from(assembly_user_id(a)));
    if (!err && a->config.who)
        err = assembly_keep(a, &root->tags, ao_str_from(a->config.who->tags));
    return err;
}

/* ---- what records say ---- */

static const struct {
    const char *attribute;
    enum store_who which;
} said[] = {
    {"tenant.id", WHO_TENANT},
    {"agentobs.tenant", WHO_TENANT},
    {"tenant.team", WHO_TEAM},
    {"agentobs.team", WHO_TEAM},
    {"tenant.organization", WHO_ORGANIZATION},
    {"agentobs.organization", WHO_ORGANIZATION},
    {"tenant.unit", WHO_UNIT},
    {"tenant.business_unit", WHO_UNIT},
    {"agentobs.business_unit", WHO_UNIT},
    {"tenant.feature", WHO_FEATURE},
    {"agentobs.feature", WHO_FEATURE},
};

/* The content of a JSON string within the bound of a value; false for anything else. */
static bool text_of(struct ao_str raw, struct ao_buf *out)
{
    if (raw.len < 3 || raw.ptr[0] != '"' || raw.len > 6u * ATTRIBUTION_VALUE_MAX + 2)
        return false;
    ao_buf_clear(out);
    return ao_json_unescape((struct ao_str){raw.ptr + 1, raw.len - 2}, out) == AO_OK && out->len > 0 &&
           out->len <= ATTRIBUTION_VALUE_MAX;
}

static int take_said(struct assembly *a, struct ao_str key, struct ao_str raw, struct ao_buf *text)
{
    for (size_t i = 0; i < AO_ARRAY_LEN(said); i++) {
        if (!ao_str_eq_c(key, said[i].attribute) || assembly_who(a, said[i].which) || !text_of(raw, text))
            continue;
        return assembly_keep(a, &a->who[said[i].which], ao_buf_str(text));
    }
    return AO_OK;
}

/* Attributes under which people put the user's id: in clear they would undo the pseudonym. */
static bool names_user(struct ao_str key)
{
    static const char *const names[] = {"user.id", "enduser.id", "user_id", "userId", "langfuse.user.id"};
    for (size_t i = 0; i < AO_ARRAY_LEN(names); i++)
        if (ao_str_eq_c(key, names[i]))
            return true;
    return false;
}

static int add_pseudonym(struct assembly *a, struct ao_str key, struct ao_str raw, struct ao_buf *text,
                         struct ao_jw *changed)
{
    if (!names_user(key) || !text_of(raw, text))
        return AO_OK;
    char *shown = attribution_user(a->config.who, ao_buf_str(text));
    if (!shown)
        return AO_ERR_NOMEM;
    ao_jw_key(changed, key);
    ao_jw_str(changed, ao_str_from(shown));
    ao_free(shown);
    return AO_OK;
}

static bool mentions(struct ao_str object, const char *word)
{
    return memmem(object.ptr, object.len, word, strlen(word)) != NULL;
}

/* Looks through an object of a record; what names the user in clear is put anew into *target. */
static int look_through(struct assembly *a, struct ao_str object, char **target, bool attributes)
{
    bool hide = a->config.who && a->config.who->pseudonymise && mentions(object, "user");
    bool tells = attributes && (mentions(object, "\"tenant.") || mentions(object, "\"agentobs."));
    struct ao_buf text, changed;
    struct ao_jw w;
    struct ao_jr r;
    int err = AO_OK;
    if (!hide && !tells)
        return AO_OK;
    ao_buf_init(&text, 8u * ATTRIBUTION_VALUE_MAX);
    ao_buf_init(&changed, 64u * 1024);
    ao_jw_init(&w, &changed);
    ao_jw_object_begin(&w);
    ao_jr_init(&r, object);
    (void)ao_jr_next(&r);
    while (!err && ao_jr_next(&r) == AO_JSON_KEY) {
        struct ao_str key = r.text, raw;
        if (ao_jr_skip_value(&r, &raw))
            break;
        if (tells)
            err = take_said(a, key, raw, &text);
        if (!err && hide)
            err = add_pseudonym(a, key, raw, &text, &w);
    }
    ao_jw_object_end(&w);
    if (!err && hide && changed.len > 2)
        err = assembly_merge(a, target, ao_buf_str(&changed));
    ao_buf_release(&text);
    ao_buf_release(&changed);
    return err;
}

static int take_session(struct assembly *a, struct span *span, struct ao_str session)
{
    const char *own = host_says(a, ATTRIBUTION_SESSION);
    int err = AO_OK;
    if (!a->agent_session_id)
        err = assembly_keep(a, &a->agent_session_id, session);
    if (!err)
        err = assembly_keep(a, &span->session_id, own ? ao_str_from(own) : session);
    if (!err && !a->session_id)
        err = assembly_keep(a, &a->session_id, ao_str_from(span->session_id));
    return err;
}

static int take_user(struct assembly *a, struct span *span, struct ao_str user)
{
    const char *own = host_says(a, ATTRIBUTION_USER);
    char *shown = own || !a->config.who ? NULL : attribution_user(a->config.who, user);
    if (!own && a->config.who && !shown)
        return AO_ERR_NOMEM;
    int err = assembly_keep(a, &span->user_id, own ? ao_str_from(own) : shown ? ao_str_from(shown) : user);
    ao_free(shown);
    if (!err && !a->user_id)
        err = assembly_keep(a, &a->user_id, ao_str_from(span->user_id));
    return err;
}

int assembly_take_who(struct assembly *a, struct span *span, const struct ao_record *r)
{
    int err = AO_OK;
    if (AO_HAS(r, session_id) && r->session_id.len)
        err = take_session(a, span, r->session_id);
    if (!err && AO_HAS(r, user_id) && r->user_id.len)
        err = take_user(a, span, r->user_id);
    if (!err && AO_HAS(r, attributes))
        err = look_through(a, r->attributes, &span->attributes, true);
    if (!err && AO_HAS(r, metadata))
        err = look_through(a, r->metadata, &span->metadata, false);
    return err;
}

int assembly_cost_who(struct assembly *a, struct ao_str session_id, struct cost_item *item)
{
    const char *own = host_says(a, ATTRIBUTION_SESSION);
    struct ao_str agent = session_id.ptr ? session_id : ao_str_from(a->agent_session_id);
    item->root_id = a->config.root_id;
    int err = assembly_keep(a, &item->agent_session_id, agent);
    if (!err)
        err = assembly_keep(a, &item->session_id, own ? ao_str_from(own) : agent);
    if (!err)
        err = assembly_keep(a, &item->user_id, ao_str_from(assembly_user_id(a)));
    for (size_t i = 0; i < WHO_COUNT && !err; i++)
        err = assembly_keep(a, &item->who[i], ao_str_from(assembly_who(a, (enum store_who)i)));
    return err;
}
