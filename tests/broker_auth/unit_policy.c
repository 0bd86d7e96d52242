/* Who may connect, what is open to whom, what control lines do, and what is said about it. */
#include <stdlib.h>
#include <string.h>

#include "audit.h"
#include "check.h"
#include "control.h"
#include "policy.h"
#include "status.h"

static const struct hash_key KEY = {1, 2};

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

static void test_refusal(void)
{
    char json[REFUSAL_MAX];
    const struct refusal refusal = {"publish", "dev_1", "prj\\\"\x01", "d/p/" SID_A "/x", 7};
    int length = refusal_format(json, &refusal);
    CHECK(strcmp(json, "{\"what\":\"publish\",\"client\":\"dev_1\",\"project\":\"prj???\","
                       "\"detail\":\"d/p/*/x\",\"silent\":7}") == 0);
    CHECK(length == (int)strlen(json));
    char long_text[4096];
    memset(long_text, 'x', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = '\0';
    const struct refusal longest = {"subscribe", long_text, long_text, long_text, UINT64_MAX};
    CHECK(refusal_format(json, &longest) < REFUSAL_MAX);
}

static void test_project_of_a_connection(void)
{
    struct world w;
    set_up(&w);
    CHECK(strcmp(policy_project(&w.policy, at(&w, 0)), "") == 0); /* the hub */
    CHECK(strcmp(policy_project(&w.policy, at(&w, 9)), "") == 0);
    CHECK(join(&w, 1, "dev_1", "prj_1", "one") == NULL);
    CHECK(strcmp(policy_project(&w.policy, at(&w, 1)), "prj_1") == 0);
    policy_free(&w.policy);
}

void test_policy(void)
{
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
    test_audit();
    test_status();
    test_refusal();
    test_project_of_a_connection();
}
