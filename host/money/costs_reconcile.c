/* costs --reconcile: what reconcile.h found, for people and for scripts. */
#include <stdio.h>
#include <time.h>

#include "core/mem.h"
#include "host/clock.h"
#include "host/commands/command_store.h"
#include "host/exit_codes.h"
#include "host/money/cost_print.h"
#include "host/money/costs.h"
#include "host/money/reconcile.h"
#include "host/view/console.h"
#include "host/view/csv_out.h"
#include "host/view/json_out.h"

static const char *day_text(uint64_t day, char out[16])
{
    time_t seconds = (time_t)(day / CLOCK_SECOND);
    struct tm utc;
    if (day == 0 || !gmtime_r(&seconds, &utc) || !strftime(out, 16, "%Y-%m-%d", &utc))
        out[0] = '\0';
    return out;
}

/* ---- JSON ---- */

static void write_tokens(struct ao_jw *w, const char *key, const struct ao_usage *usage, bool known)
{
    ao_jw_key(w, ao_str_from(key));
    if (!known) {
        ao_jw_null(w);
        return;
    }
    ao_jw_object_begin(w);
    ao_jw_key_u64(w, "input", usage->input);
    ao_jw_key_u64(w, "output", usage->output);
    ao_jw_key_u64(w, "cache_read", usage->cache_read);
    ao_jw_key_u64(w, "cache_write", usage->cache_write);
    ao_jw_key_u64(w, "web_search_requests", usage->web_search_requests);
    ao_jw_object_end(w);
}

static void write_row(struct ao_jw *w, const struct recon_row *row)
{
    char day[16];
    ao_jw_object_begin(w);
    if (row->model) {
        json_out_text(w, "day", row->day ? day_text(row->day, day) : NULL);
        json_out_text(w, "model", row->model);
    }
    json_out_usd(w, "ours_usd", row->ours);
    json_out_usd(w, "theirs_usd", row->theirs);
    json_out_usd(w, "difference_usd", row->difference);
    ao_jw_key_u64(w, "our_unpriced", row->our_unpriced);
    ao_jw_key_u64(w, "their_unpriced", row->their_unpriced);
    write_tokens(w, "our_tokens", &row->our_usage, true);
    write_tokens(w, "their_tokens", &row->their_usage, row->has_their_usage);
    ao_jw_key(w, AO_STR("differences"));
    ao_jw_array_begin(w);
    for (enum recon_cause cause = 0; cause < CAUSE_COUNT; cause++) {
        if (row->causes[cause] == 0)
            continue;
        ao_jw_object_begin(w);
        json_out_text(w, "cause", recon_cause_name(cause));
        json_out_usd(w, "usd", row->causes[cause]);
        json_out_text(w, "why", recon_cause_text(cause));
        ao_jw_object_end(w);
    }
    ao_jw_array_end(w);
    ao_jw_object_end(w);
}

static int print_json(const struct reconciliation *r, const struct ao_price_table *table)
{
    struct ao_buf buf;
    struct ao_jw w;
    ao_buf_init(&buf, JSON_OUT_MAX);
    ao_jw_init(&w, &buf);
    ao_jw_object_begin(&w);
    json_out_text(&w, "compared_with", usage_export_name(r->kind));
    json_out_text(&w, "price_table", table->name);
    json_out_time(&w, "since", r->since);
    json_out_time(&w, "until", r->until);
    json_out_bool(&w, "incomplete", r->incomplete);
    ao_jw_key(&w, AO_STR("rows"));
    ao_jw_array_begin(&w);
    for (size_t i = 0; i < r->count; i++)
        write_row(&w, &r->rows[i]);
    ao_jw_array_end(&w);
    ao_jw_key(&w, AO_STR("total"));
    write_row(&w, &r->total);
    ao_jw_object_end(&w);
    ao_buf_add_char(&buf, '\n');
    int err = json_out_flush(&buf, stdout);
    ao_buf_release(&buf);
    return err ? AO_EXIT_FAILURE : AO_EXIT_OK;
}

/* ---- CSV: a line for each difference ---- */

static void print_csv(const struct reconciliation *r)
{
    char day[16];
    fputs("day,model,ours_usd,theirs_usd,difference_usd,cause,cause_usd\r\n", stdout);
    for (size_t i = 0; i < r->count; i++) {
        const struct recon_row *row = &r->rows[i];
        bool any = false;
        for (int cause = 0; cause <= CAUSE_COUNT; cause++) {
            bool listed = cause < CAUSE_COUNT && row->causes[cause] != 0;
            if (cause < CAUSE_COUNT ? !listed : any)
                continue;
            any = true;
            csv_out_text(day_text(row->day, day), true);
            csv_out_text(row->model, false);
            csv_out_usd(row->ours);
            csv_out_usd(row->theirs);
            csv_out_usd(row->difference);
            csv_out_text(listed ? recon_cause_name((enum recon_cause)cause) : "", false);
            csv_out_usd(listed ? row->causes[cause] : 0);
            csv_out_end();
        }
    }
}

/* ---- table ---- */

static void print_signed(const struct console *console, int64_t pusd, int columns)
{
    char text[CONSOLE_NUMBER], out[CONSOLE_NUMBER + 2];
    console_format_money(pusd < 0 ? -pusd : pusd, text);
    snprintf(out, sizeof(out), "%s%s", pusd > 0 ? "+" : pusd < 0 ? "-" : "", text);
    printf("%s%*s%s", console_style(console, pusd ? STYLE_YELLOW : STYLE_PLAIN), columns, out,
           console_style(console, STYLE_PLAIN));
}

static void print_causes(const struct console *console, const struct recon_row *row)
{
    for (enum recon_cause cause = 0; cause < CAUSE_COUNT; cause++) {
        if (row->causes[cause] == 0)
            continue;
        fputs("    ", stdout);
        print_signed(console, row->causes[cause], 14);
        printf("  %s\n", recon_cause_text(cause));
    }
}

static void print_row(const struct console *console, const struct recon_row *row, bool days)
{
    char day[16];
    if (days)
        printf("%-11s", row->model ? day_text(row->day, day) : "");
    cost_print_key(console, row->model ? row->model : "total", 28);
    cost_print_money(console, row->ours, false);
    putchar(' ');
    cost_print_money(console, row->theirs, false);
    putchar(' ');
    print_signed(console, row->difference, 12);
    if (row->our_unpriced || row->their_unpriced)
        fputs("  without a price: some of it", stdout);
    putchar('\n');
    print_causes(console, row);
}

static void print_table(const struct reconciliation *r)
{
    struct console console;
    bool days = r->count > 0 && r->rows[r->count - 1].day != 0;
    console_init(&console, stdout);
    printf("%s%s%-28s%11s %11s %12s%s\n", console_style(&console, STYLE_DIM), days ? "day        " : "", "model", "here",
           "there", "difference", console_style(&console, STYLE_PLAIN));
    for (size_t i = 0; i < r->count; i++)
        print_row(&console, &r->rows[i], days);
    if (r->count != 1)
        print_row(&console, &r->total, days);
    if (r->total.difference == 0 && r->count)
        puts("\nno difference");
}

/* ---- the command ---- */

static int print(const struct reconciliation *r, const struct costs_query *query)
{
    if (r->incomplete)
        console_say("the export says that it has more pages: what is on them counts as not seen there");
    if (query->format == COSTS_JSON)
        return print_json(r, query->prices);
    if (query->format == COSTS_CSV)
        print_csv(r);
    else if (r->count == 0)
        console_say("nothing to compare: neither side holds usage");
    else
        print_table(r);
    return AO_EXIT_OK;
}

/* Tokens of no model have no price. */
static bool lacks_models(const struct usage_export *export)
{
    bool lacks = false;
    for (size_t i = 0; i < export->count; i++)
        lacks |= export->rows[i].has_usage && !export->rows[i].has_cost &&
                 strcmp(export->rows[i].model, EXPORT_ALL_MODELS) == 0 && !ao_usage_is_zero(&export->rows[i].usage);
    return lacks;
}

int costs_reconcile(struct store *store, const struct costs_query *query, const char *path)
{
    struct usage_export export = {.kind = EXPORT_NONE};
    struct reconciliation result;
    char *error = NULL;
    int code = AO_EXIT_USAGE;
    int err = usage_export_load(path, query->prices, &export, &error);
    if (err) {
        console_say_text(error ? error : ao_err_text(err));
        ao_free(error);
        return err == AO_ERR_NOMEM ? AO_EXIT_FAILURE : AO_EXIT_USAGE;
    }
    if (lacks_models(&export)) {
        console_say("the usage report does not tell models: ask for it with group_by[]=model");
    } else if ((err = reconcile(store, &export, query->prices, &result))) {
        bool ours = err == AO_ERR_NOMEM || err == AO_ERR_OVERFLOW;
        if (ours)
            console_say("%s", ao_err_text(err));
        code = ours ? AO_EXIT_FAILURE : command_store_failed(store, err);
    } else {
        code = print(&result, query);
        reconciliation_release(&result);
    }
    usage_export_release(&export);
    return code;
}
