#include "topics.h"

#include <stddef.h>
#include <string.h>

#include "text.h"

/* Steps over `<level>/`; NULL when the topic does not go on with it. */
static const char *after_level(const char *topic, const char *level)
{
    size_t length = strlen(level);
    if (strncmp(topic, level, length) != 0 || topic[length] != '/') {
        return NULL;
    }
    return topic + length + 1;
}

/* The same for a session id, in a time that does not depend on where it differs. */
static const char *after_session(const char *topic, const char *session)
{
    size_t length = strnlen(topic, SESSION_SIZE + 1);
    if (length <= SESSION_SIZE || topic[SESSION_SIZE] != '/' ||
        !text_equal_secret(topic, session, SESSION_SIZE)) {
        return NULL;
    }
    return topic + SESSION_SIZE + 1;
}

static bool is_level_byte(char c)
{
    static const bool good[256] = {
        ['-'] = 1, ['.'] = 1, ['_'] = 1,
        ['0'] = 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
        ['A'] = 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
        ['a'] = 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
    };
    return good[(unsigned char)c];
}

/* One or more levels of A-Z a-z 0-9 _ - . that are not empty and do not begin with a dot. */
static bool is_literal(const char *rest)
{
    const char *level = rest;
    for (const char *p = rest;; p++) {
        if (*p == '/' || *p == '\0') {
            if (p == level || *level == '.') {
                return false;
            }
            if (*p == '\0') {
                return true;
            }
            level = p + 1;
        } else if (!is_level_byte(*p)) {
            return false;
        }
    }
}

static bool is_filter(const char *rest)
{
    return strcmp(rest, "#") == 0 || strcmp(rest, "command/+") == 0 || is_literal(rest);
}

/* What follows `<direction>/<project>/<client>/<session>/`; NULL for any other topic. */
static const char *within_session(const struct topic_scope *scope, char direction,
                                  const char *topic)
{
    if (scope->session == NULL || topic[0] != direction || topic[1] != '/' ||
        strncmp(topic + 2, scope->base, scope->base_length) != 0) {
        return NULL;
    }
    return after_session(topic + 2 + scope->base_length, scope->session);
}

static bool is_auth(const struct topic_scope *scope, const char *direction, const char *topic)
{
    const char *rest = after_level(topic, "auth");
    rest = rest != NULL ? after_level(rest, scope->client) : NULL;
    return rest != NULL && strcmp(rest, direction) == 0;
}

bool topics_allow(const struct topic_scope *scope, enum topic_access access, const char *topic,
                  bool retain)
{
    if (strnlen(topic, TOPIC_MAX + 1) > TOPIC_MAX) {
        return false;
    }
    const char *rest;
    switch (access) {
    case TOPIC_PUBLISH:
        if (retain) {
            return false;
        }
        rest = within_session(scope, 'd', topic);
        return rest != NULL ? is_literal(rest) : is_auth(scope, "up", topic);
    case TOPIC_SUBSCRIBE:
        rest = within_session(scope, 'c', topic);
        return rest != NULL ? is_filter(rest) : is_auth(scope, "down", topic);
    case TOPIC_RECEIVE:
        rest = within_session(scope, 'c', topic);
        return rest != NULL ? is_literal(rest) : is_auth(scope, "down", topic);
    }
    return false;
}
