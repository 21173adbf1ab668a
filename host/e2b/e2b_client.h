/*
 * e2b_client.h - asks E2B's API about one sandbox, and can kill it.
 *
 * Over the transport of http.h: nothing here blocks. Whoever owns the loop calls
 * e2b_step in each turn, after http_perform; requests that fail for a while (429
 * with Retry-After, 5xx, no connection) are tried again, others end with a
 * sentence. The key is in the request's header and nowhere else.
 */
#ifndef AO_HOST_E2B_CLIENT_H
#define AO_HOST_E2B_CLIENT_H

#include "host/e2b/e2b_reply.h"
#include "host/sinks/http.h"

struct config;
struct e2b_client; /* private */

/* Where the API is and who asks. */
struct e2b_access {
    char *url; /* E2B_API_URL, or https://api. and E2B_DOMAIN (e2b.app); without trailing slash; owned */
    char *key; /* E2B_API_KEY; NULL: there is none; owned, wiped by release */
};

/* AO_ERR_NOMEM; AO_ERR_USAGE with a sentence (ao_free) when E2B_DOMAIN is no name of a host. */
int e2b_access_init(struct e2b_access *access, const struct config *config, char **ret_error);
void e2b_access_release(struct e2b_access *access); /* accepts a zeroed one */

/* Everything outlives the client. A valid sandbox id (e2b_is_sandbox_id). AO_ERR_NOMEM. */
int e2b_client_new(const struct e2b_access *access, struct http *http, const char *sandbox_id, struct e2b_client **ret_client);
void e2b_client_free(struct e2b_client *client); /* ends what is under way; accepts NULL */

/* Begins to ask: the sandbox as it is, then its events. Nothing when it is asking already, or is killing. */
void e2b_ask(struct e2b_client *client, uint64_t now);
/* Begins to kill it; what is being asked is given up. */
void e2b_kill(struct e2b_client *client, uint64_t now);
void e2b_step(struct e2b_client *client, uint64_t now);
bool e2b_is_busy(const struct e2b_client *client);
/* When e2b_step wants to be called again without a reply; UINT64_MAX: not. */
uint64_t e2b_due(const struct e2b_client *client);
/* Waits until it is no longer busy or the deadline has passed, or `enough` (may be NULL) says so; for ends of commands only. */
void e2b_finish(struct e2b_client *client, uint64_t deadline, uint64_t (*clock)(void), bool (*enough)(void));

/* What the last complete answer told; NULL: there was none, or E2B does not know the sandbox. */
const struct e2b_usage *e2b_usage(const struct e2b_client *client);
/* The run that the sandbox's metadata names; "": none, or not known. */
const char *e2b_run_id(const struct e2b_client *client);
/* Answers so far, good or bad: changes when there is news. */
uint64_t e2b_answers(const struct e2b_client *client);
/* Why the last question has no answer, or none yet; NULL: nothing went wrong. Without secrets, untrusted parts made harmless. */
const char *e2b_problem(const struct e2b_client *client);
/* The problem is of the key and not of the sandbox. */
bool e2b_is_refused(const struct e2b_client *client);
/* The problem is that E2B knows no such sandbox, or no longer. */
bool e2b_is_unknown(const struct e2b_client *client);

enum e2b_kill_result {
    E2B_KILL_NONE, /* not asked for, or not answered yet */
    E2B_KILL_DONE,
    E2B_KILL_GONE, /* there was no such sandbox any more */
    E2B_KILL_FAILED,
};
enum e2b_kill_result e2b_kill_result(const struct e2b_client *client);

#endif
