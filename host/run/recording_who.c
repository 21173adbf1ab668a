/* Whom a recording is for, and the session that it continues. */
#include "core/mem.h"
#include "host/clock.h"
#include "host/run/recording_private.h"

#define SESSION_IDLE_NS (30 * 60 * CLOCK_SECOND) /* after so long without a run a session's trace is closed */

int recording_take_who(struct recording *r, const struct recording_config *config, char **ret_error)
{
    struct ao_str baggage = config->context ? ao_buf_str(&config->context->baggage) : AO_STR_NONE;
    int err = attribution_init(&r->who, &r->settings->options.who, baggage, ret_error);
    if (!err && config->run)
        err = attribution_inherit(&r->who, config->run);
    for (size_t i = 0; i < ATTRIBUTION_COUNT && !err; i++)
        err = recording_set_masked(r, &r->who.values[i], r->who.values[i]);
    if (!err)
        err = recording_set_masked(r, &r->who.tags, r->who.tags);
    return err;
}

static int set(char **target, const char *text)
{
    char *copy = text ? ao_strdup(ao_str_from(text)) : NULL;
    if (text && !copy)
        return AO_ERR_NOMEM;
    if (text) {
        ao_free(*target);
        *target = copy;
    }
    return AO_OK;
}

/* What is handed to the agent names whom it works for. */
static int set_baggage(struct recording *r)
{
    struct ao_buf baggage;
    ao_buf_init(&baggage, AO_BAGGAGE_MAX + 1);
    int err = attribution_baggage(&r->who, ao_buf_str(&r->context.baggage), &baggage);
    if (!err) {
        ao_buf_clear(&r->context.baggage);
        ao_buf_add_str(&r->context.baggage, ao_buf_str(&baggage));
        err = ao_buf_err(&r->context.baggage);
    }
    ao_buf_release(&baggage);
    return err;
}

static int name_run(struct recording *r)
{
    int err = set(&r->run.session_id, r->who.values[ATTRIBUTION_SESSION]);
    if (!err)
        err = set(&r->run.user_id, r->who.values[ATTRIBUTION_USER]);
    for (size_t i = 0; i < WHO_COUNT && !err; i++)
        err = set(&r->run.who[i], r->who.values[ATTRIBUTION_WHO + i]);
    return err;
}

/* ---- the session ---- */

static bool is_active(struct recording *r, const struct run *run, uint64_t now)
{
    uint64_t last = run->end > run->start ? run->end : run->start, activity = 0;
    /* A run without an end may still go on, or was lost: its spans tell. */
    if (run->end == 0 && store_last_activity(r->store, &run->trace_id, &activity) == AO_OK && activity > last)
        last = activity;
    return now < last || now - last <= SESSION_IDLE_NS;
}

/* The new run becomes a part of the earlier one's trace, below its first root. */
static int join(struct recording *r, const struct run *before)
{
    struct run first;
    int err = store_first_run(r->store, &before->trace_id, &first);
    if (err)
        return err == AO_ERR_NOMEM ? err : AO_OK;
    r->run.trace_id = first.trace_id;
    r->context.parent_id = first.root_id;
    r->adopt_trace = false;
    run_release(&first);
    return AO_OK;
}

/* Only a run that has no other place can join: no incoming trace, not opened before, not a file that may be read again. */
static bool may_join(const struct recording *r, const struct recording_config *config)
{
    bool placed = config->context && config->context->source != AO_CONTEXT_NEW;
    return r->who.style == SESSION_TRACE && !placed && !config->run && !config->identity.ptr;
}

static int find_previous(struct recording *r, struct run *ret_run)
{
    if (!r->store || r->in_memory || !r->run.session_id)
        return AO_ERR_NOTFOUND;
    return store_session_run(r->store, r->run.session_id, &r->run.root_id, r->run.start, ret_run);
}

static int open_session(struct recording *r, const struct recording_config *config)
{
    struct run before;
    r->session_asked = r->run.session_id != NULL;
    int err = find_previous(r, &before);
    if (err)
        return err == AO_ERR_NOMEM ? err : AO_OK;
    if (may_join(r, config) && is_active(r, &before, config->now))
        err = join(r, &before);
    if (!ao_trace_id_eq(&before.trace_id, &r->run.trace_id))
        r->previous_trace = before.trace_id;
    run_release(&before);
    return err;
}

int recording_open_who(struct recording *r, const struct recording_config *config)
{
    int err = name_run(r);
    if (!err)
        err = set_baggage(r);
    if (!err)
        err = open_session(r, config);
    if (err || !r->store || r->in_memory)
        return err;
    struct earlier_config earlier = {
        .store = r->store,
        .root_id = r->run.root_id,
        .session_id = r->who.values[ATTRIBUTION_SESSION],
        .seed = ao_prng_next(&r->prng),
    };
    return earlier_new(&earlier, &r->earlier);
}

int recording_show_previous(struct recording *r)
{
    struct ao_buf object;
    if (ao_trace_id_is_zero(&r->previous_trace))
        return AO_OK;
    ao_buf_init(&object, 128);
    ao_buf_add_cstr(&object, "{\"agentobs.previous_trace_id\":\"");
    ao_buf_add_hex(&object, r->previous_trace.bytes, sizeof(r->previous_trace.bytes));
    ao_buf_add_cstr(&object, "\"}");
    int err = ao_buf_err(&object);
    if (!err)
        err = assembly_root_attributes(r->assembly, ao_buf_str(&object));
    ao_buf_release(&object);
    return err;
}

/* True when it changed; without memory it stays, and is tried again. */
static bool note(char **target, const char *text)
{
    if (!text || (*target && strcmp(*target, text) == 0))
        return false;
    return set(target, text) == AO_OK;
}

bool recording_note_who(struct recording *r)
{
    bool changed = note(&r->run.session_id, assembly_session_id(r->assembly));
    changed |= note(&r->run.user_id, assembly_user_id(r->assembly));
    for (size_t i = 0; i < WHO_COUNT; i++)
        changed |= note(&r->run.who[i], assembly_who(r->assembly, (enum store_who)i));
    return changed;
}

int recording_finish_who(struct recording *r)
{
    struct run before;
    (void)recording_note_who(r);
    if (r->session_asked || find_previous(r, &before))
        return AO_OK;
    if (!ao_trace_id_eq(&before.trace_id, &r->run.trace_id))
        r->previous_trace = before.trace_id;
    run_release(&before);
    return recording_show_previous(r);
}
