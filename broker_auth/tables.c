#include "tables.h"

#include <stdlib.h>
#include <string.h>

/* ── tokens ─────────────────────────────────────────────────────────────────────────────────── */

static uint64_t token_hash(const struct tokens *tokens, const char *project,
                           const uint8_t digest[SHA256_SIZE])
{
    char both[SHA256_SIZE + ID_MAX];
    size_t length = strnlen(project, ID_MAX);
    memcpy(both, digest, SHA256_SIZE);
    memcpy(both + SHA256_SIZE, project, length);
    return hash_bytes(tokens->key, both, SHA256_SIZE + length);
}

static struct token *token_find(const struct tokens *tokens, const char *project,
                                const uint8_t digest[SHA256_SIZE])
{
    uint64_t hash = token_hash(tokens, project, digest);
    for (struct map_node *n = map_find(&tokens->map, hash); n != NULL; n = map_find_next(n)) {
        struct token *token = MAP_ENTRY(n, struct token, node);
        if (text_equal_secret(token->digest, digest, SHA256_SIZE) &&
            strcmp(token->project, project) == 0) {
            return token;
        }
    }
    return NULL;
}

bool tokens_init(struct tokens *tokens, const struct hash_key *key)
{
    tokens->key = key;
    return map_init(&tokens->map);
}

static void free_token(struct map_node *node, void *context)
{
    (void)context;
    free(MAP_ENTRY(node, struct token, node));
}

void tokens_free(struct tokens *tokens)
{
    if (tokens->map.buckets != NULL) {
        map_each(&tokens->map, free_token, NULL);
    }
    map_free(&tokens->map);
}

bool tokens_have(const struct tokens *tokens, const char *project,
                 const uint8_t digest[SHA256_SIZE])
{
    return token_find(tokens, project, digest) != NULL;
}

enum tokens_change tokens_add(struct tokens *tokens, const char *project,
                              const uint8_t digest[SHA256_SIZE])
{
    if (tokens_have(tokens, project, digest)) {
        return TOKENS_SAME;
    }
    struct token *token = calloc(1, sizeof *token);
    if (token == NULL) {
        return TOKENS_NO_MEMORY;
    }
    memcpy(token->digest, digest, SHA256_SIZE);
    memcpy(token->project, project, strnlen(project, ID_MAX));
    map_insert(&tokens->map, &token->node, token_hash(tokens, project, digest));
    return TOKENS_CHANGED;
}

enum tokens_change tokens_remove(struct tokens *tokens, const char *project,
                                 const uint8_t digest[SHA256_SIZE])
{
    struct token *token = token_find(tokens, project, digest);
    if (token == NULL) {
        return TOKENS_SAME;
    }
    map_remove(&tokens->map, &token->node);
    free(token);
    return TOKENS_CHANGED;
}

/* ── grants ─────────────────────────────────────────────────────────────────────────────────── */

static struct grant *grant_find(const struct grants *grants, const char *client)
{
    uint64_t hash = hash_bytes(grants->key, client, strlen(client));
    for (struct map_node *n = map_find(&grants->map, hash); n != NULL; n = map_find_next(n)) {
        struct grant *grant = MAP_ENTRY(n, struct grant, node);
        if (strcmp(grant->client, client) == 0) {
            return grant;
        }
    }
    return NULL;
}

bool grants_init(struct grants *grants, const struct hash_key *key)
{
    grants->key = key;
    return map_init(&grants->map);
}

static void free_grant(struct map_node *node, void *context)
{
    (void)context;
    free(MAP_ENTRY(node, struct grant, node));
}

void grants_free(struct grants *grants)
{
    if (grants->map.buckets != NULL) {
        map_each(&grants->map, free_grant, NULL);
    }
    map_free(&grants->map);
}

const struct grant *grants_find(const struct grants *grants, const char *client)
{
    return grant_find(grants, client);
}

bool grants_set(struct grants *grants, const struct grant *grant)
{
    grants_remove(grants, grant->client);
    struct grant *copy = malloc(sizeof *copy);
    if (copy == NULL) {
        return false;
    }
    *copy = *grant;
    uint64_t hash = hash_bytes(grants->key, copy->client, strlen(copy->client));
    map_insert(&grants->map, &copy->node, hash);
    return true;
}

void grants_remove(struct grants *grants, const char *client)
{
    struct grant *grant = grant_find(grants, client);
    if (grant != NULL) {
        map_remove(&grants->map, &grant->node);
        free(grant);
    }
}

/* ── clients ────────────────────────────────────────────────────────────────────────────────── */

/* The broker's allocator chooses the addresses, no client does: a multiplication is enough. */
static uint64_t connection_hash(const struct clients *clients, const void *connection)
{
    uint64_t hash = ((uint64_t)(uintptr_t)connection ^ clients->key->k0) * 0x9e3779b97f4a7c15;
    return hash ^ hash >> 32;
}

bool clients_init(struct clients *clients, const struct hash_key *key)
{
    clients->key = key;
    if (!map_init(&clients->connections)) {
        return false;
    }
    if (!map_init(&clients->ids)) {
        map_free(&clients->connections);
        return false;
    }
    return true;
}

static void free_client(struct map_node *node, void *context)
{
    (void)context;
    struct client *client = MAP_ENTRY(node, struct client, by_connection);
    free(client->heard);
    free(client);
}

void clients_free(struct clients *clients)
{
    if (clients->connections.buckets != NULL) {
        map_each(&clients->connections, free_client, NULL);
    }
    map_free(&clients->connections);
    map_free(&clients->ids);
}

struct client *clients_by_connection(const struct clients *clients, const void *connection)
{
    uint64_t hash = connection_hash(clients, connection);
    for (struct map_node *n = map_find(&clients->connections, hash); n != NULL;
         n = map_find_next(n)) {
        struct client *client = MAP_ENTRY(n, struct client, by_connection);
        if (client->connection == connection) {
            return client;
        }
    }
    return NULL;
}

struct client *clients_by_id(const struct clients *clients, const char *id)
{
    uint64_t hash = hash_bytes(clients->key, id, strlen(id));
    for (struct map_node *n = map_find(&clients->ids, hash); n != NULL; n = map_find_next(n)) {
        struct client *client = MAP_ENTRY(n, struct client, by_id);
        if (strcmp(client->id, id) == 0) {
            return client;
        }
    }
    return NULL;
}

void clients_add(struct clients *clients, struct client *client)
{
    map_insert(&clients->connections, &client->by_connection,
               connection_hash(clients, client->connection));
    map_insert(&clients->ids, &client->by_id,
               hash_bytes(clients->key, client->id, strlen(client->id)));
    client->is_current = true;
}

void clients_release_id(struct clients *clients, struct client *client)
{
    if (client->is_current) {
        map_remove(&clients->ids, &client->by_id);
        client->is_current = false;
    }
}

void clients_remove(struct clients *clients, struct client *client)
{
    clients_release_id(clients, client);
    map_remove(&clients->connections, &client->by_connection);
    free_client(&client->by_connection, NULL);
}
