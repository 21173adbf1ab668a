#include "host/view/tree_model.h"

#include <stdlib.h>

#include "core/buf.h"
#include "core/json.h"
#include "core/mem.h"
#include "core/utf8.h"

/* ---- the gist of an input ---- */

/* The longest prefix of a JSON string's inside that does not end within an escape or a character. */
static struct ao_str cut_string(struct ao_str text)
{
    size_t i = 0;
    while (i < text.len) {
        size_t step = text.ptr[i] != '\\' ? 1 : i + 1 < text.len && text.ptr[i + 1] == 'u' ? 6 : 2;
        if (i + step > TREE_DETAIL_MAX)
            break;
        i += step;
    }
    return (struct ao_str){text.ptr, ao_utf8_cut(text, i)};
}

static char *unescape(struct ao_str text)
{
    struct ao_buf out;
    ao_buf_init(&out, TREE_DETAIL_MAX * 4);
    (void)ao_json_unescape(cut_string(text), &out);
    char *detail = ao_buf_detach(&out, NULL);
    ao_buf_release(&out);
    return detail;
}

/* How telling a member is; 0 is the best. */
static size_t key_rank(struct ao_str key)
{
    static const char *const keys[] = {
        "command", "file_path", "notebook_path", "path",     "pattern", "query", "url",
        "skill",   "description", "prompt",      "question", "subject", "task",  "name",
    };
    size_t rank = 0;
    while (rank < AO_ARRAY_LEN(keys) && !ao_str_eq_c(key, keys[rank]))
        rank++;
    return rank;
}

/* The most telling text of an object, else its first one. */
static struct ao_str best_member(struct ao_jr *reader)
{
    struct ao_str best = AO_STR_NONE, raw;
    size_t best_rank = SIZE_MAX;
    while (ao_jr_next(reader) == AO_JSON_KEY) {
        size_t rank = key_rank(reader->text);
        if (ao_jr_skip_value(reader, &raw))
            break;
        if (raw.len >= 2 && raw.ptr[0] == '"' && rank < best_rank) {
            best = (struct ao_str){raw.ptr + 1, raw.len - 2};
            best_rank = rank;
        }
    }
    return best;
}

/* NULL when there is nothing to tell, or no memory for it: a detail only decorates. */
static char *make_detail(const char *input)
{
    struct ao_jr reader;
    if (!input)
        return NULL;
    ao_jr_init(&reader, ao_str_from(input));
    int token = ao_jr_next(&reader);
    struct ao_str text = token == AO_JSON_STRING         ? reader.text
                         : token == AO_JSON_OBJECT_BEGIN ? best_member(&reader)
                                                         : AO_STR_NONE;
    return text.len ? unescape(text) : NULL;
}

/* ---- loading ---- */

static char *make_error(const struct span *span)
{
    struct ao_buf text;
    ao_buf_init(&text, 2 * TREE_DETAIL_MAX);
    if (span->error_type)
        ao_buf_add_str(&text, (struct ao_str){span->error_type, strnlen(span->error_type, 100)});
    if (span->error_type && span->error_message)
        ao_buf_add_cstr(&text, ": ");
    if (span->error_message)
        ao_buf_add_str(&text, (struct ao_str){span->error_message, strnlen(span->error_message, TREE_DETAIL_MAX)});
    char *error = ao_buf_detach(&text, NULL);
    ao_buf_release(&text);
    return error;
}

static uint64_t add_u64(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

static void add_sum(struct tree_sum *into, const struct tree_sum *more)
{
    into->tokens_in = add_u64(into->tokens_in, more->tokens_in);
    into->tokens_out = add_u64(into->tokens_out, more->tokens_out);
    if (more->cost_pusd > INT64_MAX - into->cost_pusd)
        into->cost_pusd = INT64_MAX;
    else
        into->cost_pusd += more->cost_pusd;
    into->has_usage |= more->has_usage;
    into->unpriced |= more->unpriced;
}

static struct tree_sum own_sum(const struct span *span)
{
    const struct span_usage *usage = &span->usage;
    bool known = span->cost_pusd != AO_COST_UNKNOWN;
    return (struct tree_sum){
        .tokens_in = add_u64(add_u64(usage->input, usage->cache_read), usage->cache_write),
        .tokens_out = usage->output,
        .cost_pusd = known && span->cost_pusd > 0 ? span->cost_pusd : 0,
        .has_usage = usage->known != 0,
        .unpriced = usage->known != 0 && span->cost_basis && !known,
    };
}

static int copy_text(char **into, const char *text)
{
    if (!text)
        return AO_OK;
    *into = ao_strndup(text, strnlen(text, AO_NAME_MAX));
    return *into ? AO_OK : AO_ERR_NOMEM;
}

struct loading {
    struct tree *tree;
    int err;
};

static int grow(struct tree *tree)
{
    if (tree->count < tree->cap)
        return AO_OK;
    if (tree->cap > UINT32_MAX / 4)
        return AO_ERR_LIMIT;
    uint32_t cap = tree->cap ? tree->cap * 2 : 64;
    struct tree_node *nodes = ao_realloc(tree->nodes, cap * sizeof(*nodes));
    if (!nodes)
        return AO_ERR_NOMEM;
    tree->nodes = nodes;
    tree->cap = cap;
    return AO_OK;
}

static int add_span(void *user, const struct span *span)
{
    struct loading *loading = user;
    struct tree *tree = loading->tree;
    if ((loading->err = grow(tree)))
        return 1;
    struct tree_node *node = &tree->nodes[tree->count++];
    *node = (struct tree_node){
        .id = span->span_id, .parent_id = span->parent_id, .start = span->start, .end = span->end,
        .output_bytes = span->output ? strlen(span->output) : 0,
        .failed = span->status == SPAN_ERROR, .unfinished = span->unfinished, .own = own_sum(span),
        .parent = TREE_NONE, .first_child = TREE_NONE, .next = TREE_NONE,
    };
    bool llm = span->type && strcmp(span->type, "llm") == 0;
    node->detail = llm ? NULL : make_detail(span->input);
    if (copy_text(&node->name, span->name) || copy_text(&node->type, span->type) || copy_text(&node->model, span->model) ||
        (node->failed && !(node->error = make_error(span))))
        loading->err = AO_ERR_NOMEM;
    return loading->err;
}

/* ---- linking ---- */

struct by_id {
    struct ao_span_id id;
    uint32_t index;
};

static int compare_ids(const void *a, const void *b)
{
    return memcmp(((const struct by_id *)a)->id.bytes, ((const struct by_id *)b)->id.bytes, sizeof(struct ao_span_id));
}

static int find_parents(struct tree *tree)
{
    struct by_id *ids = ao_calloc(tree->count, sizeof(*ids));
    if (!ids)
        return AO_ERR_NOMEM;
    for (uint32_t i = 0; i < tree->count; i++)
        ids[i] = (struct by_id){tree->nodes[i].id, i};
    qsort(ids, tree->count, sizeof(*ids), compare_ids);
    for (uint32_t i = 0; i < tree->count; i++) {
        const struct by_id key = {.id = tree->nodes[i].parent_id};
        const struct by_id *found = ao_span_id_is_zero(&key.id) ? NULL : bsearch(&key, ids, tree->count, sizeof(*ids), compare_ids);
        if (found && found->index != i)
            tree->nodes[i].parent = found->index;
    }
    ao_free(ids);
    return AO_OK;
}

#define ON_PATH UINT32_MAX /* depth of a node that is being walked over: meeting it again is a circle */

/* Gives the node and all above it their depth (1: a root), cutting circles. */
static void set_depth(struct tree *tree, uint32_t *path, uint32_t start)
{
    uint32_t len = 0;
    uint32_t at = start;
    while (at != TREE_NONE && tree->nodes[at].depth == 0) {
        tree->nodes[at].depth = ON_PATH;
        path[len++] = at;
        at = tree->nodes[at].parent;
    }
    if (at != TREE_NONE && tree->nodes[at].depth == ON_PATH) {
        tree->nodes[path[len - 1]].parent = TREE_NONE;
        at = TREE_NONE;
    }
    while (len > 0) {
        struct tree_node *node = &tree->nodes[path[--len]];
        uint32_t above = at == TREE_NONE ? 0 : tree->nodes[at].depth;
        if (above >= TREE_DEPTH_MAX) { /* beside its parent instead of below it */
            node->parent = tree->nodes[at].parent;
            above = TREE_DEPTH_MAX - 1;
        }
        node->depth = above + 1;
        at = path[len];
    }
}

static int set_depths(struct tree *tree)
{
    uint32_t *path = ao_calloc(tree->count, sizeof(*path));
    if (!path)
        return AO_ERR_NOMEM;
    for (uint32_t i = 0; i < tree->count; i++)
        set_depth(tree, path, i);
    ao_free(path);
    return AO_OK;
}

/* Backwards, each in front of its siblings: they end up in order of start. */
static void link_children(struct tree *tree)
{
    tree->first_root = TREE_NONE;
    for (uint32_t i = tree->count; i-- > 0;) {
        struct tree_node *node = &tree->nodes[i];
        struct tree_node *parent = node->parent == TREE_NONE ? NULL : &tree->nodes[node->parent];
        uint32_t *first = parent ? &parent->first_child : &tree->first_root;
        node->next = *first;
        *first = i;
        if (parent)
            parent->children++;
        else
            tree->roots++;
    }
}

static void sum_up(struct tree *tree)
{
    for (uint32_t i = 0; i < tree->count; i++)
        tree->nodes[i].sum = tree->nodes[i].own;
    for (uint32_t depth = TREE_DEPTH_MAX; depth > 1; depth--) {
        for (uint32_t i = 0; i < tree->count; i++) {
            const struct tree_node *node = &tree->nodes[i];
            if (node->depth != depth || node->parent == TREE_NONE)
                continue;
            struct tree_node *parent = &tree->nodes[node->parent];
            add_sum(&parent->sum, &node->sum);
            parent->below += node->below + 1;
            parent->errors_below += node->errors_below + node->failed;
        }
    }
}

int tree_load(struct tree *tree, struct store *store, const struct ao_trace_id *trace_id)
{
    *tree = (struct tree){.first_root = TREE_NONE};
    struct loading loading = {.tree = tree};
    int err = store_each_span(store, trace_id, add_span, &loading);
    if (!err)
        err = loading.err;
    if (err || tree->count == 0)
        return err;
    err = find_parents(tree);
    if (!err)
        err = set_depths(tree);
    if (err)
        return err;
    link_children(tree);
    sum_up(tree);
    return AO_OK;
}

static bool has_type(const struct tree_node *node, const char *type)
{
    return node->type && strcmp(node->type, type) == 0;
}

uint32_t tree_agent(const struct tree *tree, uint32_t index)
{
    while (index != TREE_NONE && !has_type(&tree->nodes[index], "agent"))
        index = tree->nodes[index].parent;
    return index;
}

uint32_t tree_subagent(const struct tree *tree, uint32_t index)
{
    uint32_t found = tree_agent(tree, index);
    uint32_t at = found == TREE_NONE ? TREE_NONE : tree->nodes[found].parent;
    while (at != TREE_NONE && !has_type(&tree->nodes[at], "agent") && !has_type(&tree->nodes[at], "tool"))
        at = tree->nodes[at].parent;
    return at == TREE_NONE ? TREE_NONE : found;
}

void tree_release(struct tree *tree)
{
    for (uint32_t i = 0; i < tree->count; i++) {
        struct tree_node *node = &tree->nodes[i];
        ao_free(node->name);
        ao_free(node->type);
        ao_free(node->model);
        ao_free(node->detail);
        ao_free(node->error);
    }
    ao_free(tree->nodes);
    *tree = (struct tree){.first_root = TREE_NONE};
}
