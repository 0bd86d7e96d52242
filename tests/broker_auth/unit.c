/* The plugin's parts without a broker. Each check that fails is named, and the program fails. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit.h"
#include "control.h"
#include "hash.h"
#include "policy.h"
#include "sha256.h"
#include "snapshot.h"
#include "status.h"
#include "tables.h"
#include "text.h"
#include "topics.h"

static unsigned checks, failures;

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        checks++;                                                                                  \
        if (!(condition)) {                                                                        \
            failures++;                                                                            \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                        \
        }                                                                                          \
    } while (0)

#define SID_A "0123456789abcdef0123456789abcdef"
#define SID_B "fedcba9876543210fedcba9876543210"

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

/* ── text ───────────────────────────────────────────────────────────────────────────────────── */

static void test_text(void)
{
    char long_id[ID_MAX + 2];
    char out[64];
    uint8_t bytes[2];
    memset(long_id, 'a', sizeof long_id);
    CHECK(text_is_id("dev_a-Z09", 9) && text_is_id(long_id, ID_MAX));
    CHECK(!text_is_id("", 0) && !text_is_id(long_id, ID_MAX + 1));
    CHECK(!text_is_id("a b", 3) && !text_is_id("a/b", 3) && !text_is_id("a+", 2));
    CHECK(!text_is_id("\xc3\xa4", 2) && !text_is_id("a\0b", 3) && !text_is_id("a.b", 3));
    CHECK(text_is_session(SID_A, 32) && !text_is_session(SID_A, 31));
    CHECK(!text_is_session("0123456789ABCDEF0123456789ABCDEF", 32));
    CHECK(text_from_hex("0aff", 4, bytes, 2) && bytes[0] == 0x0a && bytes[1] == 0xff);
    CHECK(!text_from_hex("0aFF", 4, bytes, 2) && !text_from_hex("0af", 3, bytes, 2));
    CHECK(text_is_hub_client("hub-auth") && !text_is_hub_client("hub") &&
          !text_is_hub_client("Hub-x"));
    CHECK(text_equal_secret("abc", "abc", 3) && !text_equal_secret("abc", "abd", 3));
    text_for_log("d/p/c/" SID_A "/log\n\x7f\"\xc3", out, sizeof out);
    CHECK(strcmp(out, "d/p/c/*/log????") == 0);
    text_for_log("abcdefabcdefghijkl", out, 8);
    CHECK(strcmp(out, "abcdefa") == 0);
}

/* ── topics ─────────────────────────────────────────────────────────────────────────────────── */

static const struct topic_scope OPEN = {"dev_1", "prj_1/dev_1/", 12, SID_A};
static const struct topic_scope FRESH = {"dev_1", "prj_1/dev_1/", 12, NULL};

static void test_topics_within_a_session(void)
{
    const char *up[] = {"auth/dev_1/up", "d/prj_1/dev_1/" SID_A "/log/app",
                        "d/prj_1/dev_1/" SID_A "/state", "d/prj_1/dev_1/" SID_A "/reply/cmd_1"};
    const char *down[] = {"auth/dev_1/down", "c/prj_1/dev_1/" SID_A "/ack",
                          "c/prj_1/dev_1/" SID_A "/command/x.y-z_1"};
    const char *filters[] = {"c/prj_1/dev_1/" SID_A "/#", "c/prj_1/dev_1/" SID_A "/command/+"};
    for (size_t i = 0; i < sizeof up / sizeof *up; i++) {
        CHECK(topics_allow(&OPEN, TOPIC_PUBLISH, up[i], false));
        CHECK(!topics_allow(&OPEN, TOPIC_PUBLISH, up[i], true));
        CHECK(!topics_allow(&OPEN, TOPIC_SUBSCRIBE, up[i], false));
        CHECK(!topics_allow(&OPEN, TOPIC_RECEIVE, up[i], false));
    }
    for (size_t i = 0; i < sizeof down / sizeof *down; i++) {
        CHECK(topics_allow(&OPEN, TOPIC_SUBSCRIBE, down[i], false));
        CHECK(topics_allow(&OPEN, TOPIC_RECEIVE, down[i], false));
        CHECK(!topics_allow(&OPEN, TOPIC_PUBLISH, down[i], false));
    }
    for (size_t i = 0; i < sizeof filters / sizeof *filters; i++) {
        CHECK(topics_allow(&OPEN, TOPIC_SUBSCRIBE, filters[i], false));
        CHECK(!topics_allow(&FRESH, TOPIC_SUBSCRIBE, filters[i], false));
        CHECK(!topics_allow(&OPEN, TOPIC_RECEIVE, filters[i], false));
    }
}

static void test_topics_without_a_session(void)
{
    CHECK(topics_allow(&FRESH, TOPIC_PUBLISH, "auth/dev_1/up", false));
    CHECK(topics_allow(&FRESH, TOPIC_SUBSCRIBE, "auth/dev_1/down", false));
    CHECK(topics_allow(&FRESH, TOPIC_RECEIVE, "auth/dev_1/down", true));
    CHECK(!topics_allow(&FRESH, TOPIC_PUBLISH, "d/prj_1/dev_1/" SID_A "/log/app", false));
    CHECK(!topics_allow(&FRESH, TOPIC_RECEIVE, "c/prj_1/dev_1/" SID_A "/ack", false));
}

static void test_topics_that_are_not_ours(void)
{
    const char *foreign[] = {
        "", "#", "+", "/", "//", "+/#", "$SYS/#", "$SYS/broker/uptime", "$CONTROL/isaax/v1",
        "$CONTROL/#", "$isaax/status", "$share/g/c/prj_1/dev_1/" SID_A "/#", "auth", "auth/",
        "auth/dev_1", "auth/dev_1/", "auth/dev_1/up/", "auth/dev_1/up/x", "auth/dev_1/#",
        "auth/+/up", "auth/+/down", "auth/#", "auth/dev_2/up", "auth/dev_2/down", "auth/dev_11/up",
        "auth//up", "/auth/dev_1/up", "c/#", "c/prj_1/#", "c/prj_1/+/#", "c/+/dev_1/#",
        "c/prj_1/dev_1/#", "c/prj_1/dev_1/+/#", "c/prj_1/dev_1/" SID_A, "c/prj_1/dev_1/" SID_A "/",
        "c/prj_1/dev_1/" SID_A "/+", "c/prj_1/dev_1/" SID_A "/+/x",
        "c/prj_1/dev_1/" SID_A "/command/#", "c/prj_1/dev_1/" SID_A "/command/+/x",
        "c/prj_1/dev_1/" SID_A "/ack#", "c/prj_1/dev_1/" SID_A "/..",
        "c/prj_1/dev_1/" SID_A "/../x", "c/prj_1/dev_1/" SID_A "//ack",
        "c/prj_1/dev_1/" SID_A "/ack/", "c/prj_1/dev_1/" SID_A "/a\xc3\xa4",
        "c/prj_1/dev_1/" SID_B "/ack", "c/prj_1/dev_1/" SID_B "/#", "c/prj_1/dev_2/" SID_A "/ack",
        "c/prj_2/dev_1/" SID_A "/ack", "d/prj_1/dev_1/" SID_B "/log/app",
        "d/prj_1/dev_2/" SID_A "/log/app", "d/prj_2/dev_1/" SID_A "/log/app",
        "d/prj_1/dev_1/" SID_A "x/log/app", "d/prj_1/dev_1/" SID_A "/log/+",
        "d/prj_1/dev_1/" SID_A "/", "d/prj_1/dev_1/" SID_A "//log", "D/prj_1/dev_1/" SID_A "/state",
    };
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++) {
        CHECK(!topics_allow(&OPEN, TOPIC_PUBLISH, foreign[i], false));
        CHECK(!topics_allow(&OPEN, TOPIC_SUBSCRIBE, foreign[i], false));
        CHECK(!topics_allow(&OPEN, TOPIC_RECEIVE, foreign[i], false));
    }
}

static void test_topics_too_long(void)
{
    char topic[TOPIC_MAX + 2] = "d/prj_1/dev_1/" SID_A "/";
    size_t length = strlen(topic);
    memset(topic + length, 'x', TOPIC_MAX - length);
    CHECK(topics_allow(&OPEN, TOPIC_PUBLISH, topic, false));
    topic[TOPIC_MAX] = 'x';
    CHECK(!topics_allow(&OPEN, TOPIC_PUBLISH, topic, false));
}

/* ── control lines ──────────────────────────────────────────────────────────────────────────── */

#define DIGEST "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static enum control_result parse_one(const char *text, struct control_line *line)
{
    const char *cursor = text;
    return control_next(&cursor, text + strlen(text), line);
}

static void test_control_lines(void)
{
    struct control_line line;
    CHECK(parse_one("begin 18446744073709551615", &line) == CONTROL_LINE &&
          line.verb == CONTROL_BEGIN && line.generation == UINT64_MAX);
    CHECK(parse_one("commit 0", &line) == CONTROL_LINE && line.verb == CONTROL_COMMIT);
    CHECK(parse_one("token prj_1 " DIGEST, &line) == CONTROL_LINE && line.verb == CONTROL_TOKEN &&
          strcmp(line.project, "prj_1") == 0 && line.digest[1] == 0x11 && line.digest[31] == 0xff);
    CHECK(parse_one("untoken prj_1 " DIGEST, &line) == CONTROL_LINE &&
          line.verb == CONTROL_UNTOKEN);
    CHECK(parse_one("session dev_1 prj_1 " SID_A " 1795449330", &line) == CONTROL_LINE &&
          line.verb == CONTROL_SESSION && strcmp(line.client, "dev_1") == 0 &&
          strcmp(line.session, SID_A) == 0 && line.expires == 1795449330);
    CHECK(parse_one("unsession dev_1", &line) == CONTROL_LINE && line.verb == CONTROL_UNSESSION);
    CHECK(parse_one("kick dev_1", &line) == CONTROL_LINE && line.verb == CONTROL_KICK);
}

static void test_malformed_control_lines(void)
{
    const char *bad[] = {
        " ", "kick", "kick ", " kick dev_1", "kick  dev_1", "kick dev_1 ", "kick dev_1 dev_2",
        "kick dev/1", "kick hub-auth", "unsession hub-x", "KICK dev_1", "begin", "begin -1",
        "begin 01", "begin 1x", "begin 18446744073709551616", "begin 99999999999999999999999",
        "token prj_1", "token prj_1 " DIGEST "00", "token prj_1 xyz", "token p/1 " DIGEST,
        "session dev_1 prj_1 " SID_A, "session dev_1 prj_1 " SID_A " x",
        "session dev_1 prj_1 " SID_A " -5", "session dev_1 prj_1 " SID_A " 9223372036854775808",
        "session dev_1 prj_1 abc 1", "session hub-x prj_1 " SID_A " 1", "kick dev_1\r", "nothing",
        "session dev_1 prj_1 " SID_A " 1 too-short", "session dev_1 prj_1 " SID_A " 1 long/enough/to/be",
        "session dev_1 prj_1 " SID_A " 1 0123456789abcdef extra", "a b c d e f g",
    };
    struct control_line line;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (parse_one(bad[i], &line) != CONTROL_MALFORMED) {
            fprintf(stderr, "taken for good: \"%s\"\n", bad[i]);
            failures++;
        }
        checks++;
    }
}

static void test_control_message(void)
{
    const char text[] = "\n\nkick a\nbad line\n\nkick b";
    const char *cursor = text, *end = text + sizeof text - 1;
    struct control_line line;
    CHECK(control_next(&cursor, end, &line) == CONTROL_LINE && strcmp(line.client, "a") == 0);
    CHECK(control_next(&cursor, end, &line) == CONTROL_MALFORMED);
    CHECK(control_next(&cursor, end, &line) == CONTROL_LINE && strcmp(line.client, "b") == 0);
    CHECK(control_next(&cursor, end, &line) == CONTROL_END);
    CHECK(control_next(&cursor, end, &line) == CONTROL_END);
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

/* ── policy ─────────────────────────────────────────────────────────────────────────────────── */

/* Two projects with a token each ("one", "two"), the hub's password "pw", and its connection. */
struct world {
    struct policy policy;
    int connections[16]; /* only their addresses matter */
    int64_t now;
};

static void *at(struct world *world, size_t number)
{
    return &world->connections[number];
}

static const char *join(struct world *world, size_t number, const char *client, const char *user,
                        const char *password)
{
    const struct connect_request request = {at(world, number), client, user, password, 4, true};
    return policy_connect(&world->policy, &request, world->now);
}

static size_t order(struct world *world, const char *text)
{
    return policy_control(&world->policy, at(world, 0), text, strlen(text), world->now);
}

static void set_up(struct world *world)
{
    uint8_t digest[SHA256_SIZE];
    char hex[2 * SHA256_SIZE + 1], line[128];
    *world = (struct world){.now = 1000};
    sha256("pw", 2, digest);
    CHECK(policy_init(&world->policy, &KEY, digest));
    CHECK(join(world, 0, "hub-auth", "hub", "pw") == NULL);
    sha256("one", 3, digest);
    text_to_hex(digest, SHA256_SIZE, hex);
    snprintf(line, sizeof line, "token prj_1 %s\n", hex);
    CHECK(order(world, line) == 0);
    sha256("two", 3, digest);
    text_to_hex(digest, SHA256_SIZE, hex);
    snprintf(line, sizeof line, "token prj_2 %s\n", hex);
    CHECK(order(world, line) == 0);
}

static bool may(struct world *world, size_t number, const char *client, enum topic_access access,
                const char *topic)
{
    return policy_allows(&world->policy, at(world, number), client, access, topic, false,
                         world->now);
}

static bool may_log(struct world *world, size_t number, const char *session)
{
    char topic[128];
    snprintf(topic, sizeof topic, "d/prj_1/dev_1/%s/log/app", session);
    return may(world, number, "dev_1", TOPIC_PUBLISH, topic);
}

static void test_connect(void)
{
    struct world w;
    char session_like[64];
    set_up(&w);
    CHECK(join(&w, 1, "new-1", "prj_1", "one") == NULL);
    CHECK(join(&w, 2, "new-2", "prj_1", "two") != NULL);
    CHECK(join(&w, 2, "new-2", "prj_2", "one") != NULL);
    CHECK(join(&w, 2, "new-2", "prj_1", "") != NULL);
    CHECK(join(&w, 2, NULL, "prj_1", "one") != NULL);
    CHECK(join(&w, 2, "", "prj_1", "one") != NULL);
    CHECK(join(&w, 2, "new-2", NULL, "one") != NULL);
    CHECK(join(&w, 2, "new-2", "prj_1", NULL) != NULL);
    CHECK(join(&w, 2, "a/b", "prj_1", "one") != NULL);
    CHECK(join(&w, 2, "#", "prj_1", "one") != NULL);
    CHECK(join(&w, 2, "new-2", "prj/1", "one") != NULL);
    CHECK(join(&w, 2, "hub-x", "prj_1", "one") != NULL);
    CHECK(join(&w, 2, "hub-x", "hub", "wrong") != NULL);
    CHECK(join(&w, 2, "dev_9", "hub", "pw") != NULL);
    snprintf(session_like, sizeof session_like, "one/%s", SID_A);
    CHECK(join(&w, 2, "new-2", "prj_1", session_like) == NULL); /* that session is over */
    const struct connect_request five = {at(&w, 3), "new-3", "prj_1", "one", 5, true};
    const struct connect_request kept = {at(&w, 3), "new-3", "prj_1", "one", 4, false};
    CHECK(policy_connect(&w.policy, &five, w.now) != NULL);
    CHECK(policy_connect(&w.policy, &kept, w.now) != NULL);
    policy_free(&w.policy);
}

static void test_session_opens_and_ends(void)
{
    struct world w;
    set_up(&w);
    CHECK(join(&w, 1, "dev_1", "prj_1", "one") == NULL);
    CHECK(!may_log(&w, 1, SID_A));
    CHECK(order(&w, "session dev_1 prj_2 " SID_A " 2000") == 0 && !may_log(&w, 1, SID_A));
    CHECK(order(&w, "session dev_1 prj_1 " SID_A " 2000") == 0 && may_log(&w, 1, SID_A));
    CHECK(w.policy.sessions == 1);
    CHECK(order(&w, "session dev_1 prj_1 " SID_B " 2000") == 0);
    CHECK(!may_log(&w, 1, SID_A) && may_log(&w, 1, SID_B) && w.policy.sessions == 1);
    w.now = 1999;
    CHECK(may_log(&w, 1, SID_B));
    w.now = 2000;
    CHECK(!may_log(&w, 1, SID_B) && w.policy.sessions == 0);
    CHECK(order(&w, "session dev_1 prj_1 " SID_A " 2000") == 0 && !may_log(&w, 1, SID_A));
    CHECK(order(&w, "session dev_1 prj_1 " SID_A " 3000") == 0 && may_log(&w, 1, SID_A));
    policy_disconnect(&w.policy, at(&w, 1));
    CHECK(!may_log(&w, 1, SID_A) && w.policy.sessions == 0);
    CHECK(may(&w, 1, "dev_1", TOPIC_PUBLISH, "auth/dev_1/up")); /* its will */
    CHECK(!may(&w, 1, "dev_1", TOPIC_RECEIVE, "auth/dev_1/down"));
    policy_forget_gone(&w.policy);
    CHECK(!may(&w, 1, "dev_1", TOPIC_PUBLISH, "auth/dev_1/up"));
    CHECK(order(&w, "session dev_1 prj_1 " SID_A " 3000") == 0 && w.policy.sessions == 0);
    policy_free(&w.policy);
}

static void test_takeover(void)
{
    struct world w;
    set_up(&w);
    CHECK(join(&w, 1, "dev_1", "prj_1", "one") == NULL);
    CHECK(join(&w, 2, "dev_1", "prj_1", "one") == NULL); /* nothing to take over yet */
    policy_disconnect(&w.policy, at(&w, 1));             /* late, and of no effect on the other */
    CHECK(order(&w, "session dev_1 prj_1 " SID_A " 2000") == 0 && may_log(&w, 2, SID_A));
    CHECK(join(&w, 3, "dev_1", "prj_1", "one") != NULL);
    CHECK(join(&w, 3, "dev_1", "prj_1", "one/" SID_B) != NULL);
    CHECK(join(&w, 3, "dev_1", "prj_2", "two/" SID_A) != NULL);
    CHECK(join(&w, 3, "dev_1", "prj_1", "two/" SID_A) != NULL);
    CHECK(join(&w, 3, "dev_1", "prj_1", SID_A) != NULL);
    policy_disconnect(&w.policy, at(&w, 3)); /* the broker says so of refused ones too */
    CHECK(may_log(&w, 2, SID_A));
    CHECK(join(&w, 3, "dev_1", "prj_1", "one/" SID_A) == NULL);
    CHECK(!may_log(&w, 2, SID_A) && !may_log(&w, 3, SID_A) && w.policy.sessions == 0);
    CHECK(may(&w, 2, "dev_1", TOPIC_PUBLISH, "auth/dev_1/up")); /* the old one's will */
    policy_disconnect(&w.policy, at(&w, 2));
    CHECK(order(&w, "session dev_1 prj_1 " SID_B " 2000") == 0 && may_log(&w, 3, SID_B));
    w.now = 2000; /* an expired session protects nothing */
    CHECK(join(&w, 4, "dev_1", "prj_1", "one") == NULL);
    policy_free(&w.policy);
}

/* A session that was asked for by a connection does not go to the one that came in its place. */
static void test_session_for_another_connection(void)
{
    struct world w;
    const char hello[] = "{\"op\":\"hello\",\"connection\":\"first-connection\"}";
    const char line[] = "session dev_1 prj_1 " SID_A " 2000 first-connection";
    set_up(&w);
    CHECK(join(&w, 1, "dev_1", "prj_1", "one") == NULL);
    CHECK(order(&w, line) == 0 && !may_log(&w, 1, SID_A)); /* it has not said so */
    policy_hear(&w.policy, at(&w, 1), hello, sizeof hello - 1);
    CHECK(order(&w, line) == 0 && may_log(&w, 1, SID_A));
    CHECK(order(&w, line) == 0 && may_log(&w, 1, SID_A)); /* sent again */
    policy_disconnect(&w.policy, at(&w, 1));
    CHECK(join(&w, 2, "dev_1", "prj_1", "one") == NULL);
    policy_hear(&w.policy, at(&w, 2), "{\"op\":\"begin\"}", 14);
    CHECK(order(&w, line) == 0 && !may_log(&w, 2, SID_A) && w.policy.sessions == 0);
    policy_hear(&w.policy, at(&w, 2), hello, 0);
    policy_hear(&w.policy, at(&w, 9), hello, sizeof hello - 1); /* not known */
    CHECK(order(&w, line) == 0 && w.policy.sessions == 0);
    CHECK(order(&w, "begin 1\nsession dev_1 prj_1 " SID_A " 2000\ncommit 1") == 0);
    CHECK(w.policy.sessions == 0); /* a snapshot keeps sessions and opens none */
    policy_free(&w.policy);
}

/* The broker frees a connection and gives its address to another. */
static void test_address_used_again(void)
{
    struct world w;
    set_up(&w);
    CHECK(join(&w, 1, "dev_1", "prj_1", "one") == NULL);
    CHECK(order(&w, "session dev_1 prj_1 " SID_A " 2000") == 0);
    CHECK(join(&w, 1, "dev_1", "prj_1", "wrong") != NULL);
    CHECK(!may_log(&w, 1, SID_A) && !may(&w, 1, "dev_1", TOPIC_PUBLISH, "auth/dev_1/up"));
    CHECK(join(&w, 0, "dev_2", "prj_1", "one") == NULL);
    CHECK(!may(&w, 0, "dev_2", TOPIC_SUBSCRIBE, "d/#"));
    CHECK(order(&w, "kick dev_2") == 1 && policy_next_kick(&w.policy) == NULL);
    policy_free(&w.policy);
}

static void test_reload(void)
{
    struct world w;
    set_up(&w);
    const struct connect_request again = {at(&w, 1), "dev_1", "prj_1", "one", 4, true};
    CHECK(join(&w, 1, "dev_1", "prj_1", "one") == NULL);
    CHECK(order(&w, "session dev_1 prj_1 " SID_A " 2000") == 0);
    CHECK(policy_connect_again(&w.policy, &again, w.now) == NULL && may_log(&w, 1, SID_A));
    struct tokens none;
    CHECK(tokens_init(&none, &w.policy.key));
    policy_replace_tokens(&w.policy, &none, 7);
    tokens_free(&none);
    CHECK(policy_connect_again(&w.policy, &again, w.now) != NULL && !may_log(&w, 1, SID_A));
    CHECK(w.policy.sessions == 0);
    policy_free(&w.policy);
}

static void test_hub(void)
{
    struct world w;
    set_up(&w);
    CHECK(may(&w, 0, "hub-auth", TOPIC_SUBSCRIBE, "d/#"));
    CHECK(may(&w, 0, "hub-auth", TOPIC_PUBLISH, "$CONTROL/isaax/v1"));
    CHECK(may(&w, 0, "hub-auth", TOPIC_RECEIVE, "$isaax/status"));
    CHECK(!may(&w, 0, "dev_1", TOPIC_PUBLISH, "auth/dev_1/up")); /* not who it says */
    policy_disconnect(&w.policy, at(&w, 0));
    CHECK(may(&w, 0, "hub-auth", TOPIC_RECEIVE, "auth/dev_1/up")); /* queued while it is away */
    CHECK(!may(&w, 0, "hub-auth", TOPIC_PUBLISH, "c/x"));
    policy_forget_gone(&w.policy);
    CHECK(may(&w, 0, "hub-auth", TOPIC_RECEIVE, "auth/dev_1/up"));
    CHECK(!may(&w, 0, "hub-auth", TOPIC_PUBLISH, "c/x") &&
          !may(&w, 0, "hub-auth", TOPIC_SUBSCRIBE, "d/#"));
    CHECK(!policy_allows(&w.policy, at(&w, 9), NULL, TOPIC_RECEIVE, "x", false, w.now));
    policy_free(&w.policy);
}

static void test_only_the_hub_commands(void)
{
    struct world w;
    set_up(&w);
    CHECK(join(&w, 1, "dev_1", "prj_1", "one") == NULL);
    CHECK(policy_control(&w.policy, at(&w, 1), "kick dev_1", 10, w.now) == 1);
    CHECK(policy_control(&w.policy, at(&w, 9), "kick dev_1", 10, w.now) == 1);
    CHECK(policy_next_kick(&w.policy) == NULL);
    char *large = calloc(1, CONTROL_MAX + 1);
    CHECK(large != NULL && policy_control(&w.policy, at(&w, 0), large, CONTROL_MAX + 1, w.now) == 1);
    free(large);
    policy_free(&w.policy);
}

static void revoke_one(struct world *w)
{
    uint8_t digest[SHA256_SIZE];
    char hex[2 * SHA256_SIZE + 1], line[128];
    sha256("one", 3, digest);
    text_to_hex(digest, SHA256_SIZE, hex);
    snprintf(line, sizeof line, "untoken prj_1 %s", hex);
    CHECK(order(w, line) == 0);
}

static void test_revocation(void)
{
    struct world w;
    set_up(&w);
    CHECK(join(&w, 1, "dev_1", "prj_1", "one") == NULL);
    CHECK(join(&w, 2, "dev_2", "prj_1", "one") == NULL);
    CHECK(join(&w, 3, "dev_3", "prj_2", "two") == NULL);
    CHECK(order(&w, "session dev_1 prj_1 " SID_A " 2000") == 0);
    revoke_one(&w);
    CHECK(!may_log(&w, 1, SID_A) && !may(&w, 2, "dev_2", TOPIC_RECEIVE, "auth/dev_2/down"));
    const char *first = policy_next_kick(&w.policy);
    CHECK(first != NULL && (strcmp(first, "dev_1") == 0 || strcmp(first, "dev_2") == 0));
    policy_disconnect(&w.policy, at(&w, 1));
    policy_disconnect(&w.policy, at(&w, 2)); /* gone before its turn: not named any more */
    CHECK(policy_next_kick(&w.policy) == NULL);
    CHECK(join(&w, 4, "dev_4", "prj_1", "one") != NULL);
    CHECK(may(&w, 3, "dev_3", TOPIC_RECEIVE, "auth/dev_3/down"));
    CHECK(order(&w, "unsession dev_3\nkick dev_3\nkick nobody") == 0);
    first = policy_next_kick(&w.policy);
    CHECK(first != NULL && strcmp(first, "dev_3") == 0 && policy_next_kick(&w.policy) == NULL);
    policy_free(&w.policy);
}

static void test_snapshot_from_the_hub(void)
{
    struct world w;
    char text[512], hex[2 * SHA256_SIZE + 1];
    uint8_t digest[SHA256_SIZE];
    set_up(&w);
    sha256("one", 3, digest);
    text_to_hex(digest, SHA256_SIZE, hex);
    CHECK(join(&w, 1, "dev_1", "prj_1", "one") == NULL); /* listed with its session: goes on */
    CHECK(join(&w, 2, "dev_2", "prj_1", "one") == NULL); /* has a session that is not listed */
    CHECK(join(&w, 3, "dev_3", "prj_1", "one") == NULL); /* has none yet: goes on */
    CHECK(join(&w, 4, "dev_4", "prj_2", "two") == NULL); /* its token is not listed */
    CHECK(order(&w, "session dev_1 prj_1 " SID_A " 2000\nsession dev_2 prj_1 " SID_B " 2000") == 0);
    snprintf(text, sizeof text,
             "begin 5\ntoken prj_1 %s\nsession dev_1 prj_1 " SID_A " 3000\n"
             "session dev_9 prj_1 " SID_B " 3000\n",
             hex);
    CHECK(order(&w, text) == 0 && w.policy.tokens.map.count == 2 && may_log(&w, 1, SID_A));
    CHECK(order(&w, "commit 5\ncommit 5") == 1);
    CHECK(w.policy.tokens.map.count == 1 && w.policy.generation == 5 && may_log(&w, 1, SID_A));
    CHECK(w.policy.sessions == 1 && w.policy.tokens_changed);
    unsigned kicked = 0;
    for (const char *id = policy_next_kick(&w.policy); id; id = policy_next_kick(&w.policy)) {
        CHECK(strcmp(id, "dev_2") == 0 || strcmp(id, "dev_4") == 0);
        kicked++;
    }
    CHECK(kicked == 2);
    w.now = 2500;
    CHECK(may_log(&w, 1, SID_A) && may(&w, 3, "dev_3", TOPIC_RECEIVE, "auth/dev_3/down"));
    CHECK(join(&w, 5, "dev_9", "prj_1", "one") == NULL); /* was away: nothing was kept for it */
    CHECK(w.policy.sessions == 1);
    policy_free(&w.policy);
}

static void test_lines_beside_a_stage(void)
{
    struct world w;
    set_up(&w);
    const char other_line[] = "token prj_3 " DIGEST "\nsession dev_1 prj_1 " SID_A " 2000";
    CHECK(join(&w, 1, "dev_1", "prj_1", "one") == NULL);
    CHECK(join(&w, 2, "hub-other", "hub", "pw") == NULL);
    CHECK(order(&w, "begin 1\nsession dev_1 prj_1 " SID_B " 2000") == 0);
    CHECK(!may_log(&w, 1, SID_B)); /* staged, not in force */
    CHECK(policy_control(&w.policy, at(&w, 2), other_line, strlen(other_line), w.now) == 0);
    CHECK(may_log(&w, 1, SID_A) && w.policy.tokens.map.count == 3);
    CHECK(policy_control(&w.policy, at(&w, 2), "commit 1", 8, w.now) == 1); /* not its own */
    revoke_one(&w); /* acts at once, though it comes from the one who stages */
    CHECK(!may_log(&w, 1, SID_A) && policy_next_kick(&w.policy) != NULL);
    policy_disconnect(&w.policy, at(&w, 0)); /* the stage outlives the connection */
    CHECK(join(&w, 0, "hub-auth", "hub", "pw") == NULL);
    CHECK(order(&w, "commit 1") == 0 && w.policy.tokens.map.count == 1);
    CHECK(order(&w, "begin 2\ntoken prj_1 " DIGEST) == 0);
    CHECK(order(&w, "commit 3") == 1); /* and the stage is dropped: lines act again */
    CHECK(order(&w, "token prj_1 " DIGEST) == 0 && w.policy.tokens.map.count == 2);
    policy_free(&w.policy);
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

/* ── audit and status ───────────────────────────────────────────────────────────────────────── */

static void test_audit(void)
{
    struct audit audit = {0};
    uint64_t silent = 99;
    unsigned logged = 0;
    for (int i = 0; i < 100; i++) {
        logged += audit_count(&audit, AUDIT_PUBLISH, 1, 5, &silent) ? 1 : 0;
    }
    CHECK(logged == AUDIT_PER_SECOND && audit.counts[AUDIT_PUBLISH] == 100 && silent == 0);
    CHECK(audit_count(&audit, AUDIT_DELIVERY, 1, 5, &silent) && silent == 0);
    CHECK(audit_count(&audit, AUDIT_PUBLISH, 2, 6, &silent) && silent == 100 - AUDIT_PER_SECOND);
}

static void test_status(void)
{
    struct world w;
    struct audit audit = {.counts = {1, 2, 3, 4, 5}};
    struct instance instance = {"0011223344556677", 12};
    char json[STATUS_MAX];
    set_up(&w);
    status_format(json, &instance, &w.policy, &audit);
    CHECK(strcmp(json, "{\"instance\":\"0011223344556677\",\"started\":12,\"generation\":0,"
                       "\"tokens\":2,\"connections\":1,\"sessions\":0,\"refused_connects\":1,"
                       "\"refused_publishes\":2,\"refused_subscribes\":3,\"refused_deliveries\":4,"
                       "\"bad_control_lines\":5}") == 0);
    policy_free(&w.policy);
}

int main(void)
{
    test_sha256();
    test_sha256_in_pieces();
    test_siphash();
    test_map();
    test_text();
    test_topics_within_a_session();
    test_topics_without_a_session();
    test_topics_that_are_not_ours();
    test_topics_too_long();
    test_control_lines();
    test_malformed_control_lines();
    test_control_message();
    test_tokens();
    test_connect();
    test_session_opens_and_ends();
    test_takeover();
    test_session_for_another_connection();
    test_address_used_again();
    test_reload();
    test_hub();
    test_only_the_hub_commands();
    test_revocation();
    test_snapshot_from_the_hub();
    test_lines_beside_a_stage();
    test_snapshot_file();
    test_audit();
    test_status();
    printf("%u checks, %u failures\n", checks, failures);
    return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
