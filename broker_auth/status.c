#include "status.h"

#include <inttypes.h>
#include <stdio.h>

#include "text.h"

/* Printable ASCII without quotes and backslashes needs no escapes (RFC 8259, section 7). */
static void shown(const char *text, char out[SHOWN_MAX])
{
    text_for_log(text, out, SHOWN_MAX);
    for (char *c = out; *c != '\0'; c++) {
        if (*c == '\\') {
            *c = '?';
        }
    }
}

int refusal_format(char json[REFUSAL_MAX], const struct refusal *refusal)
{
    char client[SHOWN_MAX], project[SHOWN_MAX], detail[SHOWN_MAX];
    shown(refusal->client, client);
    shown(refusal->project, project);
    shown(refusal->detail, detail);
    return snprintf(json, REFUSAL_MAX,
                    "{\"what\":\"%s\",\"client\":\"%s\",\"project\":\"%s\",\"detail\":\"%s\""
                    ",\"silent\":%" PRIu64 "}",
                    refusal->what, client, project, detail, refusal->silent);
}

int status_format(char json[STATUS_MAX], const struct instance *instance,
                  const struct policy *policy, const struct audit *audit)
{
    const uint64_t *counts = audit->counts;
    return snprintf(json, STATUS_MAX,
                    "{\"instance\":\"%s\",\"started\":%" PRId64 ",\"generation\":%" PRIu64
                    ",\"tokens\":%zu,\"connections\":%zu,\"sessions\":%zu"
                    ",\"refused_connects\":%" PRIu64 ",\"refused_publishes\":%" PRIu64
                    ",\"refused_subscribes\":%" PRIu64 ",\"refused_deliveries\":%" PRIu64
                    ",\"bad_control_lines\":%" PRIu64 "}",
                    instance->name, instance->started, policy->generation,
                    policy->tokens.map.count, policy->clients.ids.count, policy->sessions,
                    counts[AUDIT_CONNECT], counts[AUDIT_PUBLISH], counts[AUDIT_SUBSCRIBE],
                    counts[AUDIT_DELIVERY], counts[AUDIT_CONTROL]);
}
