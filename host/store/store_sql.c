/* Every statement of the store. Parameters and columns stand in the order in which the C side binds and reads them. */
#include "host/store/store_private.h"

#define USAGE_COLUMNS(X) \
    X(usage_known)       \
    X(usage_input)       \
    X(usage_output)      \
    X(usage_cache_read)  \
    X(usage_cache_write) \
    X(usage_cache_write_5m) X(usage_cache_write_1h) X(usage_thinking) X(usage_web_search)

#define WHO_COLUMNS(X) X(tenant) X(team) X(organization) X(unit) X(feature)

/* The root's id comes first and is a part of the key. */
#define RUN_COLUMNS(X)                                                                                    \
    X(root_id) X(run_id) X(session_id) X(stream_key) X(command) X(source) X(braintrust_parent) X(start)   \
    X("end") X(status) X(exit_code) X(cost_pusd) X(report) X(user_id) WHO_COLUMNS(X)

#define SPAN_COLUMNS(X)                                                                                   \
    X(parent_id) X(start) X("end") X(bytes) X(unfinished) X(status) X(origin) X(first_token)              \
    X(cost_pusd) X(cost_basis) USAGE_COLUMNS(X) X(name) X(type) X(model) X(message_id) X(request_id)      \
    X(tool_call_id) X(session_id) X(user_id) X(error_type) X(error_message) X(error_stack) X(tags)        \
    X(metrics) X(metadata) X(attributes) X(input) X(output)

#define COST_COLUMNS(X)                                                                                   \
    X(span_id) X(session_id) X(user_id) X(kind) X(model) X(basis) X(price_table) X(price_row) X(time)     \
    USAGE_COLUMNS(X) X(cost_pusd) X(input_pusd) X(output_pusd) X(cache_read_pusd)                         \
    X(cache_write_5m_pusd) X(cache_write_1h_pusd) X(web_search_pusd) X(seconds_ns)   \
    X(cpu_pusd) X(memory_pusd) X(vcpus) X(memory_mib) X(root_id) X(agent_session_id) X(message_id) WHO_COLUMNS(X)   \
    X(priced_as) X(speed) X(geo) X(tier) X(rules)                                                         \
    X(sandbox_id) X(sandbox_source) X(sandbox_named) X(sandbox_final) X(sandbox_until) X(paused_ns)

/*
 * `end` is a keyword of SQL; as a string it comes through # already quoted. Of a
 * column that UPDATE sets twice the last counts: `status` only saves a comma.
 */
#define NAME(column) ", " #column
#define HOLE(column) ", ?"
#define SET(column) ", " #column "=?"
#define SAME(column) ", " #column "=excluded." #column
#define SPAN_NAME(column) ", s." #column

#define RUN_SELECT "SELECT trace_id" RUN_COLUMNS(NAME) " FROM runs"
#define SPAN_SELECT "SELECT s.trace_id, s.span_id" SPAN_COLUMNS(SPAN_NAME) " FROM spans s"
#define EVENT_SELECT "SELECT trace_id, span_id, time, name, attributes, ordinal FROM events"
#define EVENTS_IN_TIME " AND NOT EXISTS (SELECT 1 FROM log l WHERE l.event = events.id AND l.ended) ORDER BY time, id"
#define COST_SELECT "SELECT trace_id" COST_COLUMNS(NAME) " FROM costs"
#define CURSOR_SELECT "SELECT sink, position, delivered, rejected, last_error, last_success FROM cursors"

/*
 * What runs cost, and how often they turned and called tools: ?1 names whose, ?2 is the asking run's root, ?3 the time
 * from which on, ?4 the asking run's trace and ?5 its start. Runs of one trace share its spans. Money in two parts, so
 * that no sum overflows; tokens as total() adds them, for the same reason.
 */
#define HISTORY_SUMS                                                                                                 \
    "SELECT coalesce(sum(c.cost_pusd / 1000000), 0), coalesce(sum(c.cost_pusd % 1000000), 0),"                       \
    " total(c.usage_input) + total(c.usage_output) + total(c.usage_cache_read) + total(c.usage_cache_write)"
#define HISTORY_CALLS(whose)                                                                                         \
    "SELECT coalesce(sum(s.type = 'turn'), 0), coalesce(sum(s.type = 'tool'), 0) FROM spans s"                       \
    " WHERE s.trace_id IN (SELECT r.trace_id FROM runs r WHERE " whose " AND r.root_id IS NOT ?2"                    \
    " AND (r.\"end\" = 0 OR r.\"end\" >= ?3)) AND s.start >= ?3 AND NOT (s.trace_id = ?4 AND s.start >= ?5)"
#define HISTORY(scope, column)                                                                                       \
    [STMT_HISTORY_COSTS + (scope)] =                                                                                 \
        HISTORY_SUMS " FROM runs r JOIN costs c ON c.trace_id = r.trace_id AND c.root_id IS r.root_id"               \
                     " WHERE r." column " = ?1 AND r.root_id IS NOT ?2 AND c.time >= ?3",                            \
    [STMT_HISTORY_SPANS + (scope)] = HISTORY_CALLS("r." column " = ?1")

const char *const store_sql[STMT_COUNT] = {
    [STMT_BEGIN] = "BEGIN IMMEDIATE",
    [STMT_COMMIT] = "COMMIT",

    [STMT_PUT_RUN] = "INSERT INTO runs(trace_id" RUN_COLUMNS(NAME) ") VALUES(?" RUN_COLUMNS(HOLE) ")"
                     " ON CONFLICT(trace_id, ifnull(root_id, x'')) DO UPDATE SET status=excluded.status" RUN_COLUMNS(SAME),
    [STMT_RUN_LAST] = RUN_SELECT " ORDER BY start DESC, id DESC LIMIT 1",
    [STMT_RUN_BY_ID] = RUN_SELECT " WHERE run_id = ? ORDER BY id DESC LIMIT 1",
    [STMT_RUN_BY_SESSION] = RUN_SELECT " WHERE session_id = ? ORDER BY start DESC, id DESC LIMIT 1",
    [STMT_RUN_BY_TRACE] = RUN_SELECT " WHERE id IN (SELECT max(id) FROM runs WHERE trace_id BETWEEN ? AND ?"
                                     " GROUP BY trace_id LIMIT 2)",
    [STMT_RUN_OF_TRACE] = RUN_SELECT " WHERE trace_id = ? ORDER BY id LIMIT 1",
    [STMT_RUN_EACH] = RUN_SELECT " ORDER BY start DESC, id DESC LIMIT ?",

    [STMT_PUT_SPAN] = "INSERT INTO spans(trace_id, span_id" SPAN_COLUMNS(NAME) ") VALUES(?, ?" SPAN_COLUMNS(HOLE) ")"
                      " ON CONFLICT(trace_id, span_id) DO UPDATE SET status=excluded.status" SPAN_COLUMNS(SAME),
    [STMT_SPAN_EACH] = SPAN_SELECT " WHERE s.trace_id = ? ORDER BY s.start, s.id",
    [STMT_SPAN_BY_ID] = SPAN_SELECT " WHERE s.trace_id = ? AND s.span_id = ?",
    [STMT_SPAN_BY_ROW] = SPAN_SELECT " WHERE s.id = ?",

    /* Reading the same source again brings the same events: they are there already. */
    [STMT_PUT_EVENT] = "INSERT INTO events(trace_id, span_id, time, bytes, name, attributes, ordinal)"
                       " SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7 WHERE NOT EXISTS (SELECT 1 FROM events WHERE trace_id = ?1"
                       " AND time = ?3 AND span_id IS ?2 AND name IS ?5 AND attributes IS ?6 AND ordinal = ?7)",
    [STMT_EVENT_EACH] = EVENT_SELECT " WHERE trace_id = ? ORDER BY time, id",
    [STMT_EVENT_BY_ROW] = EVENT_SELECT " WHERE id = ?",
    /* Those that go with their span: not those that came too late and go by themselves. A root has the homeless ones, too. */
    [STMT_EVENTS_OF_SPAN] = EVENT_SELECT " WHERE trace_id = ? AND span_id = ?" EVENTS_IN_TIME,
    [STMT_EVENTS_OF_ROOT] = EVENT_SELECT " WHERE trace_id = ?1 AND (span_id IS NULL OR span_id = ?2 OR NOT EXISTS (SELECT 1"
                                         " FROM spans s WHERE s.trace_id = ?1 AND s.span_id = events.span_id))" EVENTS_IN_TIME,
    [STMT_ROOT_FACTS] = "SELECT tags, attributes FROM spans WHERE trace_id = ? AND span_id = ?",

    [STMT_DELETE_COSTS] = "DELETE FROM costs WHERE trace_id = ?",
    [STMT_DELETE_RUN_COSTS] = "DELETE FROM costs WHERE trace_id = ? AND root_id IS ?",
    [STMT_PUT_COST] = "INSERT INTO costs(trace_id" COST_COLUMNS(NAME) ") VALUES(?" COST_COLUMNS(HOLE) ")",
    [STMT_CHANGE_COST] = "UPDATE costs SET trace_id=?" COST_COLUMNS(SET) " WHERE id = ? AND trace_id = ? AND root_id IS ?",
    [STMT_COST_EACH] = COST_SELECT " WHERE time >= ? AND time < ? ORDER BY time, id",
    [STMT_COST_BY_TRACE] = COST_SELECT " WHERE trace_id = ? AND time >= ? AND time < ? ORDER BY time, id",

    /* sqlite_sequence holds the last position of the log; it has no row before the first. */
    [STMT_ADD_CURSOR] = "INSERT INTO cursors(sink, position) VALUES(?1, CASE WHEN ?2 THEN 0 ELSE"
                        " coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'log'), 0) END)"
                        " ON CONFLICT(sink) DO NOTHING",
    [STMT_GET_CURSOR] = CURSOR_SELECT " WHERE sink = ?",
    [STMT_CURSOR_EACH] = CURSOR_SELECT " ORDER BY sink",
    [STMT_LEASE] = "UPDATE cursors SET lease_owner = ?2, lease_until = ?4 WHERE sink = ?1"
                   " AND (lease_owner IS NULL OR lease_owner = ?2 OR lease_until <= ?3)",
    [STMT_LEASE_BACK] = "UPDATE cursors SET lease_owner = NULL, lease_until = 0 WHERE sink = ?1"
                        " AND (lease_owner IS NULL OR lease_owner = ?2 OR lease_until <= ?3)",
    [STMT_LEASE_OWNER] = "SELECT lease_owner FROM cursors WHERE sink = ?",
    [STMT_ADVANCE] = "UPDATE cursors SET delivered = delivered + ?3, rejected = rejected + ?4,"
                     " last_error = CASE WHEN ?3 > 0 THEN NULL ELSE last_error END,"
                     " last_success = CASE WHEN ?3 > 0 THEN ?5 ELSE last_success END,"
                     " position = max(position,"
                     " min(?2, coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'log'), 0)))"
                     " WHERE sink = ?1",
    [STMT_SINK_ERROR] = "UPDATE cursors SET last_error = ?2 WHERE sink = ?1",
    /* ?2: a sink that takes a span once, or NULL. The last column says whether the change is for it. */
    [STMT_CHANGES] = "SELECT l.position, l.span, l.event, coalesce(s.bytes, e.bytes),"
                     " ?2 IS NULL OR (l.ended IS 1 AND (l.sink IS NULL OR l.sink = ?2)) FROM log l"
                     " LEFT JOIN spans s ON s.id = l.span LEFT JOIN events e ON e.id = l.event"
                     " WHERE l.position > ?1 ORDER BY l.position",
    [STMT_PENDING] = "SELECT count(DISTINCT span) + count(event) FROM log WHERE position > ?",
    [STMT_PENDING_TRACE] =
        "SELECT (SELECT count(*) FROM spans s WHERE s.trace_id = ?1 AND EXISTS"
        " (SELECT 1 FROM log l WHERE l.span = s.id AND l.position > ?2)) +"
        " (SELECT count(*) FROM events e WHERE e.trace_id = ?1 AND EXISTS"
        " (SELECT 1 FROM log l WHERE l.event = e.id AND l.position > ?2))",
    [STMT_QUARANTINE] = "INSERT INTO quarantine(sink, position, time, reason) VALUES(?, ?, ?, ?)"
                        " ON CONFLICT(sink, position) DO UPDATE SET time = excluded.time, reason = excluded.reason",
    [STMT_STATS] = "SELECT (SELECT count(*) FROM runs), (SELECT count(*) FROM spans), (SELECT count(*) FROM events),"
                   " (SELECT count(*) FROM quarantine),"
                   " coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'log'), 0)",

    /* ?2 is the root of the run that asks: its own figures are not history. */
    [STMT_SESSION_RUN] = RUN_SELECT " WHERE session_id = ? AND root_id IS NOT ? AND start <= ?"
                                    " ORDER BY start DESC, id DESC LIMIT 1",
    [STMT_LAST_ACTIVITY] = "SELECT coalesce(max(max(start, \"end\")), 0) FROM spans WHERE trace_id = ?",
    [STMT_BILLED] = COST_SELECT " WHERE message_id = ?1 AND root_id IS NOT ?2 ORDER BY time, id",
    [STMT_SESSION_COSTS] = COST_SELECT " WHERE agent_session_id = ?1 AND root_id IS NOT ?2 ORDER BY time, id",
    [STMT_SESSION_OF_SUM] =
        "SELECT c.agent_session_id, max(c.time) FROM costs c LEFT JOIN forks f ON f.session_id = c.agent_session_id"
        " WHERE c.time >= ?1 AND c.agent_session_id IS NOT ?2 AND c.agent_session_id IS NOT NULL"
        " AND c.model IS NOT NULL GROUP BY c.agent_session_id HAVING"
        " sum(c.usage_input) + ifnull(f.usage_input, 0) = ?3 AND sum(c.usage_output) + ifnull(f.usage_output, 0) = ?4"
        " AND sum(c.usage_cache_read) + ifnull(f.usage_cache_read, 0) = ?5"
        " AND sum(c.usage_cache_write) + ifnull(f.usage_cache_write, 0) = ?6 ORDER BY max(c.time) DESC LIMIT 1",
    [STMT_PUT_FORK] = "INSERT INTO forks(session_id, parent, until, usage_input, usage_output, usage_cache_read,"
                      " usage_cache_write) VALUES(?, ?, ?, ?, ?, ?, ?) ON CONFLICT(session_id) DO NOTHING",
    [STMT_SANDBOX_OTHERS] =
        "SELECT coalesce(max(CASE WHEN sandbox_until <= ?3 AND sandbox_named >= ?4 THEN sandbox_until END), 0),"
        " coalesce(max(sandbox_until > ?3 AND sandbox_named >= ?4), 0), coalesce(max(sandbox_named), 0),"
        " coalesce(max(sandbox_final AND sandbox_named >= ?4), 0) FROM costs WHERE sandbox_id = ?1 AND root_id IS NOT ?2",
    [STMT_SANDBOX_OPEN] = "SELECT DISTINCT sandbox_id FROM costs WHERE sandbox_id IS NOT NULL AND sandbox_final = 0"
                          " ORDER BY sandbox_id",
    [STMT_SANDBOX_COSTS] = COST_SELECT " WHERE sandbox_id = ? ORDER BY sandbox_until, id",
    [STMT_SANDBOX_SETTLE] = "UPDATE costs SET basis = ?3, price_table = ?4, cost_pusd = ?5, cpu_pusd = ?6, memory_pusd = ?7,"
                            " seconds_ns = ?8, vcpus = ?9, memory_mib = ?10, sandbox_source = ?11, sandbox_final = ?12,"
                            " paused_ns = ?13 WHERE trace_id = ?1 AND root_id IS ?2 AND sandbox_id IS NOT NULL",
    [STMT_RUN_OF_ROOT] = RUN_SELECT " WHERE trace_id = ? AND root_id IS ?",
    [STMT_GET_FORK] = "SELECT parent, until FROM forks WHERE session_id = ?",
    HISTORY(HISTORY_SESSION, "session_id"),
    HISTORY(HISTORY_USER, "user_id"),
    HISTORY(HISTORY_TENANT, "tenant"),
    HISTORY(HISTORY_TEAM, "team"),
    HISTORY(HISTORY_ORGANIZATION, "organization"),
    HISTORY(HISTORY_UNIT, "unit"),
    HISTORY(HISTORY_FEATURE, "feature"),
    [STMT_HISTORY_COSTS + HISTORY_ALL] = HISTORY_SUMS " FROM costs c WHERE ?1 IS NULL AND c.root_id IS NOT ?2"
                                                      " AND c.time >= ?3",
    [STMT_HISTORY_SPANS + HISTORY_ALL] = HISTORY_CALLS("?1 IS NULL"),
};
