/* policy.c and orders.c: any sequence of connects, disconnects, control lines and questions leaves
 * the tables sound, and no device ever gets at another's topics. */
#include <stdio.h>
#include <string.h>

#include "fuzz.h"
#include "policy.h"

#define SID_A "0123456789abcdef0123456789abcdef"
#define SID_B "fedcba9876543210fedcba9876543210"

const char *const fuzz_seeds[] = {
    "abcdefghijklmnopqrstuvwxyz",
    "AaBbCcDdEeFfGg0123456789",
    "acegikmoqsuwy bdfhjlnprtvxz",
    "~}|{zyxwvutsrqponmlkjihgfedcba`_^]\\[ZYXWVUTSRQPONMLKJIHGFEDCBA@?>=<;:9876543210",
    NULL,
};

enum { CONNECTIONS = 6, DEVICES = 3 };

static const char *const CLIENTS[DEVICES] = {"dev_1", "dev_2", "dev_3"};
static const char *const PROJECTS[DEVICES] = {"prj_1", "prj_1", "prj_2"};

struct play {
    struct policy policy;
    char places[CONNECTIONS]; /* the broker's pointers */
    char lines[13][200];
    int64_t now;
};

static void write_lines(struct play *play)
{
    uint8_t digest[SHA256_SIZE];
    char hex[2 * SHA256_SIZE + 1];
    sha256("token", 5, digest);
    text_to_hex(digest, SHA256_SIZE, hex);
    snprintf(play->lines[0], 200, "token prj_1 %s", hex);
    snprintf(play->lines[1], 200, "token prj_2 %s", hex);
    snprintf(play->lines[2], 200, "untoken prj_1 %s", hex);
    snprintf(play->lines[3], 200, "session dev_1 prj_1 " SID_A " 50");
    snprintf(play->lines[4], 200, "session dev_2 prj_1 " SID_B " 90");
    snprintf(play->lines[5], 200, "session dev_3 prj_2 " SID_A " 70");
    snprintf(play->lines[6], 200, "unsession dev_1");
    snprintf(play->lines[7], 200, "kick dev_2");
    snprintf(play->lines[8], 200, "begin 1");
    snprintf(play->lines[9], 200, "commit 1");
    snprintf(play->lines[10], 200, "begin 2\ntoken prj_1 %s", hex);
    snprintf(play->lines[11], 200, "nonsense");
    snprintf(play->lines[12], 200, "session dev_1 prj_1 " SID_A " 60 the-very-connection");
}

static void ask(struct play *play, size_t place)
{
    char topic[128];
    for (size_t me = 0; me < DEVICES; me++) {
        for (size_t other = 0; other < DEVICES; other++) {
            snprintf(topic, sizeof topic, "c/%s/%s/%s/ack", PROJECTS[other], CLIENTS[other],
                     other == 1 ? SID_B : SID_A);
            bool open = policy_allows(&play->policy, &play->places[place], CLIENTS[me],
                                      TOPIC_RECEIVE, topic, false, play->now);
            PROMISE(!open || me == other);
        }
    }
}

static void step(struct play *play, uint8_t byte)
{
    size_t place = byte % CONNECTIONS;
    size_t device = byte % DEVICES;
    const struct connect_request device_request = {
        &play->places[place], CLIENTS[device], PROJECTS[device],
        byte & 64 ? "token/" SID_A : "token", 4, true};
    const struct connect_request hub_request = {&play->places[0], "hub-a", "hub", "pw", 4, true};
    switch (byte / CONNECTIONS % 6) {
    case 0:
        policy_connect(&play->policy, &device_request, play->now);
        break;
    case 1:
        policy_disconnect(&play->policy, &play->places[place]);
        break;
    case 2:
        policy_connect(&play->policy, &hub_request, play->now);
        break;
    case 3:
        policy_hear(&play->policy, &play->places[place], "the-very-connection", 7 + byte % 13);
        policy_connect_again(&play->policy, &device_request, play->now);
        play->now++;
        break;
    default: {
        const char *line = play->lines[byte % 13];
        policy_control(&play->policy, &play->places[0], line, strlen(line), play->now);
        while (byte & 1 && policy_next_kick(&play->policy) != NULL) {
        }
    }
    }
    ask(play, place);
    PROMISE(play->policy.sessions <= play->policy.clients.ids.count);
    PROMISE(play->policy.clients.ids.count <= CONNECTIONS);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct play *play = calloc(1, sizeof *play);
    const struct hash_key key = {3, 4};
    uint8_t digest[SHA256_SIZE];
    sha256("pw", 2, digest);
    PROMISE(play != NULL && policy_init(&play->policy, &key, digest));
    write_lines(play);
    for (size_t i = 0; i < size; i++) {
        step(play, data[i]);
    }
    policy_free(&play->policy);
    free(play);
    return 0;
}
