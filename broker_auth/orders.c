/* What the lines of a control message do (PROTOCOL.md). */
#include <string.h>

#include "control.h"
#include "policy_parts.h"

static bool begin_stage(struct policy *policy, const char *owner, uint64_t generation)
{
    policy_drop_stage(policy);
    struct stage *stage = &policy->stage;
    bool ok = tokens_init(&stage->tokens, &policy->key) && grants_init(&stage->grants, &policy->key);
    if (!ok) {
        policy_drop_stage(policy);
        return false;
    }
    memcpy(stage->owner, owner, strlen(owner) + 1);
    stage->generation = generation;
    return true;
}

static bool add_token(struct policy *policy, struct tokens *tokens, const struct control_line *line)
{
    enum tokens_change change = tokens_add(tokens, line->project, line->digest);
    if (tokens == &policy->tokens && change == TOKENS_CHANGED) {
        policy->tokens_changed = true;
    }
    return change != TOKENS_NO_MEMORY;
}

struct revocation {
    struct policy *policy;
    const struct control_line *line;
};

static void kick_if_by_token(struct map_node *node, void *context)
{
    const struct revocation *revoked = context;
    struct client *client = MAP_ENTRY(node, struct client, by_id);
    if (!client->is_hub && strcmp(client->project, revoked->line->project) == 0 &&
        memcmp(client->digest, revoked->line->digest, SHA256_SIZE) == 0) {
        policy_kick(revoked->policy, client);
    }
}

static bool remove_token(struct policy *policy, const struct control_line *line)
{
    struct revocation revoked = {policy, line};
    if (tokens_remove(&policy->tokens, line->project, line->digest) == TOKENS_CHANGED) {
        policy->tokens_changed = true;
    }
    map_each(&policy->clients.ids, kick_if_by_token, &revoked);
    return true;
}

/* Has the client's present connection called itself so? */
static bool is_meant(const struct client *client, const char *connection)
{
    return *connection == '\0' ||
           (client->heard != NULL && memmem(client->heard, client->heard_length, connection,
                                            strlen(connection)) != NULL);
}

/* A session is of the connection that asked for it; when that is gone there is nothing to open. */
static bool grant_session(struct policy *policy, const struct control_line *line, int64_t now)
{
    struct client *client = clients_by_id(&policy->clients, line->client);
    if (client == NULL || client->state != CLIENT_OPEN || line->expires <= now ||
        strcmp(client->project, line->project) != 0) {
        return true;
    }
    bool is_open = strcmp(client->session, line->session) == 0;
    if (is_open || is_meant(client, line->connection)) {
        policy_open_session(policy, client, line->session, line->expires);
    }
    return true;
}

static bool stage_session(struct policy *policy, const struct control_line *line)
{
    struct grant grant = {.expires = line->expires};
    memcpy(grant.client, line->client, sizeof grant.client);
    memcpy(grant.project, line->project, sizeof grant.project);
    memcpy(grant.session, line->session, sizeof grant.session);
    return grants_set(&policy->stage.grants, &grant);
}

static bool kick_client(struct policy *policy, const char *id)
{
    struct client *client = clients_by_id(&policy->clients, id);
    if (client != NULL) {
        policy_kick(policy, client);
    }
    return true;
}

struct reckoning {
    struct policy *policy;
    int64_t now;
};

/* What a new snapshot means for one connection. */
static void reckon(struct map_node *node, void *context)
{
    const struct reckoning *with = context;
    struct policy *policy = with->policy;
    struct client *client = MAP_ENTRY(node, struct client, by_id);
    if (client->is_hub || client->state != CLIENT_OPEN) {
        return;
    }
    const struct grant *grant = grants_find(&policy->stage.grants, client->id);
    bool kept = client->session[0] != '\0' && grant != NULL && grant->expires > with->now &&
                strcmp(grant->project, client->project) == 0 &&
                strcmp(grant->session, client->session) == 0;
    if (!tokens_have(&policy->tokens, client->project, client->digest)) {
        policy_kick(policy, client);
    } else if (kept) {
        client->expires = grant->expires;
    } else if (client->session[0] != '\0') {
        policy_kick(policy, client); /* it would be mute without knowing; so it asks for a session anew */
    }
}

static bool commit_stage(struct policy *policy, const char *owner, uint64_t generation,
                         int64_t now)
{
    struct stage *stage = &policy->stage;
    if (strcmp(stage->owner, owner) != 0) {
        return false;
    }
    if (stage->generation != generation) {
        policy_drop_stage(policy); /* else the lines that follow would be staged for ever */
        return false;
    }
    struct reckoning with = {policy, now};
    struct tokens old = policy->tokens;
    policy->tokens = stage->tokens;
    stage->tokens = old;
    policy->generation = generation;
    policy->tokens_changed = true;
    map_each(&policy->clients.ids, reckon, &with);
    policy_drop_stage(policy);
    return true;
}

/* Lines of the client that stages a snapshot go to the stage. Those of another one act at
 * once, and on the stage as well, so that the commit does not undo them. What takes something away
 * always acts at once. */
static bool obey(struct policy *policy, const char *from, const struct control_line *line,
                 int64_t now)
{
    struct stage *stage = &policy->stage;
    bool staging = stage->owner[0] != '\0';
    bool only_stage = staging && strcmp(stage->owner, from) == 0;
    switch (line->verb) {
    case CONTROL_BEGIN:
        return begin_stage(policy, from, line->generation);
    case CONTROL_COMMIT:
        return commit_stage(policy, from, line->generation, now);
    case CONTROL_TOKEN:
        return (!staging || add_token(policy, &stage->tokens, line)) &&
               (only_stage || add_token(policy, &policy->tokens, line));
    case CONTROL_UNTOKEN:
        if (staging) {
            tokens_remove(&stage->tokens, line->project, line->digest);
        }
        return remove_token(policy, line);
    case CONTROL_SESSION:
        return (!staging || stage_session(policy, line)) &&
               (only_stage || grant_session(policy, line, now));
    case CONTROL_UNSESSION:
        if (staging) {
            grants_remove(&stage->grants, line->client);
        }
        return kick_client(policy, line->client);
    case CONTROL_KICK:
        return kick_client(policy, line->client);
    }
    return false;
}

size_t policy_control(struct policy *policy, const void *connection, const char *payload,
                      size_t length, int64_t now)
{
    struct control_line line;
    const char *cursor = payload;
    size_t bad = 0;
    const struct client *from = clients_by_connection(&policy->clients, connection);
    if (length > CONTROL_MAX || from == NULL || !from->is_hub || from->state != CLIENT_OPEN) {
        return 1;
    }
    for (;;) {
        switch (control_next(&cursor, payload + length, &line)) {
        case CONTROL_END:
            return bad;
        case CONTROL_MALFORMED:
            bad++;
            break;
        case CONTROL_LINE:
            bad += obey(policy, from->id, &line, now) ? 0 : 1;
        }
    }
}

void policy_replace_tokens(struct policy *policy, struct tokens *tokens, uint64_t generation)
{
    struct tokens old = policy->tokens;
    policy->tokens = *tokens;
    *tokens = old;
    policy->generation = generation;
}
