/* What the plugin says about itself on `$isaax/status` (PROTOCOL.md). */
#ifndef ISAAX_STATUS_H
#define ISAAX_STATUS_H

#include <stddef.h>
#include <stdint.h>

#include "audit.h"
#include "policy.h"

enum { STATUS_MAX = 640, INSTANCE_SIZE = 8 };

/* One run of the broker. */
struct instance {
    char name[2 * INSTANCE_SIZE + 1]; /* random, in hex */
    int64_t started;                  /* Unix seconds */
};

/* Writes the JSON and gives its length. */
int status_format(char json[STATUS_MAX], const struct instance *instance,
                  const struct policy *policy, const struct audit *audit);

#endif
