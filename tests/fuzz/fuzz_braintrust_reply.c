/* Answers of a server, or of whatever stands between: never a crash, and only clean values come out. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "host/sinks/braintrust_reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect_clean(const char *text, const char *prefix)
{
    if (!text || !*text || strlen(text) > 8192 || strncmp(text, prefix, strlen(prefix)) != 0)
        abort();
    for (const char *p = text; *p; p++)
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            abort();
}

static void try_login(struct ao_str body, const char *org)
{
    struct bt_login login = {0};
    struct ao_buf names;
    ao_buf_init(&names, 1024);
    if (bt_login_parse(body, org, &login, &names) == AO_OK) {
        expect_clean(login.org_id, "");
        expect_clean(login.org_name, "");
        if (login.api_url)
            expect_clean(login.api_url, "http");
        if (org && strcmp(login.org_name, org) != 0)
            abort();
        bt_login_release(&login);
    }
    ao_buf_release(&names);
}

static void expect_pairs(const struct ao_buf *pairs)
{
    size_t strings = 0;
    if (pairs->len && pairs->data[pairs->len - 1] != '\0')
        abort();
    for (size_t i = 0; i < pairs->len; i++)
        strings += pairs->data[i] == '\0';
    if (strings % 2)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ao_str body = {(const char *)data, size};
    struct bt_project project = {0};
    struct bt_upload upload = {0};
    try_login(body, NULL);
    try_login(body, "org");
    if (bt_project_parse(body, &project) == AO_OK) {
        if (!bt_is_uuid(ao_str_from(project.id)))
            abort();
        if (project.name)
            expect_clean(project.name, "");
        bt_project_release(&project);
    }
    if (bt_upload_parse(body, &upload) == AO_OK) {
        expect_clean(upload.url, "http");
        expect_clean(upload.key, "");
        expect_pairs(&upload.headers);
        expect_pairs(&upload.fields);
        bt_upload_release(&upload);
    }
    (void)bt_version_parse(body);
    (void)bt_body_is_answer(body);
    return 0;
}
