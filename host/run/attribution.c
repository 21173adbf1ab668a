#include "host/run/attribution.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <strings.h>
#include <unistd.h>

#include "core/hex.h"
#include "core/json.h"
#include "core/mem.h"
#include "core/trace_context.h"
#include "core/utf8.h"
#include "host/sinks/env_file.h"
#include "host/text.h"

#define USER_KEY_MIN 16u
#define USER_KEY_MAX 4096u
#define PSEUDONYM_BYTES 8u
#define PSEUDONYM_LEN (2u + 2u * PSEUDONYM_BYTES)

const struct attribution_name attribution_names[ATTRIBUTION_COUNT] = {
    [ATTRIBUTION_SESSION] = {"session", "session.id", "session.id"},
    [ATTRIBUTION_USER] = {"user", "user.id", "user.id"},
    [ATTRIBUTION_WHO + WHO_TENANT] = {"tenant", "agentobs.tenant", "tenant.id"},
    [ATTRIBUTION_WHO + WHO_TEAM] = {"team", "agentobs.team", "team"},
    [ATTRIBUTION_WHO + WHO_ORGANIZATION] = {"org", "agentobs.organization", "organization.id"},
    [ATTRIBUTION_WHO + WHO_UNIT] = {"unit", "agentobs.business_unit", "business_unit"},
    [ATTRIBUTION_WHO + WHO_FEATURE] = {"feature", "agentobs.feature", "feature"},
};

/* ---- values ---- */

/* What is wrong with a value; NULL: nothing. */
static const char *unfit(struct ao_str value)
{
    uint32_t code;
    if (value.len == 0)
        return "is empty";
    if (value.len > ATTRIBUTION_VALUE_MAX)
        return "is longer than 256 bytes";
    for (size_t at = 0; at < value.len;) {
        at += ao_utf8_next(value.ptr + at, value.len - at, &code);
        if (code == AO_ILL_FORMED)
            return "is not UTF-8";
        if (code < 0x20 || code == 0x7f)
            return "holds a control character";
    }
    return NULL;
}

/* ---- pseudonyms ---- */

static bool is_pseudonym(struct ao_str user)
{
    if (user.len != PSEUDONYM_LEN || user.ptr[0] != 'u' || user.ptr[1] != '_')
        return false;
    for (size_t i = 2; i < user.len; i++)
        if (!((user.ptr[i] >= '0' && user.ptr[i] <= '9') || (user.ptr[i] >= 'a' && user.ptr[i] <= 'f')))
            return false;
    return true;
}

char *attribution_user(const struct attribution *who, struct ao_str user)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    struct ao_buf text;
    if (!who->pseudonymise || is_pseudonym(user))
        return ao_strdup(user);
    if (!HMAC(EVP_sha256(), who->user_key, (int)sizeof(who->user_key), (const unsigned char *)user.ptr, user.len, digest,
              &len))
        return NULL;
    ao_buf_init(&text, PSEUDONYM_LEN);
    ao_buf_add_cstr(&text, "u_");
    ao_buf_add_hex(&text, digest, PSEUDONYM_BYTES);
    char *shown = ao_buf_detach(&text, NULL);
    ao_buf_release(&text);
    return shown;
}

static bool is_user_key(const char *key)
{
    return strcmp(key, "AGENTOBS_USER_KEY") == 0;
}

/* Keys of any length become one of a fixed size; what is shorter than 16 bytes could be guessed. */
static int take_key(struct attribution *who, struct ao_str key, const char *source, char **ret_error)
{
    unsigned len = 0;
    while (key.len && (key.ptr[key.len - 1] == '\n' || key.ptr[key.len - 1] == '\r'))
        key.len--;
    if (key.len < USER_KEY_MIN || key.len > USER_KEY_MAX) {
        *ret_error = text_format("--pseudonymise-users: the key in %s must have 16 to 4096 bytes", source);
        return AO_ERR_USAGE;
    }
    if (EVP_Digest(key.ptr, key.len, who->user_key, &len, EVP_sha256(), NULL) != 1)
        return AO_ERR_NOMEM;
    who->pseudonymise = true;
    return AO_OK;
}

static int read_key_file(struct attribution *who, const char *path, char **ret_error)
{
    char bytes[USER_KEY_MAX + 2];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, bytes, sizeof(bytes));
    int failure = errno;
    if (fd >= 0)
        close(fd);
    if (got < 0) {
        *ret_error = text_format("--user-key %s: %s", path, strerror(failure));
        return AO_ERR_USAGE;
    }
    int err = take_key(who, (struct ao_str){bytes, (size_t)got}, path, ret_error);
    explicit_bzero(bytes, sizeof(bytes));
    return err;
}

static int read_key(struct attribution *who, const struct attribution_options *options, char **ret_error)
{
    struct env env;
    struct env_value value = {NULL, NULL, 0};
    if (!options->pseudonymise && options->user_key) {
        *ret_error = text_format("--user-key goes with --pseudonymise-users");
        return AO_ERR_USAGE;
    }
    if (!options->pseudonymise)
        return AO_OK;
    if (options->user_key)
        return read_key_file(who, options->user_key, ret_error);
    int err = env_load(NULL, is_user_key, &env, ret_error);
    if (err)
        return err == AO_ERR_NOMEM ? err : AO_ERR_USAGE;
    if (env_get(&env, "AGENTOBS_USER_KEY", &value)) {
        err = take_key(who, ao_str_from(value.text), "AGENTOBS_USER_KEY", ret_error);
    } else {
        *ret_error = text_format("--pseudonymise-users needs a key: --user-key FILE, or AGENTOBS_USER_KEY");
        err = AO_ERR_USAGE;
    }
    env_release(&env);
    return err;
}

/* ---- options and baggage ---- */

static int set_value(struct attribution *who, size_t key, struct ao_str value)
{
    char *copy = key == ATTRIBUTION_USER ? attribution_user(who, value) : ao_strdup(value);
    if (!copy)
        return AO_ERR_NOMEM;
    ao_free(who->values[key]);
    who->values[key] = copy;
    return AO_OK;
}

static int take_options(struct attribution *who, const struct attribution_options *options, char **ret_error)
{
    for (size_t i = 0; i < ATTRIBUTION_COUNT; i++) {
        struct ao_str value = ao_str_from(options->values[i]);
        if (!value.ptr)
            continue;
        const char *problem = unfit(value);
        if (problem) {
            *ret_error = text_format("--%s %s", attribution_names[i].option, problem);
            return AO_ERR_USAGE;
        }
        if (set_value(who, i, value))
            return AO_ERR_NOMEM;
        who->own[i] = true;
    }
    return AO_OK;
}

static int take_member(struct attribution *who, const struct ao_baggage_member *member)
{
    struct ao_buf text;
    int err = AO_OK;
    for (size_t i = 0; i < ATTRIBUTION_COUNT && !err; i++) {
        if (who->values[i] || !ao_str_eq_c(member->key, attribution_names[i].baggage))
            continue;
        ao_buf_init(&text, AO_BAGGAGE_MAX * 3u);
        err = ao_percent_decode(member->value, &text);
        if (!err && !unfit(ao_buf_str(&text)))
            err = set_value(who, i, ao_buf_str(&text));
        ao_buf_release(&text);
    }
    return err;
}

static int take_baggage(struct attribution *who, struct ao_str baggage)
{
    struct ao_baggage it;
    struct ao_baggage_member member;
    int err = AO_OK;
    if (!baggage.ptr)
        return AO_OK;
    ao_baggage_init(&it, baggage);
    while (!err && ao_baggage_next(&it, &member))
        err = take_member(who, &member);
    return err;
}

/* ---- tags ---- */

static struct ao_str trim(struct ao_str text)
{
    while (text.len && text.ptr[0] == ' ')
        text = (struct ao_str){text.ptr + 1, text.len - 1};
    while (text.len && text.ptr[text.len - 1] == ' ')
        text.len--;
    return text;
}

/* "a=1,b=2": each a tag of its own. */
static int add_tags(struct ao_jw *w, const char *item, size_t *count, char **ret_error)
{
    while (*item) {
        size_t len = strcspn(item, ",");
        struct ao_str tag = trim((struct ao_str){item, len});
        const char *problem = tag.len ? unfit(tag) : NULL;
        if (!problem && *count >= ATTRIBUTION_TAGS_MAX)
            problem = "is one too many: 64 are kept";
        if (problem) {
            *ret_error = text_format("--tag \"%.*s\" %s", (int)(tag.len < 40 ? tag.len : 40), tag.ptr, problem);
            return AO_ERR_USAGE;
        }
        if (tag.len) {
            ao_jw_str(w, tag);
            ++*count;
        }
        item += len + (item[len] == ',');
    }
    return AO_OK;
}

static int take_tags(struct attribution *who, const struct option_list *tags, char **ret_error)
{
    struct ao_buf text;
    struct ao_jw w;
    size_t count = 0;
    int err = AO_OK;
    ao_buf_init(&text, (size_t)ATTRIBUTION_TAGS_MAX * ATTRIBUTION_VALUE_MAX * 8);
    ao_jw_init(&w, &text);
    ao_jw_array_begin(&w);
    for (size_t i = 0; i < tags->count && !err; i++)
        err = add_tags(&w, tags->items[i], &count, ret_error);
    ao_jw_array_end(&w);
    if (!err && count) {
        who->tags = ao_buf_detach(&text, NULL);
        err = who->tags ? AO_OK : AO_ERR_NOMEM;
    }
    ao_buf_release(&text);
    return err;
}

/* ---- life ---- */

int attribution_init(struct attribution *who, const struct attribution_options *options, struct ao_str baggage,
                     char **ret_error)
{
    *who = (struct attribution){.style = options->session_style == SESSION_TRACE ? SESSION_TRACE : SESSION_LINKED};
    *ret_error = NULL;
    int err = read_key(who, options, ret_error);
    if (!err)
        err = take_options(who, options, ret_error);
    if (!err)
        err = take_tags(who, &options->tags, ret_error);
    if (!err)
        err = take_baggage(who, baggage);
    if (err)
        attribution_release(who);
    return err;
}

void attribution_release(struct attribution *who)
{
    for (size_t i = 0; i < ATTRIBUTION_COUNT; i++)
        ao_free(who->values[i]);
    ao_free(who->tags);
    explicit_bzero(who, sizeof(*who));
}

int attribution_inherit(struct attribution *who, const struct run *run)
{
    for (size_t i = 0; i < ATTRIBUTION_COUNT; i++) {
        const char *value = i == ATTRIBUTION_SESSION ? run->session_id
                            : i == ATTRIBUTION_USER  ? run->user_id
                                                     : run->who[i - ATTRIBUTION_WHO];
        if (!value || who->own[i])
            continue;
        ao_free(who->values[i]);
        who->values[i] = ao_strdup(ao_str_from(value));
        if (!who->values[i])
            return AO_ERR_NOMEM;
    }
    return AO_OK;
}

/* ---- going out ---- */

int attribution_baggage(const struct attribution *who, struct ao_str baggage, struct ao_buf *out)
{
    struct ao_buf now, next;
    ao_buf_init(&now, AO_BAGGAGE_MAX + 1);
    ao_buf_init(&next, AO_BAGGAGE_MAX + 1);
    if (baggage.ptr)
        ao_buf_add_str(&now, baggage);
    int err = ao_buf_err(&now);
    for (size_t i = 0; i < ATTRIBUTION_COUNT && !err; i++) {
        if (!who->values[i] || !(who->own[i] || (i == ATTRIBUTION_USER && who->pseudonymise)))
            continue;
        ao_buf_clear(&next);
        err = ao_baggage_set(ao_buf_str(&now), ao_str_from(attribution_names[i].baggage), ao_str_from(who->values[i]),
                             &next);
        struct ao_buf old = now;
        now = next;
        next = old;
    }
    if (!err)
        ao_buf_add_str(out, ao_buf_str(&now));
    ao_buf_release(&now);
    ao_buf_release(&next);
    return err ? err : ao_buf_err(out);
}
