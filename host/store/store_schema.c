/*
 * The schema, as migrations. A released migration is never edited: a change is a
 * new one at the end. Ids are blobs, times ns since the Unix epoch, money
 * pico-USD, NULL where a thing is not known.
 *
 * Triggers write the log, so that no change of a span can miss it.
 */
#include <stdio.h>

#include "host/store/store_private.h"

#define TEXT_OF(number) #number
#define NUMBER_TEXT(number) TEXT_OF(number)

static const char migration_1[] =
    "PRAGMA application_id = " NUMBER_TEXT(STORE_APPLICATION_ID) ";"
    "CREATE TABLE runs("
    " id INTEGER PRIMARY KEY,"
    " trace_id BLOB NOT NULL UNIQUE CHECK(length(trace_id) = 16),"
    " root_id BLOB CHECK(length(root_id) = 8),"
    " run_id TEXT, session_id TEXT, stream_key TEXT, command TEXT, source TEXT, braintrust_parent TEXT,"
    " start INTEGER NOT NULL, \"end\" INTEGER NOT NULL,"
    " status INTEGER NOT NULL, exit_code INTEGER NOT NULL, cost_pusd INTEGER, report TEXT);"
    "CREATE INDEX runs_by_start ON runs(start);"
    "CREATE INDEX runs_by_run_id ON runs(run_id);"
    "CREATE INDEX runs_by_session ON runs(session_id, start);"

    "CREATE TABLE spans("
    " id INTEGER PRIMARY KEY,"
    " trace_id BLOB NOT NULL CHECK(length(trace_id) = 16),"
    " span_id BLOB NOT NULL CHECK(length(span_id) = 8),"
    " parent_id BLOB CHECK(length(parent_id) = 8),"
    " start INTEGER NOT NULL, \"end\" INTEGER NOT NULL,"
    " bytes INTEGER NOT NULL," /* of its texts: what a batch counts */
    " unfinished INTEGER NOT NULL, status INTEGER NOT NULL, origin INTEGER NOT NULL,"
    " first_token INTEGER NOT NULL, cost_pusd INTEGER, cost_basis TEXT,"
    " usage_known INTEGER NOT NULL, usage_input INTEGER NOT NULL, usage_output INTEGER NOT NULL,"
    " usage_cache_read INTEGER NOT NULL, usage_cache_write INTEGER NOT NULL,"
    " usage_cache_write_5m INTEGER NOT NULL, usage_cache_write_1h INTEGER NOT NULL,"
    " usage_thinking INTEGER NOT NULL, usage_web_search INTEGER NOT NULL,"
    " name TEXT, type TEXT, model TEXT, message_id TEXT, request_id TEXT, tool_call_id TEXT,"
    " session_id TEXT, user_id TEXT, error_type TEXT, error_message TEXT, error_stack TEXT,"
    " tags TEXT, metrics TEXT, metadata TEXT, attributes TEXT, input TEXT, output TEXT);"
    "CREATE UNIQUE INDEX spans_by_id ON spans(trace_id, span_id);"
    "CREATE INDEX spans_by_start ON spans(trace_id, start);"

    "CREATE TABLE events("
    " id INTEGER PRIMARY KEY,"
    " trace_id BLOB NOT NULL CHECK(length(trace_id) = 16),"
    " span_id BLOB CHECK(length(span_id) = 8),"
    " time INTEGER NOT NULL, bytes INTEGER NOT NULL, name TEXT, attributes TEXT);"
    "CREATE INDEX events_by_time ON events(trace_id, time);"

    "CREATE TABLE log("
    " position INTEGER PRIMARY KEY AUTOINCREMENT,"
    " span INTEGER REFERENCES spans(id), event INTEGER REFERENCES events(id),"
    " CHECK((span IS NULL) <> (event IS NULL)));"
    "CREATE INDEX log_of_span ON log(span) WHERE span IS NOT NULL;"
    "CREATE INDEX log_of_event ON log(event) WHERE event IS NOT NULL;"
    "CREATE TRIGGER span_added AFTER INSERT ON spans BEGIN INSERT INTO log(span) VALUES(new.id); END;"
    "CREATE TRIGGER span_changed AFTER UPDATE ON spans BEGIN INSERT INTO log(span) VALUES(new.id); END;"
    "CREATE TRIGGER event_added AFTER INSERT ON events BEGIN INSERT INTO log(event) VALUES(new.id); END;"

    "CREATE TABLE costs("
    " id INTEGER PRIMARY KEY,"
    " trace_id BLOB NOT NULL CHECK(length(trace_id) = 16),"
    " span_id BLOB CHECK(length(span_id) = 8),"
    " session_id TEXT, user_id TEXT, kind TEXT, model TEXT, basis TEXT, price_table TEXT, price_row TEXT,"
    " time INTEGER NOT NULL,"
    " usage_known INTEGER NOT NULL, usage_input INTEGER NOT NULL, usage_output INTEGER NOT NULL,"
    " usage_cache_read INTEGER NOT NULL, usage_cache_write INTEGER NOT NULL,"
    " usage_cache_write_5m INTEGER NOT NULL, usage_cache_write_1h INTEGER NOT NULL,"
    " usage_thinking INTEGER NOT NULL, usage_web_search INTEGER NOT NULL,"
    " cost_pusd INTEGER, input_pusd INTEGER NOT NULL, output_pusd INTEGER NOT NULL,"
    " cache_read_pusd INTEGER NOT NULL, cache_write_5m_pusd INTEGER NOT NULL,"
    " cache_write_1h_pusd INTEGER NOT NULL, web_search_pusd INTEGER NOT NULL,"
    " seconds_ns INTEGER NOT NULL, cpu_pusd INTEGER NOT NULL, memory_pusd INTEGER NOT NULL,"
    " vcpus INTEGER NOT NULL, memory_mib INTEGER NOT NULL);"
    "CREATE INDEX costs_by_trace ON costs(trace_id, time);"
    "CREATE INDEX costs_by_time ON costs(time);"

    "CREATE TABLE cursors("
    " sink TEXT PRIMARY KEY,"
    " position INTEGER NOT NULL, delivered INTEGER NOT NULL DEFAULT 0, rejected INTEGER NOT NULL DEFAULT 0,"
    " last_error TEXT, last_success INTEGER NOT NULL DEFAULT 0,"
    " lease_owner TEXT, lease_until INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;"

    "CREATE TABLE quarantine("
    " id INTEGER PRIMARY KEY,"
    " sink TEXT NOT NULL, position INTEGER NOT NULL REFERENCES log(position),"
    " time INTEGER NOT NULL, reason TEXT,"
    " UNIQUE(sink, position));";

/*
 * Several runs may belong to one trace: a run is found by its trace and its root. Runs and costs say whom they are for;
 * costs say which response was billed, so that no response is billed twice.
 */
static const char migration_2[] =
    "CREATE TABLE runs_2("
    " id INTEGER PRIMARY KEY,"
    " trace_id BLOB NOT NULL CHECK(length(trace_id) = 16),"
    " root_id BLOB CHECK(length(root_id) = 8),"
    " run_id TEXT, session_id TEXT, stream_key TEXT, command TEXT, source TEXT, braintrust_parent TEXT,"
    " start INTEGER NOT NULL, \"end\" INTEGER NOT NULL,"
    " status INTEGER NOT NULL, exit_code INTEGER NOT NULL, cost_pusd INTEGER, report TEXT,"
    " user_id TEXT, tenant TEXT, team TEXT, organization TEXT, unit TEXT, feature TEXT);"
    "INSERT INTO runs_2(id, trace_id, root_id, run_id, session_id, stream_key, command, source, braintrust_parent,"
    " start, \"end\", status, exit_code, cost_pusd, report)"
    " SELECT id, trace_id, root_id, run_id, session_id, stream_key, command, source, braintrust_parent,"
    " start, \"end\", status, exit_code, cost_pusd, report FROM runs;"
    "DROP TABLE runs;"
    "ALTER TABLE runs_2 RENAME TO runs;"
    "CREATE UNIQUE INDEX runs_by_root ON runs(trace_id, ifnull(root_id, x''));"
    "CREATE INDEX runs_by_start ON runs(start);"
    "CREATE INDEX runs_by_run_id ON runs(run_id);"
    "CREATE INDEX runs_by_session ON runs(session_id, start);"
    "CREATE INDEX runs_by_user ON runs(user_id) WHERE user_id IS NOT NULL;"
    "CREATE INDEX runs_by_tenant ON runs(tenant) WHERE tenant IS NOT NULL;"

    "ALTER TABLE costs ADD COLUMN root_id BLOB CHECK(length(root_id) = 8);"
    "ALTER TABLE costs ADD COLUMN agent_session_id TEXT;"
    "ALTER TABLE costs ADD COLUMN message_id TEXT;"
    "ALTER TABLE costs ADD COLUMN tenant TEXT;"
    "ALTER TABLE costs ADD COLUMN team TEXT;"
    "ALTER TABLE costs ADD COLUMN organization TEXT;"
    "ALTER TABLE costs ADD COLUMN unit TEXT;"
    "ALTER TABLE costs ADD COLUMN feature TEXT;"
    "UPDATE costs SET root_id = (SELECT r.root_id FROM runs r WHERE r.trace_id = costs.trace_id),"
    " agent_session_id = CASE WHEN kind = 'e2b' THEN NULL ELSE session_id END,"
    " message_id = (SELECT s.message_id FROM spans s WHERE s.trace_id = costs.trace_id AND s.span_id = costs.span_id);"
    "UPDATE runs SET user_id = (SELECT c.user_id FROM costs c WHERE c.trace_id = runs.trace_id AND"
    " c.user_id IS NOT NULL ORDER BY c.id LIMIT 1);"
    "CREATE INDEX costs_by_message ON costs(message_id) WHERE message_id IS NOT NULL;"
    "CREATE INDEX costs_by_agent_session ON costs(agent_session_id) WHERE agent_session_id IS NOT NULL;";

/* What a cost was computed from, so that another price table can be tried on it; rules is NULL where it was not kept. */
static const char migration_3[] =
    "ALTER TABLE costs ADD COLUMN priced_as TEXT;"
    "ALTER TABLE costs ADD COLUMN speed INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE costs ADD COLUMN geo INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE costs ADD COLUMN tier INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE costs ADD COLUMN rules INTEGER;";

/* Of sessions that began as a copy of another: what was billed for the other until then is inside their totals. */
static const char migration_4[] =
    "CREATE TABLE forks("
    " session_id TEXT PRIMARY KEY, parent TEXT NOT NULL, until INTEGER NOT NULL,"
    " usage_input INTEGER NOT NULL, usage_output INTEGER NOT NULL, usage_cache_read INTEGER NOT NULL,"
    " usage_cache_write INTEGER NOT NULL) WITHOUT ROWID;";

/*
 * Which sandbox a cost is for, by whose word (E2B_SOURCE_x by name), whether the host named it, until when it is billed,
 * whether that is its last word, and the time in between that was paused.
 */
static const char migration_5[] =
    "ALTER TABLE costs ADD COLUMN sandbox_id TEXT;"
    "ALTER TABLE costs ADD COLUMN sandbox_source TEXT;"
    "ALTER TABLE costs ADD COLUMN sandbox_named INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE costs ADD COLUMN sandbox_final INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE costs ADD COLUMN sandbox_until INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE costs ADD COLUMN paused_ns INTEGER NOT NULL DEFAULT 0;"
    "CREATE INDEX costs_by_sandbox ON costs(sandbox_id) WHERE sandbox_id IS NOT NULL;";

/*
 * For sinks that take a span once, when it has ended (store_read_ended): `ended` marks the one change of a span that is
 * for them. An event goes with its span; one that comes after it is marked itself. `sink`: a change is for this one
 * only, which refused it before.
 */
static const char migration_6[] =
    "ALTER TABLE log ADD COLUMN ended INTEGER;"
    "ALTER TABLE log ADD COLUMN sink TEXT;"
    "UPDATE log SET ended = 1 WHERE position IN (SELECT max(l.position) FROM log l JOIN spans s ON s.id = l.span"
    " WHERE s.\"end\" <> 0 GROUP BY l.span);"
    "CREATE INDEX events_by_span ON events(trace_id, span_id, time);"
    "DROP TRIGGER span_added;"
    "DROP TRIGGER span_changed;"
    "DROP TRIGGER event_added;"
    "CREATE TRIGGER span_added AFTER INSERT ON spans BEGIN"
    " INSERT INTO log(span, ended) VALUES(new.id, CASE WHEN new.\"end\" <> 0 THEN 1 END); END;"
    "CREATE TRIGGER span_changed AFTER UPDATE ON spans BEGIN"
    " INSERT INTO log(span, ended) VALUES(new.id, CASE WHEN new.\"end\" <> 0 AND NOT EXISTS"
    " (SELECT 1 FROM log WHERE span = new.id AND ended) THEN 1 END); END;"
    "CREATE TRIGGER event_added AFTER INSERT ON events BEGIN"
    " INSERT INTO log(event, ended) VALUES(new.id, CASE WHEN EXISTS"
    " (SELECT 1 FROM spans s JOIN log l ON l.span = s.id WHERE s.trace_id = new.trace_id AND l.ended AND s.span_id ="
    " ifnull(new.span_id, (SELECT root_id FROM runs WHERE trace_id = new.trace_id ORDER BY id LIMIT 1))) THEN 1 END);"
    " END;";

/* Several events of one instant may have all else the same. */
static const char migration_7[] = "ALTER TABLE events ADD COLUMN ordinal INTEGER NOT NULL DEFAULT 0;";

const char *const store_migrations[] = {migration_1, migration_2, migration_3, migration_4, migration_5,
                                        migration_6, migration_7};
const int store_migration_count = (int)AO_ARRAY_LEN(store_migrations);

int store_ask(struct store *store, const char *sql, int *ret_value)
{
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(store->db, sql, -1, &stmt, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    int value = rc == SQLITE_ROW ? sqlite3_column_int(stmt, 0) : 0;
    sqlite3_finalize(stmt);
    if (rc != SQLITE_ROW)
        return store_fail(store, rc, "cannot read it");
    *ret_value = value;
    return AO_OK;
}

static int apply(struct store *store)
{
    int version;
    int err = store_ask(store, "PRAGMA user_version", &version); /* again: another process may have been faster */
    if (err)
        return err;
    char pragma[48];
    int rc = SQLITE_OK;
    for (int i = version; i < store_migration_count && rc == SQLITE_OK; i++)
        rc = sqlite3_exec(store->db, store_migrations[i], NULL, NULL, NULL);
    if (rc == SQLITE_OK && version < store_migration_count) {
        snprintf(pragma, sizeof(pragma), "PRAGMA user_version = %d", store_migration_count);
        rc = sqlite3_exec(store->db, pragma, NULL, NULL, NULL);
    }
    return rc == SQLITE_OK ? AO_OK : store_fail(store, rc, "cannot make the tables");
}

int store_migrate(struct store *store)
{
    int version;
    int err = store_ask(store, "PRAGMA user_version", &version);
    if (err || version == store_migration_count)
        return err;
    int rc = sqlite3_exec(store->db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    if (rc != SQLITE_OK)
        return store_fail(store, rc, "cannot make the tables");
    err = apply(store);
    if (!err) {
        rc = sqlite3_exec(store->db, "COMMIT", NULL, NULL, NULL);
        err = rc == SQLITE_OK ? AO_OK : store_fail(store, rc, "cannot make the tables");
    }
    if (err && !sqlite3_get_autocommit(store->db))
        sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
    return err;
}
