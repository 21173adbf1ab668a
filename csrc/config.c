#include "csrc/config.h"

static bool parse_number(const char *text, uint64_t *ret_value)
{
    uint64_t value = 0;
    if (!*text)
        return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9' || value > UINT64_MAX / 10 - 9)
            return false;
        value = value * 10 + (uint64_t)(*text - '0');
    }
    *ret_value = value;
    return true;
}

static bool equals_word(const char *text, const char *word)
{
    for (; *text && *word; text++, word++) {
        char c = *text >= 'A' && *text <= 'Z' ? (char)(*text - 'A' + 'a') : *text;
        if (c != *word)
            return false;
    }
    return *text == *word;
}

static bool parse_switch(const char *text, bool *ret_value)
{
    static const char *const on[] = {"1", "true", "yes", "on"};
    static const char *const off[] = {"0", "false", "no", "off"};
    for (size_t i = 0; i < AO_ARRAY_LEN(on); i++) {
        if (equals_word(text, on[i]) || equals_word(text, off[i])) {
            *ret_value = equals_word(text, on[i]);
            return true;
        }
    }
    return false;
}

/* NULL also when empty, as OpenTelemetry asks. */
static const char *get(const struct ao_config_source *source, const char *name)
{
    const char *text = source->get(source->user, name);
    return text && *text ? text : NULL;
}

static void complain(const struct ao_config_source *source, const char *name, const char *clause)
{
    if (source->complain)
        source->complain(source->user, name, clause);
}

static uint64_t read_number(const struct ao_config_source *source, const char *name, uint64_t def, uint64_t least,
                            uint64_t most)
{
    const char *text = get(source, name);
    uint64_t value;
    if (!text)
        return def;
    if (parse_number(text, &value) && value >= least && value <= most)
        return value;
    complain(source, name, "is not a number in its range; the default is used");
    return def;
}

static bool read_switch(const struct ao_config_source *source, const char *name, bool def)
{
    const char *text = get(source, name);
    bool value = def;
    if (text && !parse_switch(text, &value))
        complain(source, name, "is neither 1 nor 0; the default is used");
    return value;
}

static void read_content(const struct ao_config_source *source, struct ao_config *config)
{
    static const char prefix[] = "truncated:";
    const char *text = get(source, "AGENTOBS_CONTENT");
    config->content = AO_CONTENT_FULL;
    if (!text || equals_word(text, "full"))
        return;
    if (equals_word(text, "none")) {
        config->content = AO_CONTENT_NONE;
    } else if (strncmp(text, prefix, sizeof(prefix) - 1) == 0 &&
               parse_number(text + sizeof(prefix) - 1, &config->content_chars)) {
        config->content = AO_CONTENT_TRUNCATED;
    } else {
        /* Somebody wanted less than everything: on a doubt, less is recorded. */
        config->content = AO_CONTENT_NONE;
        complain(source, "AGENTOBS_CONTENT", "is not full, truncated:N or none; none is used");
    }
}

static bool is_key(const char *text)
{
    size_t len = strlen(text);
    for (size_t i = 0; i < len; i++)
        if (!((text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f')))
            return false;
    return len == AO_KEY_LEN;
}

static void read_recording(const struct ao_config_source *source, struct ao_config *config)
{
    const char *key = get(source, "AGENTOBS_STREAM_KEY");
    bool wanted = read_switch(source, "AGENTOBS", key != NULL);
    if (key && is_key(key)) {
        memcpy(config->key, key, AO_KEY_LEN);
        config->has_key = true;
    } else if (key) {
        complain(source, "AGENTOBS_STREAM_KEY", "is not 32 hex digits; nothing is recorded");
        wanted = false;
    }
    config->recording = wanted && !config->otel_disabled;
}

static void read_patterns(const struct ao_config_source *source, struct ao_config *config)
{
    const char *text = get(source, "AGENTOBS_REDACT_PATTERNS");
    if (!text)
        return;
    if (strlen(text) > AO_NAME_MAX)
        complain(source, "AGENTOBS_REDACT_PATTERNS", "is too long; it is ignored");
    else
        memcpy(config->patterns, text, strlen(text));
}

void ao_config_read(const struct ao_config_source *source, struct ao_config *ret_config)
{
    memset(ret_config, 0, sizeof(*ret_config));
#define READ_NUMBER(member, env, def, least, most, meaning) \
    ret_config->member = read_number(source, env, def, least, most);
    AO_NUMBER_OPTIONS(READ_NUMBER)
#undef READ_NUMBER
#define READ_SWITCH(member, env, def, meaning) ret_config->member = read_switch(source, env, def);
    AO_SWITCH_OPTIONS(READ_SWITCH)
#undef READ_SWITCH
    if (ret_config->span_attribute_count == AO_UNSET)
        ret_config->span_attribute_count = ret_config->attribute_count;
    if (ret_config->span_attribute_bytes == AO_UNSET)
        ret_config->span_attribute_bytes = ret_config->attribute_bytes;
    if (ret_config->event_attribute_count == AO_UNSET)
        ret_config->event_attribute_count = ret_config->attribute_count;
    read_content(source, ret_config);
    read_recording(source, ret_config);
    read_patterns(source, ret_config);
}
