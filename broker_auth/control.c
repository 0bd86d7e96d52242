#include "control.h"

#include <stdbool.h>
#include <string.h>

enum { WORDS_MAX = 6 };

struct word {
    const char *text;
    size_t length;
};

/* Splits at single spaces; 0 when there are too many words or an empty one. */
static size_t split(const char *line, const char *end, struct word words[WORDS_MAX])
{
    size_t count = 0;
    for (;;) {
        const char *space = memchr(line, ' ', (size_t)(end - line));
        const char *stop = space != NULL ? space : end;
        if (count == WORDS_MAX || stop == line) {
            return 0;
        }
        words[count++] = (struct word){line, (size_t)(stop - line)};
        if (space == NULL) {
            return count;
        }
        line = space + 1;
    }
}

static bool word_is(const struct word *word, const char *text)
{
    return word->length == strlen(text) && memcmp(word->text, text, word->length) == 0;
}

/* Decimal digits without a sign or a leading zero. */
static bool read_number(const struct word *word, uint64_t maximum, uint64_t *number)
{
    uint64_t n = 0;
    if (word->length > 1 && word->text[0] == '0') {
        return false;
    }
    for (size_t i = 0; i < word->length; i++) {
        char c = word->text[i];
        if (c < '0' || c > '9') {
            return false;
        }
        uint64_t digit = (uint64_t)(c - '0');
        if (n > (maximum - digit) / 10) {
            return false;
        }
        n = n * 10 + digit;
    }
    *number = n;
    return true;
}

static bool read_id(const struct word *word, char id[ID_MAX + 1])
{
    if (!text_is_id(word->text, word->length)) {
        return false;
    }
    memcpy(id, word->text, word->length);
    id[word->length] = '\0';
    return true;
}

static bool read_generation(const struct word *words, size_t count, struct control_line *line)
{
    (void)count;
    return read_number(&words[1], UINT64_MAX, &line->generation);
}

static bool read_token(const struct word *words, size_t count, struct control_line *line)
{
    (void)count;
    return read_id(&words[1], line->project) &&
           text_from_hex(words[2].text, words[2].length, line->digest, SHA256_SIZE);
}

static bool read_client(const struct word *words, size_t count, struct control_line *line)
{
    (void)count;
    return read_id(&words[1], line->client) && !text_is_hub_client(line->client);
}

static bool read_session(const struct word *words, size_t count, struct control_line *line)
{
    uint64_t expires;
    if (!read_client(words, count, line) || !read_id(&words[2], line->project) ||
        !text_is_session(words[3].text, words[3].length) ||
        !read_number(&words[4], INT64_MAX, &expires)) {
        return false;
    }
    if (count > 5 && (words[5].length < CONNECTION_MIN || !read_id(&words[5], line->connection))) {
        return false;
    }
    memcpy(line->session, words[3].text, SESSION_SIZE);
    line->session[SESSION_SIZE] = '\0';
    line->expires = (int64_t)expires;
    return true;
}

static const struct grammar {
    const char *word;
    size_t least, most; /* words */
    enum control_verb verb;
    bool (*read)(const struct word *words, size_t count, struct control_line *line);
} GRAMMAR[] = {
    {"begin", 2, 2, CONTROL_BEGIN, read_generation},
    {"token", 3, 3, CONTROL_TOKEN, read_token},
    {"untoken", 3, 3, CONTROL_UNTOKEN, read_token},
    {"session", 5, 6, CONTROL_SESSION, read_session},
    {"unsession", 2, 2, CONTROL_UNSESSION, read_client},
    {"kick", 2, 2, CONTROL_KICK, read_client},
    {"commit", 2, 2, CONTROL_COMMIT, read_generation},
};

static enum control_result parse(const char *text, const char *end, struct control_line *line)
{
    struct word words[WORDS_MAX];
    size_t count = split(text, end, words);
    for (size_t i = 0; count > 0 && i < sizeof GRAMMAR / sizeof *GRAMMAR; i++) {
        const struct grammar *rule = &GRAMMAR[i];
        if (word_is(&words[0], rule->word)) {
            *line = (struct control_line){.verb = rule->verb};
            bool ok = count >= rule->least && count <= rule->most && rule->read(words, count, line);
            return ok ? CONTROL_LINE : CONTROL_MALFORMED;
        }
    }
    return CONTROL_MALFORMED;
}

enum control_result control_next(const char **cursor, const char *end, struct control_line *line)
{
    while (*cursor < end) {
        const char *start = *cursor;
        const char *newline = memchr(start, '\n', (size_t)(end - start));
        const char *stop = newline != NULL ? newline : end;
        *cursor = newline != NULL ? newline + 1 : end;
        if (stop > start) {
            return parse(start, stop, line);
        }
    }
    return CONTROL_END;
}
