/* agentobs-host schema: the record format, from the one list that the program itself reads by. */
#include <stdio.h>

#include "core/record.h"
#include "host/commands/commands.h"
#include "host/exit_codes.h"
#include "host/view/console.h"

#define SCHEMA_MAX (1024u * 1024)

struct schema_options {
    bool markdown;
};

static const struct option_spec schema_specs[] = {
    {"markdown", 0, OPTION_FLAG, offsetof(struct schema_options, markdown), NULL, NULL, NULL,
     "for people: the text of docs/record-format.md"},
};

const struct options_page schema_page = {
    .usage = "schema [--markdown]",
    .about = "Prints the JSON Schema of one record.",
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
    int err = options.markdown ? ao_record_markdown(&text) : ao_record_json_schema(&text);
    if (err)
        console_say("%s", ao_err_text(err));
    else
        fwrite(text.data, 1, text.len, stdout);
    if (!err && text.len && text.data[text.len - 1] != '\n')
        putchar('\n');
    ao_buf_release(&text);
    return err ? AO_EXIT_FAILURE : AO_EXIT_OK;
}
