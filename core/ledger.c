#include "core/ledger.h"

#include "core/buf.h"
#include "core/ledger_json.h"
#include "core/ledger_private.h"
#include "core/mem.h"

/* Doubles that were added up in another order differ in the last digits; less than this is no decrease. */
#define COST_NOISE INT64_C(1000)

/* ---- life ---- */

struct ao_ledger *ao_ledger_new(void)
{
    return ao_calloc(1, sizeof(struct ao_ledger));
}

static void entry_release(struct ledger_entry *entry)
{
    ao_free(entry->message_id);
    ao_free(entry->request_id);
    ao_free(entry->iterations);
}

void ao_ledger_free(struct ao_ledger *ledger)
{
    if (!ledger)
        return;
    for (size_t i = 0; i < ledger->entry_count; i++)
        entry_release(&ledger->entries[i]);
    for (size_t i = 0; i < ledger->model_count; i++)
        ao_free(ledger->models[i]);
    for (size_t i = 0; i < ledger->session_count; i++)
        ao_free(ledger->sessions[i].id);
    for (size_t i = 0; i < ledger->segment_count; i++)
        ao_free(ledger->segments[i].totals);
    ao_free(ledger->entries);
    ao_free(ledger->slots);
    ao_free(ledger->models);
    ao_free(ledger->sessions);
    ao_free(ledger->segments);
    ao_free(ledger->earlier);
    ao_free(ledger);
}

/* Makes room for one more element; *array and *cap change only on success. */
static int grow(void **array, size_t *cap, size_t count, size_t size, size_t max)
{
    if (count < *cap)
        return AO_OK;
    if (count >= max)
        return AO_ERR_LIMIT;
    size_t want = *cap ? *cap * 2 : 8;
    void *bigger = ao_realloc(*array, want * size);
    if (!bigger)
        return AO_ERR_NOMEM;
    *array = bigger;
    *cap = want;
    return AO_OK;
}

int ledger_intern_model(struct ao_ledger *ledger, struct ao_str id, size_t *ret_index)
{
    for (size_t i = 0; i < ledger->model_count; i++)
        if (ao_str_eq_c(id, ledger->models[i])) {
            *ret_index = i;
            return AO_OK;
        }
    void *array = ledger->models;
    int err = grow(&array, &ledger->model_cap, ledger->model_count, sizeof(char *), AO_LEDGER_MODELS_MAX);
    ledger->models = array;
    if (err)
        return err;
    char *copy = ao_strdup(id);
    if (!copy)
        return AO_ERR_NOMEM;
    *ret_index = ledger->model_count;
    ledger->models[ledger->model_count++] = copy;
    return AO_OK;
}

int ledger_intern_session(struct ao_ledger *ledger, struct ao_str id, size_t *ret_index)
{
    for (size_t i = ledger->session_count; i > 0; i--)
        if (ao_str_eq_c(id, ledger->sessions[i - 1].id)) {
            *ret_index = i - 1;
            return AO_OK;
        }
    /* "" is index 0, whatever comes first. */
    if (ledger->session_count == 0 && id.len > 0) {
        int err = ledger_intern_session(ledger, AO_STR(""), ret_index);
        if (err)
            return err;
    }
    void *array = ledger->sessions;
    int err = grow(&array, &ledger->session_cap, ledger->session_count, sizeof(*ledger->sessions),
                   AO_LEDGER_SEGMENTS_MAX);
    ledger->sessions = array;
    if (err)
        return err;
    char *copy = ao_strndup(id.ptr ? id.ptr : "", id.len);
    if (!copy)
        return AO_ERR_NOMEM;
    *ret_index = ledger->session_count;
    ledger->sessions[ledger->session_count++] = (struct ledger_session){copy, LEDGER_NONE, false};
    return AO_OK;
}

/* ---- requests ---- */

static uint64_t hash_bytes(const char *ptr, size_t len)
{
    uint64_t hash = ao_hash(AO_HASH_START, (struct ao_str){ptr, len});
    return hash ^ (hash >> 29);
}

static void slot_put(struct ao_ledger *ledger, size_t index)
{
    size_t mask = ledger->slot_count - 1;
    size_t at = (size_t)ledger->entries[index].hash & mask;
    while (ledger->slots[at])
        at = (at + 1) & mask;
    ledger->slots[at] = (uint32_t)(index + 1);
}

static int slots_reserve(struct ao_ledger *ledger)
{
    if (ledger->slot_count && (ledger->entry_count + 1) * 2 <= ledger->slot_count)
        return AO_OK;
    size_t count = ledger->slot_count ? ledger->slot_count * 2 : 64;
    uint32_t *slots = ao_calloc(count, sizeof(*slots));
    if (!slots)
        return AO_ERR_NOMEM;
    ao_free(ledger->slots);
    ledger->slots = slots;
    ledger->slot_count = count;
    for (size_t i = 0; i < ledger->entry_count; i++)
        slot_put(ledger, i);
    return AO_OK;
}

/*
 * The entry of a response: equal message ids and, where both sides know one,
 * equal request ids. NULL when it is new.
 */
static struct ledger_entry *find_entry(struct ao_ledger *ledger, struct ao_str message, struct ao_str request,
                                       bool by_span)
{
    struct ledger_entry *half = NULL;
    uint64_t hash = hash_bytes(message.ptr, message.len);
    size_t mask = ledger->slot_count - 1;
    if (ledger->slot_count == 0)
        return NULL;
    for (size_t at = (size_t)hash & mask; ledger->slots[at]; at = (at + 1) & mask) {
        struct ledger_entry *entry = &ledger->entries[ledger->slots[at] - 1];
        if (entry->hash != hash || entry->by_span != by_span || !ao_str_eq_c(message, entry->message_id))
            continue;
        if (request.len && entry->request_id && ao_str_eq_c(request, entry->request_id))
            return entry;
        if (!half && (request.len == 0 || !entry->request_id))
            half = entry;
    }
    return half;
}

static int new_entry(struct ao_ledger *ledger, const struct ao_record *record, struct ao_str message, bool by_span,
                     struct ledger_entry **ret_entry)
{
    struct ledger_entry entry = {.segment = LEDGER_NONE, .by_span = by_span};
    entry.time = AO_HAS(record, time) ? record->time : 0;
    int err = ledger_intern_model(ledger, record->model, &entry.model);
    if (!err)
        err = ledger_intern_session(ledger, AO_HAS(record, session_id) ? record->session_id : AO_STR(""), &entry.session);
    if (!err)
        err = slots_reserve(ledger);
    if (err)
        return err;
    void *array = ledger->entries;
    err = grow(&array, &ledger->entry_cap, ledger->entry_count, sizeof(entry), AO_LEDGER_ENTRIES_MAX);
    ledger->entries = array;
    if (err)
        return err;
    entry.hash = hash_bytes(message.ptr, message.len);
    entry.message_id = ao_strdup(message);
    if (!entry.message_id)
        return AO_ERR_NOMEM;
    ledger->entries[ledger->entry_count] = entry;
    slot_put(ledger, ledger->entry_count);
    *ret_entry = &ledger->entries[ledger->entry_count++];
    return AO_OK;
}

static struct ao_usage record_usage(const struct ao_record *r)
{
    return (struct ao_usage){
        .input = AO_HAS(r, input_tokens) ? r->input_tokens : 0,
        .output = AO_HAS(r, output_tokens) ? r->output_tokens : 0,
        .cache_read = AO_HAS(r, cache_read_input_tokens) ? r->cache_read_input_tokens : 0,
        .cache_write = AO_HAS(r, cache_creation_input_tokens) ? r->cache_creation_input_tokens : 0,
        .cache_write_5m = AO_HAS(r, ephemeral_5m_input_tokens) ? r->ephemeral_5m_input_tokens : 0,
        .cache_write_1h = AO_HAS(r, ephemeral_1h_input_tokens) ? r->ephemeral_1h_input_tokens : 0,
        .thinking = AO_HAS(r, thinking_tokens) ? r->thinking_tokens : 0,
        .web_search_requests = AO_HAS(r, web_search_requests) ? r->web_search_requests : 0,
        .speed = AO_HAS(r, speed) ? ao_speed_parse(r->speed) : AO_SPEED_UNKNOWN,
        .geo = AO_HAS(r, inference_geo) ? ao_geo_parse(r->inference_geo) : AO_GEO_UNKNOWN,
        .tier = AO_HAS(r, service_tier) ? ao_tier_parse(r->service_tier) : AO_TIER_UNKNOWN,
    };
}

struct ao_usage ledger_entry_usage(const struct ledger_entry *entry)
{
    struct ao_usage usage = entry->early;
    const struct ao_usage *final = &entry->final;
    ao_usage_max(&usage, final);
    if (entry->has_final_output) {
        usage.output = final->output;
        usage.thinking = final->thinking;
    }
    usage.speed = final->speed ? final->speed : entry->early.speed;
    usage.geo = final->geo ? final->geo : entry->early.geo;
    usage.tier = final->tier ? final->tier : entry->early.tier;
    return usage;
}

struct iteration_reader {
    struct ao_ledger *ledger;
    struct ledger_iteration *list; /* NULL: count only */
    size_t count;
};

static int intern_json_model(struct ao_ledger *ledger, struct ao_str text, bool escaped, size_t *ret_index)
{
    if (text.len > AO_NAME_MAX)
        return AO_ERR_LIMIT;
    if (!escaped)
        return ledger_intern_model(ledger, text, ret_index);
    struct ao_buf plain;
    ao_buf_init(&plain, AO_NAME_MAX);
    int err = ao_json_unescape(text, &plain);
    if (!err)
        err = ledger_intern_model(ledger, ao_buf_str(&plain), ret_index);
    ao_buf_release(&plain);
    return err;
}

static int read_iteration(void *user, struct ao_str key, bool escaped, struct ao_str value)
{
    (void)key, (void)escaped;
    struct iteration_reader *reader = user;
    if (!reader->list) {
        reader->count++;
        return AO_OK;
    }
    struct ledger_usage_json json;
    int err = ledger_parse_usage(value, &json);
    if (err)
        return err;
    struct ledger_iteration *it = &reader->list[reader->count++];
    *it = (struct ledger_iteration){.model = LEDGER_NONE, .usage = json.usage};
    it->main = ao_str_eq_c(json.type, "message") || ao_str_eq_c(json.type, "fallback_message");
    return json.model.len ? intern_json_model(reader->ledger, json.model, json.model_escaped, &it->model) : AO_OK;
}

static uint64_t iterations_weight(const struct ledger_iteration *list, size_t count)
{
    struct ao_usage sum = {0};
    for (size_t i = 0; i < count; i++)
        ao_usage_add(&sum, &list[i].usage);
    return ao_usage_tokens(&sum);
}

/* Keeps the fullest list told: like the counts, iterations only grow. Returns 1 when it was replaced. */
static int take_iterations(struct ao_ledger *ledger, struct ledger_entry *entry, struct ao_str json)
{
    struct iteration_reader reader = {.ledger = ledger};
    int err = ledger_each_element(json, read_iteration, &reader);
    if (err || reader.count == 0)
        return err;
    if (reader.count > AO_LEDGER_ITERATIONS_MAX)
        return AO_ERR_LIMIT;
    reader.list = ao_calloc(reader.count, sizeof(*reader.list));
    if (!reader.list)
        return AO_ERR_NOMEM;
    reader.count = 0;
    err = ledger_each_element(json, read_iteration, &reader);
    if (err || (entry->iterations && iterations_weight(reader.list, reader.count) <=
                                         iterations_weight(entry->iterations, entry->iteration_count))) {
        ao_free(reader.list);
        return err;
    }
    ao_free(entry->iterations);
    entry->iterations = reader.list;
    entry->iteration_count = reader.count;
    return 1;
}

static bool usage_equal(const struct ao_usage *a, const struct ao_usage *b)
{
    return a->input == b->input && a->output == b->output && a->cache_read == b->cache_read &&
           a->cache_write == b->cache_write && a->cache_write_5m == b->cache_write_5m &&
           a->cache_write_1h == b->cache_write_1h && a->thinking == b->thinking &&
           a->web_search_requests == b->web_search_requests && a->speed == b->speed && a->geo == b->geo &&
           a->tier == b->tier;
}

static bool merge_usage(struct ledger_entry *entry, const struct ao_record *record)
{
    struct ao_usage told = record_usage(record);
    bool provisional = AO_HAS(record, provisional) && record->provisional;
    struct ao_usage *into = provisional ? &entry->early : &entry->final;
    struct ao_usage before = *into;
    bool had_final = entry->has_final_output;
    ao_usage_max(into, &told);
    if (!provisional && AO_HAS(record, output_tokens))
        entry->has_final_output = true;
    return !usage_equal(&before, into) || had_final != entry->has_final_output;
}

static bool merge_span(struct ledger_entry *entry, const struct ao_record *record)
{
    if (!AO_HAS(record, span_id) || entry->span_count >= AO_LEDGER_SPANS_MAX)
        return false;
    for (size_t i = 0; i < entry->span_count; i++)
        if (ao_span_id_eq(&entry->spans[i], &record->span_id))
            return false;
    entry->spans[entry->span_count++] = record->span_id;
    return true;
}

static int add_request(struct ao_ledger *ledger, const struct ao_record *record)
{
    char span_hex[AO_SPAN_ID_HEX + 1];
    struct ao_str message = AO_HAS(record, message_id) ? record->message_id : AO_STR_NONE;
    struct ao_str request = AO_HAS(record, request_id) ? record->request_id : AO_STR_NONE;
    bool by_span = message.len == 0;
    if (AO_HAS(record, model) && ao_str_eq_c(record->model, "<synthetic>"))
        return 1;
    if (by_span) {
        if (!AO_HAS(record, span_id))
            return AO_ERR_USAGE;
        ao_span_id_format(&record->span_id, span_hex);
        message = ao_str_from(span_hex);
    }
    struct ledger_entry *entry = find_entry(ledger, message, request, by_span);
    bool changed = !entry;
    if (!entry) {
        if (!AO_HAS(record, model) || record->model.len == 0)
            return AO_ERR_USAGE;
        int err = new_entry(ledger, record, message, by_span, &entry);
        if (err)
            return err;
    }
    changed |= merge_usage(entry, record);
    changed |= merge_span(entry, record);
    if (AO_HAS(record, first_token) && !entry->first_token) {
        entry->first_token = record->first_token;
        changed = true;
    }
    int err = AO_OK;
    if (request.len && !entry->request_id) {
        entry->request_id = ao_strdup(request);
        err = entry->request_id ? AO_OK : AO_ERR_NOMEM;
    }
    if (!err && AO_HAS(record, iterations))
        err = take_iterations(ledger, entry, record->iterations);
    return err < 0 ? err : err == 1 || changed ? AO_OK : 1;
}

/* ---- totals ---- */

struct totals_reader {
    struct ao_ledger *ledger;
    struct ledger_total *list; /* NULL: count only */
    size_t count;
};

static int read_total(void *user, struct ao_str key, bool escaped, struct ao_str value)
{
    struct totals_reader *reader = user;
    if (!reader->list) {
        reader->count++;
        return reader->count > AO_LEDGER_MODELS_MAX ? AO_ERR_LIMIT : AO_OK;
    }
    struct ledger_usage_json json;
    int err = ledger_parse_usage(value, &json);
    if (err)
        return err;
    struct ledger_total *total = &reader->list[reader->count++];
    *total = (struct ledger_total){.usage = json.usage, .has_split = json.has_split, .has_cost = json.has_cost};
    total->cost = json.has_cost ? json.cost : 0;
    return intern_json_model(reader->ledger, key, escaped, &total->model);
}

int ledger_parse_totals(struct ao_ledger *ledger, struct ao_str json, struct ledger_total **ret_list, size_t *ret_count)
{
    struct totals_reader reader = {.ledger = ledger};
    int err = ledger_each_member(json, read_total, &reader);
    if (err || reader.count == 0)
        return err;
    reader.list = ao_calloc(reader.count, sizeof(*reader.list));
    if (!reader.list)
        return AO_ERR_NOMEM;
    reader.count = 0;
    err = ledger_each_member(json, read_total, &reader);
    if (err) {
        ao_free(reader.list);
        return err;
    }
    *ret_list = reader.list;
    *ret_count = reader.count;
    return AO_OK;
}

static const struct ledger_total *find_total(const struct ledger_segment *segment, size_t model)
{
    for (size_t i = 0; i < segment->total_count; i++)
        if (segment->totals[i].model == model)
            return &segment->totals[i];
    return NULL;
}

static bool shrank(const struct ao_usage *old, const struct ao_usage *now)
{
    return now->input < old->input || now->output < old->output || now->cache_read < old->cache_read ||
           now->cache_write < old->cache_write || now->web_search_requests < old->web_search_requests;
}

/* Totals that went down were begun anew. */
static bool is_restart(const struct ledger_segment *old, const struct ledger_segment *now)
{
    static const struct ao_usage nothing;
    if (old->has_cost && now->has_cost && now->cost < old->cost - COST_NOISE)
        return true;
    for (size_t i = 0; now->total_count && i < old->total_count; i++) {
        const struct ledger_total *same = find_total(now, old->totals[i].model);
        if (shrank(&old->totals[i].usage, same ? &same->usage : &nothing))
            return true;
    }
    return false;
}

static bool is_empty_total(const struct ledger_segment *segment)
{
    bool empty = segment->cost == 0 && ao_usage_is_zero(&segment->turns);
    for (size_t i = 0; i < segment->total_count; i++)
        empty = empty && segment->totals[i].cost == 0 && ao_usage_is_zero(&segment->totals[i].usage);
    return empty;
}

static bool totals_equal(const struct ledger_segment *a, const struct ledger_segment *b)
{
    if (a->has_cost != b->has_cost || a->cost != b->cost || a->total_count != b->total_count)
        return false;
    for (size_t i = 0; i < a->total_count; i++) {
        const struct ledger_total *other = find_total(b, a->totals[i].model);
        if (!other || a->totals[i].cost != other->cost || !usage_equal(&a->totals[i].usage, &other->usage))
            return false;
    }
    return true;
}

/* Requests that no total covered yet belong to this one. */
static void capture_pending(struct ao_ledger *ledger, size_t session, size_t segment)
{
    size_t still = ledger->entry_count;
    for (size_t i = ledger->first_pending; i < ledger->entry_count; i++) {
        struct ledger_entry *entry = &ledger->entries[i];
        if (entry->segment != LEDGER_NONE)
            continue;
        if (entry->session == session || entry->session == 0 || session == 0)
            entry->segment = segment;
        else if (still == ledger->entry_count)
            still = i;
    }
    ledger->first_pending = still;
}

/* Lays the newer figures over a segment's; takes over now->totals. */
static void continue_segment(struct ledger_segment *segment, struct ledger_segment *now)
{
    if (now->total_count) {
        ao_free(segment->totals);
        segment->totals = now->totals;
        segment->total_count = now->total_count;
        now->totals = NULL;
    }
    if (now->has_cost) {
        segment->has_cost = true;
        segment->cost = now->cost;
    }
    if (now->has_turns) {
        if (segment->has_turns)
            ao_usage_add(&segment->turns, &now->turns);
        else
            segment->turns = now->turns;
        segment->has_turns = true;
        segment->last_turn = now->last_turn;
    }
    segment->time = now->time;
}

/* 1 when nothing was new. Takes over now->totals when it returns AO_OK. */
static int book_total(struct ao_ledger *ledger, struct ledger_segment *now)
{
    struct ledger_session *session = &ledger->sessions[now->session];
    struct ledger_segment *old = session->segment == LEDGER_NONE ? NULL : &ledger->segments[session->segment];
    if (is_empty_total(now))
        return 1;
    if (old && totals_equal(old, now) && old->has_turns == now->has_turns &&
        usage_equal(&old->last_turn, &now->last_turn)) {
        capture_pending(ledger, now->session, session->segment);
        return 1;
    }
    if (old && !is_restart(old, now)) {
        continue_segment(old, now);
        capture_pending(ledger, now->session, session->segment);
        return AO_OK;
    }
    void *array = ledger->segments;
    int err = grow(&array, &ledger->segment_cap, ledger->segment_count, sizeof(*now), AO_LEDGER_SEGMENTS_MAX);
    ledger->segments = array;
    if (err)
        return err;
    session->segment = ledger->segment_count;
    ledger->segments[ledger->segment_count++] = *now;
    now->totals = NULL;
    capture_pending(ledger, now->session, session->segment);
    return AO_OK;
}

static int add_total(struct ao_ledger *ledger, const struct ao_record *record)
{
    struct ledger_segment now = {.time = AO_HAS(record, time) ? record->time : 0};
    struct ledger_usage_json turn;
    int malformed = AO_OK;
    int err = ledger_intern_session(ledger, AO_HAS(record, session_id) ? record->session_id : AO_STR(""), &now.session);
    if (err)
        return err;
    if (AO_HAS(record, total_cost_usd) && record->total_cost_usd >= 0) {
        now.has_cost = true;
        now.cost = record->total_cost_usd;
    }
    if (AO_HAS(record, model_usage))
        malformed = ledger_parse_totals(ledger, record->model_usage, &now.totals, &now.total_count);
    if (malformed == AO_ERR_NOMEM || malformed == AO_ERR_LIMIT)
        return malformed;
    if (AO_HAS(record, turn_usage)) {
        err = ledger_parse_usage(record->turn_usage, &turn);
        now.has_turns = !err && !ao_usage_is_zero(&turn.usage);
        if (now.has_turns)
            now.turns = now.last_turn = turn.usage;
        malformed = malformed ? malformed : err;
    }
    if (AO_HAS(record, process_model_usage) && !malformed)
        malformed = ledger_note_carried(ledger, &now, record->process_model_usage);
    err = malformed == AO_ERR_NOMEM ? malformed : book_total(ledger, &now);
    ao_free(now.totals);
    return err < 0 ? err : malformed ? malformed : err;
}

/* ---- intake ---- */

int ao_ledger_add(struct ao_ledger *ledger, const struct ao_record *record)
{
    if (record->kind != AO_KIND_USAGE || !AO_HAS(record, scope))
        return AO_ERR_USAGE;
    int err = AO_ERR_USAGE;
    if (ao_str_eq_c(record->scope, "request"))
        err = add_request(ledger, record);
    else if (ao_str_eq_c(record->scope, "total"))
        err = add_total(ledger, record);
    if (err == AO_ERR_NOMEM || err == AO_ERR_LIMIT)
        ledger->lost++;
    return err;
}
