/* Between C and SQLite: parameters in, columns out. */
#include "core/mem.h"
#include "host/store/store_private.h"

static void bound(struct binder *b, int rc)
{
    if (b->rc == SQLITE_OK)
        b->rc = rc;
}

void bind_text(struct binder *b, const char *text)
{
    bound(b, text ? sqlite3_bind_text(b->stmt, ++b->index, text, -1, SQLITE_STATIC)
                  : sqlite3_bind_null(b->stmt, ++b->index));
}

void bind_int(struct binder *b, int64_t value)
{
    bound(b, sqlite3_bind_int64(b->stmt, ++b->index, value));
}

void bind_u64(struct binder *b, uint64_t value)
{
    bind_int(b, value > INT64_MAX ? INT64_MAX : (int64_t)value);
}

void bind_money(struct binder *b, int64_t pusd)
{
    if (pusd == AO_COST_UNKNOWN)
        bound(b, sqlite3_bind_null(b->stmt, ++b->index));
    else
        bind_int(b, pusd);
}

void bind_trace(struct binder *b, const struct ao_trace_id *id)
{
    bound(b, sqlite3_bind_blob(b->stmt, ++b->index, id->bytes, sizeof(id->bytes), SQLITE_STATIC));
}

void bind_span(struct binder *b, const struct ao_span_id *id)
{
    bound(b, ao_span_id_is_zero(id)
                 ? sqlite3_bind_null(b->stmt, ++b->index)
                 : sqlite3_bind_blob(b->stmt, ++b->index, id->bytes, sizeof(id->bytes), SQLITE_STATIC));
}

void bind_usage(struct binder *b, const struct span_usage *usage)
{
    bind_int(b, usage->known);
    bind_u64(b, usage->input);
    bind_u64(b, usage->output);
    bind_u64(b, usage->cache_read);
    bind_u64(b, usage->cache_write);
    bind_u64(b, usage->cache_write_5m);
    bind_u64(b, usage->cache_write_1h);
    bind_u64(b, usage->thinking);
    bind_u64(b, usage->web_search_requests);
}

static void read_failed(struct reader *r, int err)
{
    if (!r->err)
        r->err = err;
}

char *read_text(struct reader *r)
{
    int column = r->column++;
    if (sqlite3_column_type(r->stmt, column) == SQLITE_NULL)
        return NULL;
    const void *text = sqlite3_column_text(r->stmt, column);
    char *copy = text ? ao_strndup(text, (size_t)sqlite3_column_bytes(r->stmt, column)) : NULL;
    if (!copy)
        read_failed(r, AO_ERR_NOMEM);
    return copy;
}

int64_t read_int(struct reader *r)
{
    return sqlite3_column_int64(r->stmt, r->column++);
}

uint64_t read_u64(struct reader *r)
{
    int64_t value = read_int(r);
    return value < 0 ? 0 : (uint64_t)value;
}

int64_t read_money(struct reader *r)
{
    if (sqlite3_column_type(r->stmt, r->column) == SQLITE_NULL) {
        r->column++;
        return AO_COST_UNKNOWN;
    }
    return read_int(r);
}

static bool read_bytes(struct reader *r, uint8_t *out, size_t len)
{
    const void *blob = sqlite3_column_blob(r->stmt, r->column);
    bool fits = blob && (size_t)sqlite3_column_bytes(r->stmt, r->column) == len;
    if (fits)
        memcpy(out, blob, len);
    else if (sqlite3_column_type(r->stmt, r->column) != SQLITE_NULL)
        read_failed(r, blob ? AO_ERR_CORRUPT : AO_ERR_NOMEM);
    r->column++;
    return fits;
}

struct ao_trace_id read_trace(struct reader *r)
{
    struct ao_trace_id id = {{0}};
    if (!read_bytes(r, id.bytes, sizeof(id.bytes)))
        read_failed(r, AO_ERR_CORRUPT);
    return id;
}

struct ao_span_id read_span(struct reader *r)
{
    struct ao_span_id id = {{0}};
    read_bytes(r, id.bytes, sizeof(id.bytes));
    return id;
}

struct span_usage read_usage(struct reader *r)
{
    struct span_usage usage = {.known = (unsigned)read_int(r)};
    usage.input = read_u64(r);
    usage.output = read_u64(r);
    usage.cache_read = read_u64(r);
    usage.cache_write = read_u64(r);
    usage.cache_write_5m = read_u64(r);
    usage.cache_write_1h = read_u64(r);
    usage.thinking = read_u64(r);
    usage.web_search_requests = read_u64(r);
    return usage;
}

const char *read_basis(struct reader *r)
{
    static const char *const names[] = {"computed", "reported", "reconciled", "unpriced"};
    const char *text = (const char *)sqlite3_column_text(r->stmt, r->column++);
    for (size_t i = 0; text && i < AO_ARRAY_LEN(names); i++)
        if (strcmp(text, names[i]) == 0)
            return names[i];
    return NULL;
}
