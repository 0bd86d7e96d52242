#include "status.h"

#include <inttypes.h>
#include <stdio.h>

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
