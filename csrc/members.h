/*
 * members.h - the members of one JSON object, gathered one by one.
 *
 * Setting a key again replaces its value, as long as it was not sent; once
 * sent, the new value is sent again and `rewritten` tells that the two pieces
 * must not be joined into one object. Knows no Python.
 */
#ifndef AO_MEMBERS_H
#define AO_MEMBERS_H

#include "core/base.h"
#include "core/buf.h"

struct ao_member {
    uint64_t hash;
    uint32_t at;   /* of the escaped key's opening quote; AO_MEMBER_SENT */
    uint32_t len;  /* of "key":value */
    uint32_t key_len;
};

#define AO_MEMBER_SENT UINT32_MAX

struct ao_members {
    struct ao_buf text; /* {"k":v,"k":v without the closing brace; empty when there is none */
    struct ao_member *list;
    uint32_t count;
    uint32_t cap;
    bool rewritten;
};

void ao_members_init(struct ao_members *members, size_t max_bytes);
void ao_members_release(struct ao_members *members);
/* Empties; keeps a little memory for the next use. */
void ao_members_clear(struct ao_members *members);

/*
 * Opens a member: afterwards the caller appends the escaped key in quotes, a
 * colon and the value to members->text, then calls ao_members_close with the
 * text's length before that and the key's hash. AO_ERR_LIMIT when there are
 * `most` keys already and this hash is not among them; AO_ERR_NOMEM.
 */
int ao_members_open(struct ao_members *members, uint64_t hash, uint32_t most, size_t *ret_mark);
void ao_members_close(struct ao_members *members, uint64_t hash, size_t mark, size_t key_len);

/*
 * True when a member of at most `bytes` with a key that is not there yet can be
 * written straight into the text, without any of the calls below.
 */
static inline bool ao_members_room(struct ao_members *members, uint64_t hash, uint32_t most, size_t bytes)
{
    if (members->count >= most || members->count == members->cap || members->text.err ||
        members->text.cap - members->text.len < bytes)
        return false;
    for (uint32_t i = 0; i < members->count; i++)
        if (members->list[i].hash == hash)
            return false;
    return true;
}

static inline bool ao_members_any(const struct ao_members *members)
{
    return members->text.len > 0;
}

/* The object as text, valid until the next change; AO_STR_NONE when empty or memory is short. */
struct ao_str ao_members_object(struct ao_members *members);
/* A key that was sent with what stands elsewhere. */
void ao_members_know(struct ao_members *members, uint64_t hash);
/* What is there was sent: forget the text, remember the keys. */
void ao_members_sent(struct ao_members *members);

#endif
