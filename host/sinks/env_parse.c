#include "host/sinks/env_parse.h"

void env_parser_init(struct env_parser *parser, struct ao_str text)
{
    if (ao_str_starts(text, AO_STR("\xef\xbb\xbf")))
        text = (struct ao_str){text.ptr + 3, text.len - 3};
    const char *begin = text.ptr ? text.ptr : "";
    *parser = (struct env_parser){.pos = begin, .end = begin + text.len, .next_line = 1};
}

static int fail(struct env_parser *parser, const char *problem)
{
    parser->problem = problem;
    return AO_ERR_SYNTAX;
}

static bool at(const struct env_parser *parser, char c)
{
    return parser->pos < parser->end && *parser->pos == c;
}

static bool at_blank(const struct env_parser *parser)
{
    return at(parser, ' ') || at(parser, '\t') || at(parser, '\r');
}

static void skip_blanks(struct env_parser *parser)
{
    while (at_blank(parser))
        parser->pos++;
}

static void take(struct env_parser *parser, struct ao_buf *value)
{
    if (*parser->pos == '\n')
        parser->next_line++;
    ao_buf_add_char(value, *parser->pos++);
}

static void skip_line(struct env_parser *parser)
{
    while (parser->pos < parser->end && *parser->pos != '\n')
        parser->pos++;
}

static bool is_key_char(char c, bool first)
{
    bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
    return letter || (!first && ((c >= '0' && c <= '9') || c == '.'));
}

static struct ao_str take_key(struct env_parser *parser)
{
    const char *begin = parser->pos;
    while (parser->pos < parser->end && is_key_char(*parser->pos, parser->pos == begin))
        parser->pos++;
    return (struct ao_str){begin, (size_t)(parser->pos - begin)};
}

static char escape_of(char letter)
{
    switch (letter) {
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    default:
        return letter == '"' || letter == '\\' || letter == '$' ? letter : '\0';
    }
}

static int take_quoted(struct env_parser *parser, struct ao_buf *value, char quote)
{
    parser->pos++;
    while (parser->pos < parser->end && *parser->pos != quote) {
        char escaped = '\0';
        if (quote == '"' && *parser->pos == '\\' && parser->end - parser->pos > 1)
            escaped = escape_of(parser->pos[1]);
        if (escaped) {
            ao_buf_add_char(value, escaped);
            parser->pos += 2;
        } else {
            take(parser, value);
        }
    }
    if (parser->pos == parser->end)
        return fail(parser, "the closing quote is missing");
    parser->pos++;
    bool spaced = at_blank(parser);
    skip_blanks(parser);
    if (parser->pos < parser->end && *parser->pos != '\n' && !(spaced && *parser->pos == '#'))
        return fail(parser, "there is text after the closing quote");
    skip_line(parser);
    return AO_OK;
}

static void take_plain(struct env_parser *parser, struct ao_buf *value)
{
    const char *begin = parser->pos;
    skip_line(parser);
    const char *stop = parser->pos;
    for (const char *p = begin; p < stop; p++) {
        if (*p == '#' && (p == begin || p[-1] == ' ' || p[-1] == '\t')) {
            stop = p;
            break;
        }
    }
    while (stop > begin && (stop[-1] == ' ' || stop[-1] == '\t' || stop[-1] == '\r'))
        stop--;
    ao_buf_add(value, begin, (size_t)(stop - begin));
}

/* To the next line that says something; false at the end. */
static bool find_assignment(struct env_parser *parser)
{
    while (parser->pos < parser->end) {
        skip_blanks(parser);
        if (at(parser, '#'))
            skip_line(parser);
        if (parser->pos == parser->end)
            return false;
        if (*parser->pos != '\n')
            return true;
        parser->pos++;
        parser->next_line++;
    }
    return false;
}

static int take_name(struct env_parser *parser, struct ao_str *ret_key)
{
    struct ao_str key = take_key(parser);
    if (ao_str_eq_c(key, "export") && at_blank(parser)) {
        skip_blanks(parser);
        if (!at(parser, '='))
            key = take_key(parser);
    }
    if (key.len == 0)
        return fail(parser, "a line must be KEY=value, empty, or a # comment");
    if (key.len > ENV_KEY_MAX)
        return fail(parser, "the key is longer than 255 characters");
    skip_blanks(parser);
    if (!at(parser, '='))
        return fail(parser, "there is no = behind the key");
    parser->pos++;
    skip_blanks(parser);
    *ret_key = key;
    return AO_OK;
}

int env_parser_next(struct env_parser *parser, struct ao_buf *value, struct env_assignment *ret_assignment)
{
    struct ao_str key;
    ao_buf_clear(value);
    if (!find_assignment(parser))
        return 0;
    parser->line = parser->next_line;
    int err = take_name(parser, &key);
    if (err)
        return err;
    if (at(parser, '\'') || at(parser, '"'))
        err = take_quoted(parser, value, *parser->pos);
    else
        take_plain(parser, value);
    if (!err)
        err = ao_buf_err(value);
    if (err)
        return err;
    if (value->len && memchr(value->data, '\0', value->len))
        return fail(parser, "there is a NUL character in the value");
    *ret_assignment = (struct env_assignment){key, parser->line};
    return 1;
}
