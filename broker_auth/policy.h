/* Every decision of the plugin, over its tables and without the broker: what the broker's events
 * mean (plugin.c) and what is decided are two matters, and this one is tested by itself.
 *
 * A connection is named by the broker's pointer to it, which is never followed. Times are Unix
 * seconds by the server's clock.
 */
#ifndef ISAAX_POLICY_H
#define ISAAX_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tables.h"
#include "topics.h"

/* A snapshot that the hub is sending, from its `begin` to its `commit`. It outlives a broken
 * connection, as MQTT sends the rest again after a reconnect. */
struct stage {
    char owner[ID_MAX + 1]; /* the client id that began it; "" when there is none */
    uint64_t generation;
    struct tokens tokens;
    struct grants grants;
};

struct policy {
    struct hash_key key;
    uint8_t hub_digest[SHA256_SIZE];
    struct tokens tokens;
    struct clients clients;
    struct stage stage;
    struct client *kicks;
    struct client *gone;
    uint64_t generation; /* of the last snapshot committed or loaded; 0 before the first */
    size_t sessions;     /* that are open */
    bool tokens_changed; /* since the snapshot file was written */
};

bool policy_init(struct policy *policy, const struct hash_key *key,
                 const uint8_t hub_digest[SHA256_SIZE]);
void policy_free(struct policy *policy);

/* A CONNECT; any of its strings may be NULL. */
struct connect_request {
    const void *connection;
    const char *client;
    const char *username;
    const char *password;
    int protocol; /* 3, 4 or 5 for MQTT 3.1, 3.1.1 and 5 */
    bool clean_session;
};

/* Gives NULL when it is let in, else the reason (static text, for the log). */
const char *policy_connect(struct policy *policy, const struct connect_request *request,
                           int64_t now);

/* The same for a connection that was let in before: the broker asks again about each of them when
 * it reloads its configuration. One that stays keeps its session. */
const char *policy_connect_again(struct policy *policy, const struct connect_request *request,
                                 int64_t now);

/* The project that a connection was let in with; "" for the hub, and for one that was not. */
const char *policy_project(const struct policy *policy, const void *connection);

/* The connection has ended: its session is void. Its will may still be sent. */
void policy_disconnect(struct policy *policy, const void *connection);

/* Forgets connections that have ended; to be called when their wills are out. */
void policy_forget_gone(struct policy *policy);

/* May this connection, which says it is `client`, do this? */
bool policy_allows(struct policy *policy, const void *connection, const char *client,
                   enum topic_access access, const char *topic, bool retain, int64_t now);

/* Notes what a device says on `auth/<client>/up`: its hello names the connection, and a session
 * that the hub opens for that connection must not go to another one that came meanwhile. */
void policy_hear(struct policy *policy, const void *connection, const void *payload, size_t length);

/* Obeys the lines of one control message from the hub. Gives how many were malformed or had no
 * meaning. Afterwards `policy_next_kick` names the clients to be disconnected. */
size_t policy_control(struct policy *policy, const void *connection, const char *payload,
                      size_t length, int64_t now);

/* A client id to be disconnected, once for each; NULL when there is none. */
const char *policy_next_kick(struct policy *policy);

/* Puts other tokens in the place of the present ones (which `tokens` then holds), as a snapshot
 * file says. */
void policy_replace_tokens(struct policy *policy, struct tokens *tokens, uint64_t generation);

#endif
