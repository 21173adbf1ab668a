/* agentobs-host schema: the record format and the backends, from the lists that the program itself works by. */
#include <stdio.h>

#include "core/record.h"
#include "host/commands/commands.h"
#include "host/exit_codes.h"
#include "host/sinks/sinks_docs.h"
#include "host/view/console.h"

#define SCHEMA_MAX (1024u * 1024)

struct schema_options {
    bool markdown, backends;
};

static const struct option_spec schema_specs[] = {
    {"markdown", 0, OPTION_FLAG, offsetof(struct schema_options, markdown), NULL, NULL, NULL,
     "for people: the text of docs/record-format.md"},
    {"backends", 0, OPTION_FLAG, offsetof(struct schema_options, backends), NULL, NULL, NULL,
     "instead: the backends and their settings, as tables in Markdown"},
};

const struct options_page schema_page = {
    .usage = "schema [--markdown | --backends]",
    .about = "Prints the JSON Schema of one record, or what it is made of for people.",
    .specs = schema_specs,
    .count = AO_ARRAY_LEN(schema_specs),
};

int cmd_schema(int argc, char **argv)
{
    struct schema_options options;
    struct options_rest rest;
    struct ao_buf text;
    int code;
    if (!options_start(&schema_page, argc, argv, &options, &rest, &code))
        return code;
    ao_buf_init(&text, SCHEMA_MAX);
    int err = options.backends   ? sinks_markdown(&text)
              : options.markdown ? ao_record_markdown(&text)
                                 : ao_record_json_schema(&text);
    if (err)
        console_say("%s", ao_err_text(err));
    else
        fwrite(text.data, 1, text.len, stdout);
    if (!err && text.len && text.data[text.len - 1] != '\n')
        putchar('\n');
    ao_buf_release(&text);
    return err ? AO_EXIT_FAILURE : AO_EXIT_OK;
}
