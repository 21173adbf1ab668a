/* agentobs-host version */
#include <curl/curl.h>
#include <sqlite3.h>
#include <stdio.h>

#include "core/base.h"
#include "host/commands/commands.h"
#include "host/exit_codes.h"

struct version_options {
    bool json;
};

static const struct option_spec version_specs[] = {
    {"json", 0, OPTION_FLAG, offsetof(struct version_options, json), NULL, NULL, NULL, "a JSON object"},
};

const struct options_page version_page = {
    .usage = "version [--json]",
    .about = "Prints the version of this program, of the record schema, and of the libraries in use.",
    .specs = version_specs,
    .count = AO_ARRAY_LEN(version_specs),
};

int cmd_version(int argc, char **argv)
{
    struct version_options options;
    struct options_rest rest;
    int code;
    if (!options_start(&version_page, argc, argv, &options, &rest, &code))
        return code;
    const curl_version_info_data *curl = curl_version_info(CURLVERSION_NOW);
    printf(options.json ? "{\"version\":\"%s\",\"record_schema\":%d,\"sqlite\":\"%s\",\"curl\":\"%s\"}\n"
                        : "agentobs-host %s (record schema %d, SQLite %s, libcurl %s)\n",
           AO_VERSION, AO_SCHEMA_VERSION, sqlite3_libversion(), curl->version);
    return AO_EXIT_OK;
}
