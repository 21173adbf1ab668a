/*
 * attribution.h - whom a run is for: session, user, tenant, team, organisation,
 * business unit, feature, and free tags.
 *
 * Where they come from, the first that says anything: an option, its environment
 * variable, the incoming BAGGAGE. This is what the host set, and it wins over what
 * the sandbox says (assemble_who.c takes that where the host is silent).
 *
 * What options and environment set goes on to the agent in its BAGGAGE (W3C Baggage,
 * percent-encoded). Names of attributes are OpenTelemetry's where it has one.
 *
 * Users can be shown under pseudonyms: "u_" and the first 16 hex digits of
 * HMAC-SHA256(key, user id). The key stays on the host; what has that form already
 * is left as it is, so that a run inside a run keeps its users.
 */
#ifndef AO_HOST_ATTRIBUTION_H
#define AO_HOST_ATTRIBUTION_H

#include "core/buf.h"
#include "host/commands/options.h"
#include "host/store/store.h"

#define ATTRIBUTION_VALUE_MAX 256u /* bytes of one value */
#define ATTRIBUTION_TAGS_MAX 64u

/* Those from ATTRIBUTION_WHO on are enum store_who, in its order. */
enum attribution_key {
    ATTRIBUTION_SESSION,
    ATTRIBUTION_USER,
    ATTRIBUTION_WHO,
    ATTRIBUTION_COUNT = ATTRIBUTION_WHO + WHO_COUNT,
};

/* A key's names. */
struct attribution_name {
    const char *option;    /* "tenant" */
    const char *attribute; /* "agentobs.tenant" */
    const char *baggage;   /* "tenant.id" */
};

extern const struct attribution_name attribution_names[ATTRIBUTION_COUNT];

enum session_style { SESSION_LINKED, SESSION_TRACE };

/* As given. */
struct attribution_options {
    const char *values[ATTRIBUTION_COUNT];
    struct option_list tags;
    int session_style;
    bool pseudonymise;
    const char *user_key; /* a file */
};

#define ATTRIBUTION_ROWS 11u
#define ATTRIBUTION_OPTIONS(type, member)                                                                             \
    {"session", 0, OPTION_TEXT, offsetof(type, member.values[ATTRIBUTION_SESSION]), "ID", NULL, "AGENTOBS_SESSION",    \
     "conversation that this run continues"},                                                                         \
    {"session-style", 0, OPTION_CHOICE, offsetof(type, member.session_style), "linked|trace", "linked",                \
     "AGENTOBS_SESSION_STYLE", "a trace for each run, or one while the session is active"},                            \
    {"user", 0, OPTION_TEXT, offsetof(type, member.values[ATTRIBUTION_USER]), "ID", NULL, "AGENTOBS_USER",             \
     "end user that it is for"},                                                                                      \
    {"tenant", 0, OPTION_TEXT, offsetof(type, member.values[ATTRIBUTION_WHO + WHO_TENANT]), "ID", NULL,                \
     "AGENTOBS_TENANT", "customer"},                                                                                  \
    {"team", 0, OPTION_TEXT, offsetof(type, member.values[ATTRIBUTION_WHO + WHO_TEAM]), "NAME", NULL,                  \
     "AGENTOBS_TEAM", "team"},                                                                                        \
    {"org", 0, OPTION_TEXT, offsetof(type, member.values[ATTRIBUTION_WHO + WHO_ORGANIZATION]), "NAME", NULL,           \
     "AGENTOBS_ORG", "organisation"},                                                                                 \
    {"unit", 0, OPTION_TEXT, offsetof(type, member.values[ATTRIBUTION_WHO + WHO_UNIT]), "NAME", NULL,                  \
     "AGENTOBS_UNIT", "business unit"},                                                                               \
    {"feature", 0, OPTION_TEXT, offsetof(type, member.values[ATTRIBUTION_WHO + WHO_FEATURE]), "NAME", NULL,            \
     "AGENTOBS_FEATURE", "feature of your product"},                                                                  \
    {"tag", 0, OPTION_LIST, offsetof(type, member.tags), "K=V", NULL, "AGENTOBS_TAGS",                                 \
     "free tag; several times or K=V,K=V"},                                                                           \
    {"pseudonymise-users", 0, OPTION_FLAG, offsetof(type, member.pseudonymise), NULL, NULL,                            \
     "AGENTOBS_PSEUDONYMISE_USERS", "show users under pseudonyms"},                                                   \
    {"user-key", 0, OPTION_TEXT, offsetof(type, member.user_key), "FILE", NULL, NULL,                                  \
     "their key, at least 16 bytes; else $AGENTOBS_USER_KEY"}

/* Checked. */
struct attribution {
    char *values[ATTRIBUTION_COUNT]; /* what the host set, users as they are shown; NULL: it is silent */
    bool own[ATTRIBUTION_COUNT];     /* set by option or environment: handed on */
    char *tags;                      /* a JSON array; NULL: none */
    enum session_style style;
    bool pseudonymise;
    uint8_t user_key[32];            /* SHA-256 of the key as given */
};

/*
 * AO_ERR_USAGE with a sentence that names the option (ao_free), AO_ERR_NOMEM. What is unfit in the baggage, which
 * may be absent, is passed over.
 */
int attribution_init(struct attribution *who, const struct attribution_options *options, struct ao_str baggage,
                     char **ret_error);
void attribution_release(struct attribution *who); /* accepts a zeroed one; wipes the key */
/* For a run that `env` opened: what it was for, where this process says nothing. AO_ERR_NOMEM. */
int attribution_inherit(struct attribution *who, const struct run *run);
/* The user as it is shown (ao_free); NULL when out of memory. */
char *attribution_user(const struct attribution *who, struct ao_str user);
/* The incoming baggage with what this process was told to hand on; a user id in it becomes the one shown. */
int attribution_baggage(const struct attribution *who, struct ao_str baggage, struct ao_buf *out);

#endif
