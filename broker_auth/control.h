/* The lines of `$CONTROL/isaax/v1` (PROTOCOL.md), parsed without side effects. */
#ifndef ISAAX_CONTROL_H
#define ISAAX_CONTROL_H

#include <stddef.h>
#include <stdint.h>

#include "sha256.h"
#include "text.h"

enum {
    CONTROL_MAX = 64 * 1024, /* bytes of one message */
    CONNECTION_MIN = 16,     /* bytes of what a device calls its connection */
};

enum control_verb {
    CONTROL_BEGIN,
    CONTROL_TOKEN,
    CONTROL_UNTOKEN,
    CONTROL_SESSION,
    CONTROL_UNSESSION,
    CONTROL_KICK,
    CONTROL_COMMIT,
};

/* One line; which fields are set depends on the verb. */
struct control_line {
    enum control_verb verb;
    uint64_t generation;         /* begin, commit */
    char project[ID_MAX + 1];    /* token, untoken, session */
    uint8_t digest[SHA256_SIZE]; /* token, untoken */
    char client[ID_MAX + 1];     /* session, unsession, kick; never a client of the hub */
    char session[SESSION_SIZE + 1];
    int64_t expires; /* session: Unix seconds */
    char connection[ID_MAX + 1]; /* session: what the device calls its connection, or "" */
};

enum control_result { CONTROL_END, CONTROL_LINE, CONTROL_MALFORMED };

/* Takes the next line off `*cursor`, up to `end`; an empty line is passed over. */
enum control_result control_next(const char **cursor, const char *end, struct control_line *line);

#endif
