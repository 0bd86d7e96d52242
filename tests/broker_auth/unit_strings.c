/* Ids, topics and control lines. */
#include <string.h>

#include "check.h"
#include "control.h"
#include "text.h"
#include "topics.h"

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

void test_strings(void)
{
    test_text();
    test_topics_within_a_session();
    test_topics_without_a_session();
    test_topics_that_are_not_ours();
    test_topics_too_long();
    test_control_lines();
    test_malformed_control_lines();
    test_control_message();
}
