/* What policy.c (connections) and orders.c (control lines) share, and nobody else uses. */
#ifndef ISAAX_POLICY_PARTS_H
#define ISAAX_POLICY_PARTS_H

#include "policy.h"

void policy_void_session(struct policy *policy, struct client *client);
void policy_open_session(struct policy *policy, struct client *client, const char *session,
                         int64_t expires);

/* Voids its session and puts it on the list of those to be disconnected. */
void policy_kick(struct policy *policy, struct client *client);

void policy_drop_stage(struct policy *policy);

#endif
