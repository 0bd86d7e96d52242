/* What the plugin knows: valid tokens, connections, and the sessions of a snapshot being staged. */
#ifndef ISAAX_TABLES_H
#define ISAAX_TABLES_H

#include <stdbool.h>
#include <stdint.h>

#include "hash.h"
#include "sha256.h"
#include "text.h"

/* ── project tokens, by (project, SHA-256 of the token) ─────────────────────────────────────── */

struct token {
    struct map_node node;
    uint8_t digest[SHA256_SIZE];
    char project[ID_MAX + 1];
};

struct tokens {
    struct map map;
    const struct hash_key *key;
};

bool tokens_init(struct tokens *tokens, const struct hash_key *key);
void tokens_free(struct tokens *tokens);
bool tokens_have(const struct tokens *tokens, const char *project,
                 const uint8_t digest[SHA256_SIZE]);

enum tokens_change { TOKENS_SAME, TOKENS_CHANGED, TOKENS_NO_MEMORY };

enum tokens_change tokens_add(struct tokens *tokens, const char *project,
                              const uint8_t digest[SHA256_SIZE]);
enum tokens_change tokens_remove(struct tokens *tokens, const char *project,
                                 const uint8_t digest[SHA256_SIZE]);

/* ── sessions of a snapshot that is being staged, by client id ──────────────────────────────── */

struct grant {
    struct map_node node;
    char client[ID_MAX + 1];
    char project[ID_MAX + 1];
    char session[SESSION_SIZE + 1];
    int64_t expires; /* Unix seconds */
};

struct grants {
    struct map map;
    const struct hash_key *key;
};

bool grants_init(struct grants *grants, const struct hash_key *key);
void grants_free(struct grants *grants);
const struct grant *grants_find(const struct grants *grants, const char *client);
/* Takes the place of an earlier one for the same client; false when there is no memory. */
bool grants_set(struct grants *grants, const struct grant *grant);
void grants_remove(struct grants *grants, const char *client);

/* ── connections that were let in, by the broker's pointer and by client id ─────────────────── */

enum client_state {
    CLIENT_OPEN,
    CLIENT_KICKED, /* the broker is about to disconnect it */
    CLIENT_GONE,   /* disconnected; kept until its will was sent */
};

struct client {
    struct map_node by_connection;
    struct map_node by_id;
    struct client *next; /* in the list of those to kick, or of those that are gone */
    const void *connection;
    enum client_state state;
    bool is_current; /* of its id: false once another connection has taken the id over */
    bool is_hub;
    char id[ID_MAX + 1];
    char project[ID_MAX + 1];    /* devices */
    char base[2 * ID_MAX + 3];   /* devices: `<project>/<id>/` */
    size_t base_length;
    uint8_t digest[SHA256_SIZE]; /* devices: of the token that let it in */
    char session[SESSION_SIZE + 1]; /* "" for none */
    int64_t expires;             /* of the session, Unix seconds */
    char *heard;                 /* the last it said at its door, until a session opens, or NULL */
    size_t heard_length;
};

struct clients {
    struct map connections;
    struct map ids;
    const struct hash_key *key;
};

bool clients_init(struct clients *clients, const struct hash_key *key);
void clients_free(struct clients *clients);
struct client *clients_by_connection(const struct clients *clients, const void *connection);
struct client *clients_by_id(const struct clients *clients, const char *id);
/* Makes it the current connection of its id. It belongs to the table from here on. */
void clients_add(struct clients *clients, struct client *client);
/* Another connection may have the id now. */
void clients_release_id(struct clients *clients, struct client *client);
/* Frees it. */
void clients_remove(struct clients *clients, struct client *client);

#endif
