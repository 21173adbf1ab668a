/* agentobs-host costs --settle: the words. */
#include <stdio.h>

#include "core/json.h"
#include "core/mem.h"
#include "host/clock.h"
#include "host/e2b/settle.h"
#include "host/exit_codes.h"
#include "host/sinks/config.h"
#include "host/view/console.h"
#include "host/view/json_out.h"

struct settle_output {
    struct console console;
    struct ao_buf buf;
    struct ao_jw *w; /* NULL: words */
    struct ao_jw writer;
    size_t sandboxes;
};

static void print_news(struct settle_output *out, const struct settle_news *news)
{
    static const char *const reasons[] = {
        [SETTLE_DONE] = "",
        [SETTLE_RUNNING] = "it has not ended; its cost stays provisional",
        [SETTLE_UNKNOWN] = "E2B does not know all of its life (it keeps events for 7 days); its cost stays as it is",
        [SETTLE_REFUSED] = "runs that only say that they were in it, and cannot have been, are not billed by it",
        [SETTLE_FAILED] = "E2B's API did not answer in time",
    };
    char before[CONSOLE_NUMBER], after[CONSOLE_NUMBER];
    struct ao_buf reason;
    ao_buf_init(&reason, 4096);
    bool told = news->problem && news->result != SETTLE_UNKNOWN;
    console_escape(&reason, ao_str_from(told ? news->problem : reasons[news->result]));
    console_format_money(news->before_pusd, before);
    console_format_money(news->after_pusd, after);
    printf("%-22s %s%-8s%s %12s -> %-12s %.*s\n", news->sandbox_id,
           console_style(&out->console, news->result == SETTLE_DONE ? STYLE_GREEN : STYLE_YELLOW),
           settle_result_name(news->result), console_style(&out->console, STYLE_PLAIN), before, after, (int)reason.len,
           reason.len ? reason.data : "");
    ao_buf_release(&reason);
}

static void take_news(void *user, const struct settle_news *news)
{
    struct settle_output *out = user;
    out->sandboxes++;
    if (!out->w) {
        print_news(out, news);
        return;
    }
    ao_jw_object_begin(out->w);
    json_out_text(out->w, "sandbox_id", news->sandbox_id);
    json_out_text(out->w, "result", settle_result_name(news->result));
    ao_jw_key_u64(out->w, "runs", news->runs);
    json_out_usd(out->w, "before_usd", news->before_pusd);
    json_out_usd(out->w, "after_usd", news->after_pusd);
    json_out_text(out->w, "problem", news->problem);
    ao_jw_object_end(out->w);
}

static int settle_all(struct settle_config *config, struct settle_output *out)
{
    if (out->w)
        ao_jw_array_begin(out->w);
    int err = settle(config);
    if (out->w) {
        ao_jw_array_end(out->w);
        ao_buf_add_char(&out->buf, '\n');
        int failed = json_out_flush(&out->buf, stdout);
        err = err ? err : failed;
    } else if (!err && out->sandboxes == 0) {
        console_say("no sandbox has a provisional cost");
    }
    if (err && err != AO_ERR_BUSY && err != AO_ERR_USAGE)
        console_say("%s", ao_err_text(err));
    return err ? AO_EXIT_FAILURE : AO_EXIT_OK;
}

int costs_settle(struct store *store, const struct ao_e2b_price *price, bool json)
{
    struct settle_output out = {.w = NULL};
    struct e2b_access access = {.url = NULL};
    struct config *config = NULL;
    struct http *http = NULL;
    char *error = NULL;
    int code = AO_EXIT_USAGE, err = config_load(NULL, &config, &error);
    if (!err)
        err = e2b_access_init(&access, config, &error);
    if (err) {
        console_say_text(error ? error : ao_err_text(err));
    } else if (!access.key) {
        console_say("costs --settle needs E2B_API_KEY, in the environment or in .env");
    } else if ((err = http_new(&http)) != AO_OK) {
        console_say("%s", ao_err_text(err));
        code = AO_EXIT_FAILURE;
    } else {
        console_init(&out.console, stdout);
        ao_buf_init(&out.buf, JSON_OUT_MAX);
        ao_jw_init(&out.writer, &out.buf);
        out.w = json ? &out.writer : NULL;
        struct settle_config settling = {.store = store, .http = http, .access = &access, .price = price,
                                         .clock = clock_now, .news = take_news, .user = &out};
        code = settle_all(&settling, &out);
        ao_buf_release(&out.buf);
    }
    http_free(http);
    e2b_access_release(&access);
    config_free(config);
    ao_free(error);
    return code;
}
