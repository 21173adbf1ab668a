/* The dotenv parser: never crashes, keys and values are clean, and a message never quotes the file. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "host/sinks/env_file.h"
#include "host/sinks/env_parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct env_list list = {0};
    char *error = NULL;
    int err = env_list_parse("p", (struct ao_str){(const char *)data, size}, NULL, &list, &error);
    if ((err == AO_ERR_SYNTAX) != (error != NULL) || (err && list.entries))
        abort();
    if (error && (strncmp(error, "p:", 2) != 0 || strlen(error) > 80))
        abort();
    unsigned line = 0;
    for (size_t i = 0; i < list.count; i++) {
        const struct env_entry *entry = &list.entries[i];
        size_t len = strlen(entry->key);
        if (len == 0 || len > ENV_KEY_MAX || strpbrk(entry->key, " \t\r\n='\"#") || entry->line <= line)
            abort();
        if (!env_list_find(&list, entry->key))
            abort();
        line = entry->line;
    }
    env_list_release(&list);
    ao_free(error);
    return 0;
}
