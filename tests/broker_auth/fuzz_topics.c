/* topics_allow: whatever the topic, nothing is open but what a slow and simple reading allows. */
#include <stdbool.h>
#include <string.h>

#include "fuzz.h"
#include "topics.h"

#define SID "0123456789abcdef0123456789abcdef"

static const struct topic_scope SCOPE = {"dev_1", "prj_1/dev_1/", 12, SID};

const char *const fuzz_seeds[] = {
    "auth/dev_1/up",
    "auth/dev_1/down",
    "auth/+/up",
    "d/prj_1/dev_1/" SID "/log/app",
    "d/prj_1/dev_1/" SID "/state",
    "c/prj_1/dev_1/" SID "/#",
    "c/prj_1/dev_1/" SID "/command/+",
    "c/prj_1/dev_1/" SID "/ack",
    "c/prj_1/dev_2/fedcba9876543210fedcba9876543210/ack",
    "$SYS/#",
    "$CONTROL/isaax/v1",
    NULL,
};

static bool begins(const char *topic, const char *with)
{
    return strncmp(topic, with, strlen(with)) == 0;
}

/* A topic that is open begins with one of two prefixes and holds no wildcard but the two known. */
static bool could_be_open(enum topic_access access, const char *topic)
{
    const char *own = access == TOPIC_PUBLISH ? "d/prj_1/dev_1/" SID "/" : "c/prj_1/dev_1/" SID "/";
    const char *auth = access == TOPIC_PUBLISH ? "auth/dev_1/up" : "auth/dev_1/down";
    if (strcmp(topic, auth) == 0) {
        return true;
    }
    if (!begins(topic, own)) {
        return false;
    }
    const char *rest = topic + strlen(own);
    if (access == TOPIC_SUBSCRIBE && (strcmp(rest, "#") == 0 || strcmp(rest, "command/+") == 0)) {
        return true;
    }
    return *rest != '\0' && strpbrk(rest, "+#$") == NULL && strstr(rest, "//") == NULL &&
           strstr(rest, "..") != rest && rest[strlen(rest) - 1] != '/';
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *topic = malloc(size + 1);
    PROMISE(topic != NULL);
    if (size > 0) {
        memcpy(topic, data, size);
    }
    topic[size] = '\0';
    for (int access = TOPIC_PUBLISH; access <= TOPIC_RECEIVE; access++) {
        enum topic_access asked = (enum topic_access)access;
        PROMISE(!topics_allow(&SCOPE, asked, topic, false) || could_be_open(asked, topic));
        PROMISE(asked != TOPIC_PUBLISH || !topics_allow(&SCOPE, asked, topic, true));
    }
    free(topic);
    return 0;
}
