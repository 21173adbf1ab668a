#include "host/sinks/sinks_docs.h"

#include "host/sinks/otlp_presets.h"

static void add_code(struct ao_buf *out, const char *text)
{
    ao_buf_add_char(out, '`');
    ao_buf_add_cstr(out, text);
    ao_buf_add_char(out, '`');
}

/* "`A` and `B`" */
static void add_list(struct ao_buf *out, const char *const *names, size_t count, const char *between)
{
    for (size_t i = 0; i < count && names[i]; i++) {
        ao_buf_add_cstr(out, i ? between : "");
        add_code(out, names[i]);
    }
}

static void add_place(struct ao_buf *out, const struct otlp_preset *preset)
{
    if (preset == &otlp_presets[OTLP_DATADOG]) {
        ao_buf_add_cstr(out, "`https://otlp.`, then `DD_SITE` (`datadoghq.com`), then `/v1/traces`");
    } else if (preset == &otlp_presets[OTLP_SENTRY]) {
        ao_buf_add_cstr(out, "where the DSN says, `/api/PROJECT/integration/otlp/v1/traces`");
    } else if (preset->url) {
        ao_buf_add_cstr(out, "`OTEL_EXPORTER_OTLP_ENDPOINT` and `/v1/traces`, or `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`");
    } else {
        add_list(out, preset->bases, OTLP_VARIABLES_MAX, " or ");
        if (preset->base) {
            ao_buf_add_cstr(out, " (");
            add_code(out, preset->base);
            ao_buf_add_char(out, ')');
        }
        ao_buf_add_cstr(out, ", then ");
        add_code(out, preset->path);
    }
}

static void add_headers(struct ao_buf *out, const struct otlp_preset *preset)
{
    size_t count = 0;
    for (; count < OTLP_HEADERS_MAX && preset->headers[count].name; count++) {
        const struct otlp_header *header = &preset->headers[count];
        ao_buf_add_cstr(out, count ? ", " : "");
        ao_buf_add_char(out, '`');
        ao_buf_add_cstr(out, header->name);
        ao_buf_add_cstr(out, ": ");
        ao_buf_add_cstr(out, header->prefix);
        ao_buf_add_cstr(out, header->secret ? "base64(" : "");
        ao_buf_add_cstr(out, header->variable ? header->variable : "");
        ao_buf_add_cstr(out, header->secret ? ":" : "");
        ao_buf_add_cstr(out, header->secret ? header->secret : "");
        ao_buf_add_cstr(out, header->secret ? ")`" : "`");
    }
    if (preset->more_headers)
        ao_buf_add_cstr(out, "`x-sentry-auth: sentry sentry_key=` and the DSN's key");
    if (count && preset->header_lists[0])
        ao_buf_add_cstr(out, ", ");
    add_list(out, preset->header_lists, OTLP_VARIABLES_MAX, " or ");
}

static void add_vocabularies(struct ao_buf *out, unsigned vocabularies)
{
    ao_buf_add_cstr(out, "GenAI");
    ao_buf_add_cstr(out, vocabularies & AO_OTLP_OPENINFERENCE ? ", OpenInference" : "");
    ao_buf_add_cstr(out, vocabularies & AO_OTLP_LANGFUSE ? ", `langfuse.*`" : "");
    ao_buf_add_cstr(out, vocabularies & AO_OTLP_LOGFIRE ? ", `operation.cost`" : "");
}

static void add_preset(struct ao_buf *out, const struct otlp_preset *preset)
{
    ao_buf_add_cstr(out, "| ");
    add_code(out, preset->kind.name);
    ao_buf_add_cstr(out, " | ");
    ao_buf_add_cstr(out, preset->title);
    ao_buf_add_cstr(out, " | ");
    if (preset->keys[0])
        add_list(out, preset->keys, OTLP_VARIABLES_MAX, ", ");
    else
        add_code(out, preset->kind.variable);
    ao_buf_add_cstr(out, preset->kind.named ? ", and `AGENTOBS_SINKS` | " : " | ");
    add_place(out, preset);
    ao_buf_add_cstr(out, " | ");
    add_headers(out, preset);
    ao_buf_add_cstr(out, " | ");
    add_vocabularies(out, preset->vocabularies);
    ao_buf_add_cstr(out, " |\n");
}

static void add_setting(struct ao_buf *out, const struct config_row *row)
{
    ao_buf_add_cstr(out, "| ");
    add_code(out, row->name);
    ao_buf_add_cstr(out, " | ");
    if (row->fallback)
        add_code(out, row->fallback);
    ao_buf_add_cstr(out, config_row_is_secret(row) ? " | secret | " : " | | ");
    ao_buf_add_cstr(out, row->help);
    ao_buf_add_cstr(out, " |\n");
}

int sinks_markdown(struct ao_buf *out)
{
    ao_buf_add_cstr(out, "| sink | backend | switched on by | where | headers | attributes |\n"
                         "| --- | --- | --- | --- | --- | --- |\n");
    for (size_t i = 0; i < OTLP_PRESET_COUNT; i++)
        add_preset(out, &otlp_presets[i]);
    ao_buf_add_cstr(out, "\n| variable | default | | meaning |\n| --- | --- | --- | --- |\n");
    for (size_t i = 0; i < config_row_count; i++)
        if (strncmp(config_rows[i].name, "E2B_", 4) != 0) /* E2B is asked, not sent to */
            add_setting(out, &config_rows[i]);
    return ao_buf_err(out);
}
