#define _GNU_SOURCE
#include "csrc/runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/uio.h>
#include <unistd.h>

#include "core/mem.h"
#include "core/trace_context.h"
#include "csrc/mask.h"
#include <pyconfig.h> /* Py_GIL_DISABLED */

/* Where Python has no global lock, threads record at the same time. */
#ifdef Py_GIL_DISABLED
#define AO_RUNTIME_LANES AO_LANES_MAX
#else
#define AO_RUNTIME_LANES 1u
#endif

static struct ao_runtime runtime;
static bool runtime_ready;
static pthread_once_t runtime_once = PTHREAD_ONCE_INIT;

void ao_say(const char *name, const char *clause)
{
    char line[512] = "agentobs: ";
    size_t len = strlen(line);
    const char *parts[] = {name, " ", clause, "\n"};
    for (size_t i = 0; i < AO_ARRAY_LEN(parts); i++)
        for (const char *c = parts[i]; *c && len < sizeof(line); c++)
            line[len++] = *c;
    ssize_t done = write(STDERR_FILENO, line, len);
    (void)done;
}

static void say_broken(const char *what, int errnum)
{
    char text[160] = "recording stops: ";
    char number[24] = {0};
    ao_format_u64(number, (uint64_t)errnum);
    const char *parts[] = {what, " (error ", number, errnum == EPIPE ? ", nobody reads" : "", ")"};
    size_t len = strlen(text);
    for (size_t i = 0; i < AO_ARRAY_LEN(parts); i++)
        for (const char *c = parts[i]; *c && len + 1 < sizeof(text); c++)
            text[len++] = *c;
    text[len] = '\0';
    ao_say(text, "");
}

static const char *get_env(void *user, const char *name)
{
    (void)user;
    return getenv(name);
}

static void complain(void *user, const char *name, const char *clause)
{
    (void)user;
    ao_say(name, clause);
}

/* ---- random numbers ---- */

struct thread_prng {
    struct ao_prng prng;
    uint32_t generation; /* of the process it was seeded in, plus one; 0: not yet */
};

static _Thread_local struct thread_prng thread_prng;

static void seed(struct ao_prng *prng)
{
    uint64_t words[4];
    char *to = (char *)words;
    size_t have = 0;
    while (have < sizeof(words)) {
        ssize_t got = getrandom(to + have, sizeof(words) - have, 0);
        if (got < 0 && errno != EINTR)
            break;
        if (got > 0)
            have += (size_t)got;
    }
    if (have < sizeof(words)) {
        /* No getrandom in this kernel or its seccomp filter: times, addresses and the pid still differ. */
        words[0] = ao_mono_now();
        words[1] = (uint64_t)(uintptr_t)&words;
        words[2] = (uint64_t)getpid() << 32 | (uint32_t)gettid();
        words[3] = (uint64_t)(uintptr_t)prng;
    }
    ao_prng_seed(prng, words);
}

static struct ao_prng *my_prng(struct ao_runtime *rt)
{
    uint32_t generation = atomic_load_explicit(&rt->emitter.generation, memory_order_relaxed) + 1;
    if (thread_prng.generation != generation) {
        seed(&thread_prng.prng);
        thread_prng.generation = generation;
    }
    return &thread_prng.prng;
}

struct ao_span_id ao_runtime_span_id(struct ao_runtime *rt)
{
    return ao_span_id_random(my_prng(rt));
}

struct ao_trace_id ao_runtime_trace_id(struct ao_runtime *rt)
{
    return ao_trace_id_random(my_prng(rt));
}

/* ---- set-up ---- */

static void say_bad_context(unsigned bad)
{
#define SAY_BAD(member, name, bit) \
    if (bad & (bit))               \
        ao_say(name, "is malformed and ignored");
    AO_CONTEXT_CARRIERS(SAY_BAD)
#undef SAY_BAD
}

static int read_context(struct ao_runtime *rt)
{
    struct ao_context_env env = {
#define FROM_ENV(member, name, bit) .member = ao_str_from(getenv(name)),
        AO_CONTEXT_CARRIERS(FROM_ENV)
#undef FROM_ENV
    };
    int err = ao_context_from_env(&env, my_prng(rt), &rt->context);
    if (err)
        return err;
    rt->sampled = rt->config.record_unsampled || rt->context.source == AO_CONTEXT_NEW ||
                  (rt->context.flags & AO_FLAG_SAMPLED);
    /* A run by hand, with nothing recorded, prints only what it printed before. */
    if (rt->config.recording)
        say_bad_context(rt->context.bad);
    return AO_OK;
}

/* The key must not be seen by the tools that the agent starts, nor in /proc/PID/environ. */
static void take_key_out(void)
{
    char *key = getenv("AGENTOBS_STREAM_KEY");
    if (key)
        memset(key, 0, strlen(key));
    unsetenv("AGENTOBS_STREAM_KEY");
}

static void before_fork(void)
{
    ao_emitter_pause(&runtime.emitter);
}

static void in_child(void)
{
    ao_emitter_forked(&runtime.emitter);
}

static void set_up(void)
{
    struct ao_config_source source = {.get = get_env, .complain = complain};
    ao_config_read(&source, &runtime.config);
    if (!runtime.config.keep_key)
        take_key_out();
    ao_clock_anchor(&runtime.clock);
    struct ao_emitter_config config = {
        .key = {runtime.config.key, strlen(runtime.config.key)},
        .fd = (int)runtime.config.fd,
        .ring_bytes = (size_t)runtime.config.ring_bytes,
        .lanes = AO_RUNTIME_LANES,
        .tick_ns = runtime.config.tick_ms * 1000000u,
        .say = say_broken,
        .mask = runtime.config.redact ? ao_mask_record : NULL,
        .mask_user = &runtime.custom,
    };
    if (ao_redact_custom_init(&runtime.custom, ao_str_from(runtime.config.patterns), NULL))
        ao_say("AGENTOBS_REDACT_PATTERNS", "holds a word that cannot be masked; the others are (docs/privacy.md)");
    if (ao_emitter_init(&runtime.emitter, &config, &runtime.clock) || read_context(&runtime))
        return;
    runtime_ready = pthread_atfork(before_fork, NULL, in_child) == 0;
}

struct ao_runtime *ao_runtime_get(void)
{
    pthread_once(&runtime_once, set_up);
    return runtime_ready ? &runtime : NULL;
}
