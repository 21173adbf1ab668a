#include "csrc/members.h"

#include "core/mem.h"

#define KEEP_BYTES 4096u
#define KEEP_COUNT 64u

void ao_members_init(struct ao_members *members, size_t max_bytes)
{
    memset(members, 0, sizeof(*members));
    ao_buf_init(&members->text, max_bytes);
}

void ao_members_release(struct ao_members *members)
{
    ao_buf_release(&members->text);
    ao_free(members->list);
    members->list = NULL;
    members->count = 0;
    members->cap = 0;
    members->rewritten = false;
}

void ao_members_clear(struct ao_members *members)
{
    if (members->text.cap > KEEP_BYTES || members->cap > KEEP_COUNT) {
        ao_members_release(members);
        return;
    }
    ao_buf_clear(&members->text);
    members->count = 0;
    members->rewritten = false;
}

static struct ao_member *find(struct ao_members *members, uint64_t hash)
{
    for (uint32_t i = 0; i < members->count; i++)
        if (members->list[i].hash == hash)
            return &members->list[i];
    return NULL;
}

static int make_room(struct ao_members *members)
{
    if (members->count < members->cap)
        return AO_OK;
    uint32_t cap = members->cap ? members->cap * 2 : 16;
    struct ao_member *list = ao_realloc(members->list, cap * sizeof(*list));
    if (!list)
        return AO_ERR_NOMEM;
    members->list = list;
    members->cap = cap;
    return AO_OK;
}

int ao_members_open(struct ao_members *members, uint64_t hash, uint32_t most, size_t *ret_mark)
{
    if (members->count >= most && !find(members, hash))
        return AO_ERR_LIMIT;
    int err = make_room(members);
    if (err)
        return err;
    size_t mark = members->text.len;
    ao_buf_add_char(&members->text, mark ? ',' : '{');
    err = ao_buf_err(&members->text);
    members->text.err = AO_OK;
    if (!err)
        *ret_mark = mark;
    return err;
}

static bool same_key(const struct ao_members *members, const struct ao_member *old, size_t at, size_t key_len)
{
    if (old->at == AO_MEMBER_SENT)
        return true; /* its text is gone; 64 bits of hash must do */
    return old->key_len == key_len && memcmp(members->text.data + old->at, members->text.data + at, key_len) == 0;
}

/* Cuts an older value out; the separator behind it goes too (there is always a later member). */
static void cut(struct ao_members *members, struct ao_member *old)
{
    uint32_t at = old->at;
    uint32_t gap = old->len + 1;
    struct ao_buf *text = &members->text;
    memmove(text->data + at, text->data + at + gap, text->len - at - gap);
    text->len -= gap;
    for (uint32_t i = 0; i < members->count; i++)
        if (members->list[i].at != AO_MEMBER_SENT && members->list[i].at > at)
            members->list[i].at -= gap;
}

void ao_members_close(struct ao_members *members, uint64_t hash, size_t mark, size_t key_len)
{
    struct ao_buf *text = &members->text;
    if (ao_buf_err(text) || text->len >= AO_MEMBER_SENT) {
        text->len = mark;
        text->err = AO_OK;
        return;
    }
    size_t at = mark + 1;
    struct ao_member *old = find(members, hash);
    if (old && !same_key(members, old, at, key_len))
        old = NULL;
    struct ao_member *to = old ? old : &members->list[members->count];
    struct ao_member fresh = {.hash = hash, .at = (uint32_t)at, .len = (uint32_t)(text->len - at),
                              .key_len = (uint32_t)key_len};
    if (old && old->at == AO_MEMBER_SENT) {
        members->rewritten = true;
    } else if (old) {
        struct ao_member gone = *old;
        old->at = AO_MEMBER_SENT;
        cut(members, &gone);
        fresh.at -= gone.len + 1;
    } else {
        members->count++;
    }
    *to = fresh;
}

struct ao_str ao_members_object(struct ao_members *members)
{
    if (members->text.len == 0)
        return AO_STR_NONE;
    ao_buf_add_char(&members->text, '}');
    if (ao_buf_err(&members->text)) {
        members->text.err = AO_OK;
        return AO_STR_NONE;
    }
    members->text.len--;
    return (struct ao_str){members->text.data, members->text.len + 1};
}

void ao_members_know(struct ao_members *members, uint64_t hash)
{
    if (!find(members, hash) && make_room(members) == AO_OK)
        members->list[members->count++] = (struct ao_member){.hash = hash, .at = AO_MEMBER_SENT};
}

void ao_members_sent(struct ao_members *members)
{
    ao_buf_clear(&members->text);
    for (uint32_t i = 0; i < members->count; i++)
        members->list[i].at = AO_MEMBER_SENT;
}
