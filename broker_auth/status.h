/* What the plugin says about itself on `$isaax/status`, and about others on `$isaax/refused`
 * (PROTOCOL.md). */
#ifndef ISAAX_STATUS_H
#define ISAAX_STATUS_H

#include <stddef.h>
#include <stdint.h>

#include "audit.h"
#include "policy.h"

enum { STATUS_MAX = 640, INSTANCE_SIZE = 8, REFUSAL_MAX = 640, SHOWN_MAX = 96 };

/* One run of the broker. */
struct instance {
    char name[2 * INSTANCE_SIZE + 1]; /* random, in hex */
    int64_t started;                  /* Unix seconds */
};

/* Writes the JSON and gives its length. */
int status_format(char json[STATUS_MAX], const struct instance *instance,
                  const struct policy *policy, const struct audit *audit);

/* Something that a client was not allowed to do; its texts are as `text_for_log` makes them. */
struct refusal {
    const char *what, *client, *project, *detail;
    uint64_t silent; /* refusals of the kind before it that are not told */
};

/* Writes the JSON and gives its length. */
int refusal_format(char json[REFUSAL_MAX], const struct refusal *refusal);

#endif
