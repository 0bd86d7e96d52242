#include "hash.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_BUCKETS = 64 };

static uint64_t rotate(uint64_t x, unsigned by)
{
    return x << by | x >> (64 - by);
}

static void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[0] = rotate(v[0], 32);
    v[2] += v[3];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[2] = rotate(v[2], 32);
}

/* Up to eight bytes, little-endian. */
static uint64_t load(const uint8_t *bytes, size_t count)
{
    uint64_t word = 0;
    for (size_t i = 0; i < count; i++) {
        word |= (uint64_t)bytes[i] << (8 * i);
    }
    return word;
}

uint64_t hash_bytes(const struct hash_key *key, const void *data, size_t length)
{
    const uint8_t *bytes = data;
    uint64_t v[4] = {
        key->k0 ^ 0x736f6d6570736575, key->k1 ^ 0x646f72616e646f6d,
        key->k0 ^ 0x6c7967656e657261, key->k1 ^ 0x7465646279746573,
    };
    size_t whole = length / 8 * 8;
    for (size_t i = 0; i <= whole; i += 8) {
        uint64_t word = i < whole ? load(bytes + i, 8)
                                  : load(bytes + i, length - whole) | (uint64_t)length << 56;
        v[3] ^= word;
        sip_round(v);
        sip_round(v);
        v[0] ^= word;
    }
    v[2] ^= 0xff;
    for (int i = 0; i < 4; i++) {
        sip_round(v);
    }
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

bool map_init(struct map *map)
{
    map->buckets = calloc(FIRST_BUCKETS, sizeof *map->buckets);
    map->mask = FIRST_BUCKETS - 1;
    map->count = 0;
    return map->buckets != NULL;
}

void map_free(struct map *map)
{
    free(map->buckets);
    map->buckets = NULL;
    map->count = 0;
}

static void grow(struct map *map)
{
    size_t size = (map->mask + 1) * 2;
    struct map_node **buckets = calloc(size, sizeof *buckets);
    if (buckets == NULL) {
        return; /* longer chains, nothing worse */
    }
    for (size_t i = 0; i <= map->mask; i++) {
        struct map_node *node = map->buckets[i];
        while (node != NULL) {
            struct map_node *next = node->next;
            struct map_node **bucket = &buckets[node->hash & (size - 1)];
            node->next = *bucket;
            *bucket = node;
            node = next;
        }
    }
    free(map->buckets);
    map->buckets = buckets;
    map->mask = size - 1;
}

void map_insert(struct map *map, struct map_node *node, uint64_t hash)
{
    if (map->count > map->mask) {
        grow(map);
    }
    struct map_node **bucket = &map->buckets[hash & map->mask];
    node->hash = hash;
    node->next = *bucket;
    *bucket = node;
    map->count++;
}

void map_remove(struct map *map, struct map_node *node)
{
    struct map_node **link = &map->buckets[node->hash & map->mask];
    while (*link != node) {
        link = &(*link)->next;
    }
    *link = node->next;
    map->count--;
}

static struct map_node *first_with(struct map_node *node, uint64_t hash)
{
    while (node != NULL && node->hash != hash) {
        node = node->next;
    }
    return node;
}

struct map_node *map_find(const struct map *map, uint64_t hash)
{
    return first_with(map->buckets[hash & map->mask], hash);
}

struct map_node *map_find_next(const struct map_node *node)
{
    return first_with(node->next, node->hash);
}

void map_each(struct map *map, void (*visit)(struct map_node *node, void *context), void *context)
{
    for (size_t i = 0; i <= map->mask; i++) {
        struct map_node *node = map->buckets[i];
        while (node != NULL) {
            struct map_node *next = node->next;
            visit(node, context);
            node = next;
        }
    }
}
