/* A hash table whose nodes live in the things it holds, keyed against chosen collisions. */
#ifndef ISAAX_HASH_H
#define ISAAX_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A secret that is drawn at start, so that a client cannot choose ids that collide. */
struct hash_key {
    uint64_t k0, k1;
};

/* SipHash-2-4 (Aumasson and Bernstein, 2012). */
uint64_t hash_bytes(const struct hash_key *key, const void *data, size_t length);

struct map_node {
    struct map_node *next;
    uint64_t hash;
};

struct map {
    struct map_node **buckets;
    size_t mask;
    size_t count;
};

/* False when there is no memory; every later call succeeds, as growing is an option, not a need. */
bool map_init(struct map *map);
void map_free(struct map *map);
void map_insert(struct map *map, struct map_node *node, uint64_t hash);
void map_remove(struct map *map, struct map_node *node);

/* The nodes that have this hash: `for (n = map_find(m, h); n; n = map_find_next(n))`. */
struct map_node *map_find(const struct map *map, uint64_t hash);
struct map_node *map_find_next(const struct map_node *node);

/* Calls `visit` for each node; it may remove (and free) the node it is given, and no other. */
void map_each(struct map *map, void (*visit)(struct map_node *node, void *context), void *context);

/* The struct of type `type` that holds this node as its `member`. */
#define MAP_ENTRY(node, type, member) ((type *)(void *)((char *)(node) - offsetof(type, member)))

#endif
