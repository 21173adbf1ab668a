#include "host/money/cache_use.h"

#include <stdlib.h>

#include "core/mem.h"

static int compare_u64(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

static int compare_calls(const void *a, const void *b)
{
    const struct cache_call *x = a, *y = b;
    int by_key = compare_u64(x->key, y->key);
    int by_time = compare_u64(x->time, y->time);
    return by_key ? by_key : by_time ? by_time : compare_u64(x->index, y->index);
}

static int compare_numbers(const void *a, const void *b)
{
    return compare_u64(*(const uint64_t *)a, *(const uint64_t *)b);
}

/* ---- the reads of later calls, as a counting tree over their sorted sizes ---- */

struct reads {
    uint64_t *sizes; /* sorted, distinct */
    uint32_t *sums;  /* Fenwick tree: sums[i] counts the sizes that end at i, 1-based */
    size_t count;
};

/* How many sizes are at most `limit`. */
static size_t rank_of(const struct reads *reads, uint64_t limit)
{
    size_t low = 0, high = reads->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (reads->sizes[middle] <= limit)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void add_read(struct reads *reads, uint64_t size)
{
    for (size_t i = rank_of(reads, size); i <= reads->count && i > 0; i += i & (~i + 1))
        reads->sums[i]++;
}

/* The largest size that was added and is at most `limit`; 0 when there is none. */
static uint64_t largest_read(const struct reads *reads, uint64_t limit)
{
    uint32_t wanted = 0;
    size_t at = 0, step = 1;
    for (size_t i = rank_of(reads, limit); i > 0; i -= i & (~i + 1))
        wanted += reads->sums[i];
    if (wanted == 0)
        return 0;
    while (step * 2 <= reads->count)
        step *= 2;
    for (; step > 0; step /= 2)
        if (at + step <= reads->count && reads->sums[at + step] < wanted) {
            at += step;
            wanted -= reads->sums[at];
        }
    return reads->sizes[at];
}

/* ---- the longest later read of each thread ---- */

struct thread {
    uint64_t id, longest;
};

/* The threads of a key, open addressing; `slots` is a power of two and more than there are calls. */
static struct thread *thread_of(struct thread *threads, size_t slots, uint64_t id)
{
    size_t at = (size_t)(id ^ id >> 32) & (slots - 1);
    while (threads[at].id != id + 1 && threads[at].id != 0)
        at = (at + 1) & (slots - 1);
    threads[at].id = id + 1; /* 0 is a free slot; an id of UINT64_MAX would share its fate */
    return &threads[at];
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t sum_u64(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

/* Calls of one key, from the last to the first. */
static void find_unread(struct cache_call *calls, size_t count, struct reads *reads, struct thread *threads, size_t slots)
{
    for (size_t i = count; i > 0; i--) {
        struct cache_call *call = &calls[i - 1];
        struct thread *thread = thread_of(threads, slots, call->thread);
        uint64_t end = sum_u64(call->read, call->write);
        uint64_t reached = min_u64(thread->longest, end);
        uint64_t shared = largest_read(reads, end);
        reached = shared > reached ? shared : reached;
        call->unread = reached > call->read ? end - reached : call->write;
        thread->longest = call->read > thread->longest ? call->read : thread->longest;
        add_read(reads, call->read);
    }
}

static void collect_sizes(struct reads *reads, const struct cache_call *calls, size_t count)
{
    for (size_t i = 0; i < count; i++)
        reads->sizes[i] = calls[i].read;
    qsort(reads->sizes, count, sizeof(*reads->sizes), compare_numbers);
    reads->count = 0;
    for (size_t i = 0; i < count; i++)
        if (reads->count == 0 || reads->sizes[i] != reads->sizes[reads->count - 1])
            reads->sizes[reads->count++] = reads->sizes[i];
    memset(reads->sums, 0, (reads->count + 1) * sizeof(*reads->sums));
}

int cache_use_find(struct cache_call *calls, size_t count)
{
    size_t most = 64;
    if (count == 0)
        return AO_OK;
    while (most <= count)
        most *= 2;
    struct reads reads = {
        .sizes = ao_calloc(count, sizeof(*reads.sizes)),
        .sums = ao_calloc(count + 1, sizeof(*reads.sums)),
    };
    struct thread *threads = ao_calloc(most, sizeof(*threads));
    int err = reads.sizes && reads.sums && threads ? AO_OK : AO_ERR_NOMEM;
    if (!err)
        qsort(calls, count, sizeof(*calls), compare_calls);
    for (size_t from = 0, to; from < count && !err; from = to) {
        size_t slots = 64;
        for (to = from + 1; to < count && calls[to].key == calls[from].key; to++)
            ;
        while (slots <= to - from)
            slots *= 2;
        memset(threads, 0, slots * sizeof(*threads));
        collect_sizes(&reads, calls + from, to - from);
        find_unread(calls + from, to - from, &reads, threads, slots);
    }
    ao_free(reads.sizes);
    ao_free(reads.sums);
    ao_free(threads);
    return err;
}
