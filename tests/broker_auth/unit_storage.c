/* Digests, hash tables and the snapshot file. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "hash.h"
#include "sha256.h"
#include "snapshot.h"
#include "tables.h"

static const struct hash_key KEY = {0x0706050403020100, 0x0f0e0d0c0b0a0908};

/* ── hashes ─────────────────────────────────────────────────────────────────────────────────── */

static void check_digest(const char *text, size_t length, const char *expected)
{
    uint8_t digest[SHA256_SIZE];
    char hex[2 * SHA256_SIZE + 1];
    sha256(text, length, digest);
    text_to_hex(digest, SHA256_SIZE, hex);
    CHECK(strcmp(hex, expected) == 0);
}

/* FIPS 180-4's examples (csrc.nist.gov, "SHA-256 Example"), and its million times "a". */
static void test_sha256(void)
{
    check_digest("", 0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    check_digest("abc", 3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    const char *two = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    check_digest(two, 56, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    char *million = malloc(1000000);
    CHECK(million != NULL);
    if (million != NULL) {
        memset(million, 'a', 1000000);
        check_digest(million, 1000000,
                     "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    }
    free(million);
}

/* In pieces of any size it is the same digest. */
static void test_sha256_in_pieces(void)
{
    uint8_t data[300], whole[SHA256_SIZE], pieces[SHA256_SIZE];
    for (size_t i = 0; i < sizeof data; i++) {
        data[i] = (uint8_t)(i * 7);
    }
    for (size_t length = 0; length <= sizeof data; length++) {
        struct sha256 hash;
        sha256(data, length, whole);
        sha256_start(&hash);
        for (size_t done = 0; done < length;) {
            size_t step = done % 13 + 1 < length - done ? done % 13 + 1 : length - done;
            sha256_add(&hash, data + done, step);
            done += step;
        }
        sha256_finish(&hash, pieces);
        CHECK(memcmp(whole, pieces, SHA256_SIZE) == 0);
    }
}

/* The vectors of the SipHash paper's reference code: key 00..0f, inputs "", 00, 00 01, … */
static void test_siphash(void)
{
    static const uint64_t expected[] = {
        0x726fdb47dd0e0e31, 0x74f839c593dc67fd, 0x0d6c8009d9a94f5a, 0x85676696d7fb7e2d,
        0xcf2794e0277187b7, 0x18765564cd99a68d, 0xcbc9466e58fee3ce, 0xab0200f58b01d137,
        0x93f5f5799a932462, 0x9e0082df0ba9e4b0, 0x7a5dbbc594ddb9f3, 0xf4b32f46226bada7,
        0x751e8fbc860ee5fb, 0x14ea5627c0843d90, 0xf723ca908e7af2ee, 0xa129ca6149be45e5,
    };
    uint8_t input[16];
    for (size_t i = 0; i < sizeof input; i++) {
        input[i] = (uint8_t)i;
        CHECK(hash_bytes(&KEY, input, i) == expected[i]);
    }
}

struct item {
    struct map_node node;
    unsigned number;
};

static void count_node(struct map_node *node, void *context)
{
    (void)node;
    ++*(size_t *)context;
}

static void test_map(void)
{
    enum { MANY = 5000 };
    struct map map;
    struct item *items = calloc(MANY, sizeof *items);
    size_t seen = 0;
    CHECK(items != NULL && map_init(&map));
    for (unsigned i = 0; i < MANY; i++) {
        items[i].number = i;
        map_insert(&map, &items[i].node, i % 100); /* fifty for each hash */
    }
    for (unsigned i = 0; i < MANY; i += 2) {
        map_remove(&map, &items[i].node);
    }
    for (struct map_node *n = map_find(&map, 31); n != NULL; n = map_find_next(n)) {
        CHECK(MAP_ENTRY(n, struct item, node)->number % 100 == 31);
        seen++;
    }
    CHECK(seen == 50 && map_find(&map, 30) == NULL && map.count == MANY / 2);
    seen = 0;
    map_each(&map, count_node, &seen);
    CHECK(seen == MANY / 2);
    map_free(&map);
    free(items);
}

/* ── tables ─────────────────────────────────────────────────────────────────────────────────── */

static void test_tokens(void)
{
    struct tokens tokens;
    uint8_t digest[SHA256_SIZE] = {1};
    CHECK(tokens_init(&tokens, &KEY));
    CHECK(tokens_add(&tokens, "prj_1", digest) == TOKENS_CHANGED);
    CHECK(tokens_add(&tokens, "prj_1", digest) == TOKENS_SAME);
    CHECK(tokens_have(&tokens, "prj_1", digest) && !tokens_have(&tokens, "prj_2", digest));
    for (unsigned i = 0; i < 3000; i++) {
        memcpy(digest + 4, &i, sizeof i);
        CHECK(tokens_add(&tokens, "prj_1", digest) ==
              (i == 0 ? TOKENS_SAME : TOKENS_CHANGED));
    }
    for (unsigned i = 0; i < 3000; i += 2) {
        memcpy(digest + 4, &i, sizeof i);
        CHECK(tokens_remove(&tokens, "prj_1", digest) == TOKENS_CHANGED);
        CHECK(tokens_remove(&tokens, "prj_1", digest) == TOKENS_SAME);
    }
    for (unsigned i = 0; i < 3000; i++) {
        memcpy(digest + 4, &i, sizeof i);
        CHECK(tokens_have(&tokens, "prj_1", digest) == (i % 2 == 1));
    }
    tokens_free(&tokens);
}

/* ── snapshot file ──────────────────────────────────────────────────────────────────────────── */

static void test_snapshot_file(void)
{
    char folder[] = "/tmp/broker_auth_XXXXXX", path[64], text[4096];
    struct tokens tokens, loaded;
    uint8_t digest[SHA256_SIZE] = {9};
    uint64_t generation = 0;
    int error = 0;
    CHECK(mkdtemp(folder) != NULL && tokens_init(&tokens, &KEY) && tokens_init(&loaded, &KEY));
    snprintf(path, sizeof path, "%s/snapshot", folder);
    CHECK(snapshot_load(path, &loaded, &generation, &error) != NULL && error != 0);
    CHECK(tokens_add(&tokens, "prj_1", digest) == TOKENS_CHANGED);
    CHECK(tokens_add(&tokens, "prj_2", digest) == TOKENS_CHANGED);
    CHECK(snapshot_save(path, &tokens, 42) == 0 && snapshot_save(path, &tokens, 43) == 0);
    struct stat info;
    CHECK(stat(path, &info) == 0 && (info.st_mode & 0777) == 0600);
    CHECK(snapshot_load(path, &loaded, &generation, &error) == NULL && generation == 43);
    CHECK(loaded.map.count == 2 && tokens_have(&loaded, "prj_2", digest));
    FILE *file = fopen(path, "rb");
    size_t length = file != NULL ? fread(text, 1, sizeof text, file) : 0;
    CHECK(length > 100);
    if (file != NULL) {
        fclose(file);
    }
    for (size_t cut = 0; cut < length; cut++) { /* truncated at every byte, and damaged at each */
        struct tokens none;
        CHECK(tokens_init(&none, &KEY));
        CHECK(snapshot_parse(text, cut, &none, &generation) != NULL);
        text[cut] = (char)(text[cut] ^ 1);
        CHECK(snapshot_parse(text, length, &none, &generation) != NULL && none.map.count == 0);
        text[cut] = (char)(text[cut] ^ 1);
        tokens_free(&none);
    }
    CHECK(snapshot_load(folder, &loaded, &generation, &error) != NULL && error == 0);
    CHECK(snapshot_save("/nonexistent/snapshot", &tokens, 1) != 0);
    unlink(path);
    CHECK(rmdir(folder) == 0); /* no temporary file stays behind */
    tokens_free(&tokens);
    tokens_free(&loaded);
}

void test_storage(void)
{
    test_sha256();
    test_sha256_in_pieces();
    test_siphash();
    test_map();
    test_tokens();
    test_snapshot_file();
}
