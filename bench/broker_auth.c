/* What one decision of the plugin costs, without a broker: nanoseconds for a CONNECT (SHA-256 of
 * the token, two table lookups, the new entry, and its end) and for an ACL check. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "policy.h"

#define SID "0123456789abcdef0123456789abcdef"

enum { DEVICES = 20000, ROUNDS = 20 };

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

struct device {
    char id[32], project[32], token[48], topic[128];
};

static void order(struct policy *policy, const void *hub, const char *line)
{
    if (policy_control(policy, hub, line, strlen(line), 1000) != 0) {
        abort();
    }
}

static void prepare(struct policy *policy, const void *hub, struct device *devices)
{
    char line[256], hex[2 * SHA256_SIZE + 1];
    uint8_t digest[SHA256_SIZE];
    for (int i = 0; i < DEVICES; i++) {
        struct device *device = &devices[i];
        snprintf(device->id, sizeof device->id, "dev_%020d", i);
        snprintf(device->project, sizeof device->project, "prj_%020d", i);
        snprintf(device->token, sizeof device->token, "token-of-a-usual-length-%d", i);
        snprintf(device->topic, sizeof device->topic, "d/%s/%s/" SID "/log/app", device->project,
                 device->id);
        sha256(device->token, strlen(device->token), digest);
        text_to_hex(digest, SHA256_SIZE, hex);
        snprintf(line, sizeof line, "token %s %s", device->project, hex);
        order(policy, hub, line);
    }
}

static double connect_all(struct policy *policy, const struct device *devices)
{
    double start = now_ns();
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < DEVICES; i++) {
            const struct connect_request request = {&devices[i], devices[i].id, devices[i].project,
                                                    devices[i].token, 4, true};
            if (policy_connect(policy, &request, 1000) != NULL) {
                abort();
            }
            policy_disconnect(policy, &devices[i]);
        }
    }
    return (now_ns() - start) / (ROUNDS * (double)DEVICES);
}

static double check_all(struct policy *policy, const void *hub, const struct device *devices)
{
    char line[256];
    for (int i = 0; i < DEVICES; i++) {
        const struct connect_request request = {&devices[i], devices[i].id, devices[i].project,
                                                devices[i].token, 4, true};
        policy_connect(policy, &request, 1000);
        snprintf(line, sizeof line, "session %s %s " SID " 2000", devices[i].id,
                 devices[i].project);
        order(policy, hub, line);
    }
    double start = now_ns();
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < DEVICES; i++) {
            if (!policy_allows(policy, &devices[i], devices[i].id, TOPIC_PUBLISH, devices[i].topic,
                               false, 1000)) {
                abort();
            }
        }
    }
    return (now_ns() - start) / (ROUNDS * (double)DEVICES);
}

int main(void)
{
    struct policy policy;
    const struct hash_key key = {1, 2};
    const int hub = 0;
    uint8_t digest[SHA256_SIZE];
    struct device *devices = calloc(DEVICES, sizeof *devices);
    sha256("pw", 2, digest);
    const struct connect_request hub_request = {&hub, "hub-a", "hub", "pw", 4, true};
    if (devices == NULL || !policy_init(&policy, &key, digest) ||
        policy_connect(&policy, &hub_request, 1000) != NULL) {
        return 1;
    }
    prepare(&policy, &hub, devices);
    double connect = connect_all(&policy, devices);
    double check = check_all(&policy, &hub, devices);
    printf("{\"devices\":%d,\"connect_ns\":%.0f,\"acl_ns\":%.0f}\n", DEVICES, connect, check);
    policy_free(&policy);
    free(devices);
    return 0;
}
