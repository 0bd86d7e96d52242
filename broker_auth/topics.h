/* Which topics are open to a device: pure functions over what is known of its connection. */
#ifndef ISAAX_TOPICS_H
#define ISAAX_TOPICS_H

#include <stdbool.h>
#include <stddef.h>

enum { TOPIC_MAX = 512 }; /* bytes; ours are shorter */

/* A device's connection. */
struct topic_scope {
    const char *client;
    const char *base; /* `<project>/<client>/`, made once for each connection */
    size_t base_length;
    const char *session; /* NULL: none is open */
};

enum topic_access { TOPIC_PUBLISH, TOPIC_SUBSCRIBE, TOPIC_RECEIVE };

/* Publish exactly `auth/<client>/up` and, within a session, below `d/<project>/<client>/<session>/`;
 * nothing retained. Subscribe to and receive exactly `auth/<client>/down` and, within a session,
 * what is below `c/<project>/<client>/<session>/`: the whole (`#`), `command/+`, or literally. */
bool topics_allow(const struct topic_scope *scope, enum topic_access access, const char *topic,
                  bool retain);

#endif
