/*
 * Bytes of a sandbox through pipeline and assembly into a store.
 *
 * The first byte chooses how the stream is read, the second the pieces that it comes in. However it is cut, the text,
 * the counts and the stored tree must be the same; every stored span must reach the root; what is stored as JSON must
 * be JSON.
 */
#include <stdio.h>
#include <stdlib.h>

#include "core/json.h"
#include "core/mem.h"
#include "host/money/price_table.h"
#include "host/run/pipeline.h"
#include "host/store/store.h"

#define CHECK(condition)                                       \
    do {                                                       \
        if (!(condition)) {                                    \
            fprintf(stderr, "%d: %s\n", __LINE__, #condition); \
            abort();                                           \
        }                                                      \
    } while (0)

/* Adopting is slow, each such run has a store of its own: the byte that means it is rarely hit by chance. */
enum { FIRST_HELLO = 1, QUIET = 2, FLUSH_OFTEN = 8, BUSY = 16, ADOPT = 256 };
#define MODE(byte) ((byte) == 0x85 ? FIRST_HELLO | ADOPT : (byte) == 0x87 ? FIRST_HELLO | QUIET | ADOPT : (unsigned)(byte))

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct ao_price_table prices;
static struct store *shared; /* of the runs whose trace id we give: opening one takes long */
static uint64_t runs;
static const struct ao_span_id root_id = {{1, 2, 3, 4, 5, 6, 7, 8}};

struct outcome {
    struct ao_buf text;
    struct assembly_counts counts;
    struct ao_trace_id trace_id;
    size_t spans;
    bool clean;
};

static void keep_text(void *user, struct ao_str bytes)
{
    CHECK(bytes.len > 0);
    ao_buf_add_str(user, bytes);
}

struct walk {
    struct store *store;
    size_t spans;
};

static void check_json(const char *text)
{
    CHECK(!text || ao_json_validate(ao_str_from(text)) == AO_OK);
}

static int check_span(void *user, const struct span *span)
{
    struct walk *walk = user;
    struct ao_span_id at = span->span_id;
    walk->spans++;
    check_json(span->input);
    check_json(span->output);
    check_json(span->attributes);
    check_json(span->metadata);
    check_json(span->metrics);
    check_json(span->tags);
    CHECK(span->end >= span->start && span->end > 0);
    CHECK(span->cost_pusd == AO_COST_UNKNOWN || span->cost_pusd >= 0);
    for (unsigned steps = 0; !ao_span_id_eq(&at, &root_id); steps++) {
        struct span parent;
        CHECK(steps < 2000);
        CHECK(store_get_span(walk->store, &span->trace_id, &at, &parent) == AO_OK);
        at = parent.parent_id;
        span_release(&parent);
    }
    return 0;
}

static int check_event(void *user, const struct span_event *event)
{
    (void)user;
    CHECK(event->name);
    check_json(event->attributes);
    return 0;
}

static void feed(struct pipeline *pipeline, struct assembly *assembly, struct store *store, unsigned mode, size_t piece,
                 struct ao_str bytes)
{
    uint64_t now = 1000;
    while (bytes.len) {
        size_t len = bytes.len < piece ? bytes.len : piece;
        CHECK(pipeline_feed(pipeline, (struct ao_str){bytes.ptr, len}, now) == AO_OK);
        bytes.ptr += len;
        bytes.len -= len;
        if ((mode & FLUSH_OFTEN) && !(mode & ADOPT)) {
            (void)assembly_settle(assembly);
            int err = assembly_flush(assembly, mode & BUSY && bytes.len % 2 ? NULL : store);
            CHECK(err == AO_OK || err == AO_ERR_IO);
        }
    }
    CHECK(pipeline_finish(pipeline, now) == AO_OK);
}

static struct store *open_store(unsigned mode)
{
    struct store *store = NULL;
    char *error = NULL;
    if (!(mode & ADOPT) && shared && runs % 512)
        return shared;
    CHECK(store_open(":memory:", STORE_WRITE, 0, &store, &error) == AO_OK);
    if (mode & ADOPT)
        return store;
    store_close(shared);
    return shared = store;
}

static void run(unsigned mode, size_t piece, struct ao_str bytes, struct outcome *ret)
{
    struct assembly *assembly = NULL;
    struct pipeline *pipeline = NULL;
    struct ao_prng prng;
    struct ao_trace_id trace_id = {{9}};
    ao_prng_seed(&prng, (const uint64_t[4]){1, 2, 3, 4});
    *ret = (struct outcome){.spans = 0};
    ao_buf_init(&ret->text, SIZE_MAX / 2);
    runs++;
    memcpy(trace_id.bytes + 8, &runs, sizeof(runs));
    struct store *store = open_store(mode);
    struct assembly_config config = {
        .trace_id = trace_id, .root_id = root_id, .adopt_trace = mode & ADOPT, .name = "fuzz", .start = 500, .seed = 7,
        .prices = &prices,
    };
    CHECK(assembly_new(&config, &assembly) == AO_OK);
    struct pipeline_config pipes = {
        .assembly = assembly,
        .trace_id = config.trace_id,
        .root_id = root_id,
        .key_mode = mode & FIRST_HELLO ? AO_KEY_FIRST_HELLO : AO_KEY_GIVEN,
        .key = mode & FIRST_HELLO ? AO_STR_NONE : AO_STR("00"),
        .prng = &prng,
        .stable_ids = true,
        .text = keep_text,
        .quiet_dialect = mode & QUIET,
        .user = &ret->text,
    };
    CHECK(pipeline_new(&pipes, &pipeline) == AO_OK);
    feed(pipeline, assembly, store, mode, piece, bytes);
    const struct assembly_end end = {.start = 500, .end = 2000, .status = SPAN_OK};
    (void)assembly_finish(assembly, &end);
    CHECK(assembly_flush(assembly, store) == AO_OK);
    ret->counts = *assembly_counts(assembly);
    ret->trace_id = assembly_trace_id(assembly);
    ret->clean = assembly_clean_end(assembly);
    struct walk walk = {.store = store};
    CHECK(store_each_span(store, &ret->trace_id, check_span, &walk) == AO_OK);
    CHECK(store_each_event(store, &ret->trace_id, check_event, NULL) == AO_OK);
    ret->spans = walk.spans;
    if (!(mode & QUIET))
        CHECK(ret->text.len == pipeline_text_bytes(pipeline));
    pipeline_free(pipeline);
    assembly_free(assembly);
    if (store != shared)
        store_close(store);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *error = NULL;
    if (!prices.rows)
        CHECK(price_table_builtin(&prices, &error) == AO_OK);
    if (size < 2)
        return 0;
    struct ao_str bytes = {(const char *)data + 2, size - 2};
    struct outcome whole, pieces;
    unsigned mode = MODE(data[0]);
    run(mode, bytes.len + 1, bytes, &whole);
    run(mode, 1u + data[1] % 64u, bytes, &pieces);
    CHECK(ao_str_eq(ao_buf_str(&whole.text), ao_buf_str(&pieces.text)));
    CHECK(whole.spans == pieces.spans);
    CHECK(whole.clean == pieces.clean);
    CHECK(!(mode & ADOPT) || whole.trace_id.bytes[0] == 9 || ao_trace_id_eq(&whole.trace_id, &pieces.trace_id));
    CHECK(memcmp(&whole.counts, &pieces.counts, sizeof(whole.counts)) == 0);
    ao_buf_release(&whole.text);
    ao_buf_release(&pieces.text);
    return 0;
}
