#include "policy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy_parts.h"

enum { HEARD_MAX = 4096 }; /* bytes; a hello is much shorter */

/* ── life ───────────────────────────────────────────────────────────────────────────────────── */

bool policy_init(struct policy *policy, const struct hash_key *key,
                 const uint8_t hub_digest[SHA256_SIZE])
{
    *policy = (struct policy){.key = *key};
    memcpy(policy->hub_digest, hub_digest, SHA256_SIZE);
    if (!tokens_init(&policy->tokens, &policy->key)) {
        return false;
    }
    if (!clients_init(&policy->clients, &policy->key)) {
        tokens_free(&policy->tokens);
        return false;
    }
    return true;
}

void policy_drop_stage(struct policy *policy)
{
    tokens_free(&policy->stage.tokens);
    grants_free(&policy->stage.grants);
    policy->stage.owner[0] = '\0';
}

void policy_free(struct policy *policy)
{
    policy_drop_stage(policy);
    clients_free(&policy->clients);
    tokens_free(&policy->tokens);
}

/* ── sessions ───────────────────────────────────────────────────────────────────────────────── */

void policy_void_session(struct policy *policy, struct client *client)
{
    if (client->session[0] != '\0') {
        memset(client->session, 0, sizeof client->session);
        policy->sessions--;
    }
}

void policy_open_session(struct policy *policy, struct client *client, const char *session,
                         int64_t expires)
{
    policy_void_session(policy, client);
    memcpy(client->session, session, SESSION_SIZE);
    client->expires = expires;
    policy->sessions++;
    free(client->heard);
    client->heard = NULL;
    client->heard_length = 0;
}

/* The session id, or NULL; one that has expired is voided here. */
static const char *live_session(struct policy *policy, struct client *client, int64_t now)
{
    if (client->session[0] != '\0' && client->expires <= now) {
        policy_void_session(policy, client);
    }
    return client->session[0] != '\0' ? client->session : NULL;
}

void policy_hear(struct policy *policy, const void *connection, const void *payload, size_t length)
{
    struct client *client = clients_by_connection(&policy->clients, connection);
    if (client == NULL || client->is_hub || client->state != CLIENT_OPEN) {
        return;
    }
    free(client->heard);
    client->heard = length > 0 && length <= HEARD_MAX ? malloc(length) : NULL;
    client->heard_length = client->heard != NULL ? length : 0;
    if (client->heard != NULL) {
        memcpy(client->heard, payload, length);
    }
}

/* ── kicks ──────────────────────────────────────────────────────────────────────────────────── */

void policy_kick(struct policy *policy, struct client *client)
{
    if (client->state == CLIENT_OPEN) {
        policy_void_session(policy, client);
        client->state = CLIENT_KICKED;
        client->next = policy->kicks;
        policy->kicks = client;
    }
}

const char *policy_next_kick(struct policy *policy)
{
    struct client *client = policy->kicks;
    if (client == NULL) {
        return NULL;
    }
    policy->kicks = client->next;
    client->next = NULL;
    return client->id;
}

static void unlink_from(struct client **list, const struct client *client)
{
    for (struct client **link = list; *link != NULL; link = &(*link)->next) {
        if (*link == client) {
            *link = client->next;
            return;
        }
    }
}

/* Takes it out of everything that refers to it. */
static void forget(struct policy *policy, struct client *client)
{
    policy_void_session(policy, client);
    unlink_from(&policy->kicks, client);
    unlink_from(&policy->gone, client);
    clients_remove(&policy->clients, client);
}

/* ── connections ────────────────────────────────────────────────────────────────────────────── */

/* A password is `<token>` or `<token>/<session id>`. */
struct password {
    uint8_t digest[SHA256_SIZE]; /* of the token */
    const char *session;         /* NULL when none is stated */
};

static struct password read_password(const char *text)
{
    struct password password = {.session = NULL};
    size_t length = strlen(text);
    if (length > SESSION_SIZE + 1) {
        const char *session = text + length - SESSION_SIZE;
        if (session[-1] == '/' && text_is_session(session, SESSION_SIZE)) {
            password.session = session;
            length -= SESSION_SIZE + 1;
        }
    }
    sha256(text, length, password.digest);
    return password;
}

static const char *check_hub(const struct policy *policy, const struct connect_request *request)
{
    uint8_t digest[SHA256_SIZE];
    if (!text_is_hub_client(request->client)) {
        return "user hub with a client id that does not begin with hub-";
    }
    sha256(request->password, strlen(request->password), digest);
    if (!text_equal_secret(digest, policy->hub_digest, SHA256_SIZE)) {
        return "wrong password for user hub";
    }
    return NULL;
}

/* `other` is the connection that has the client id now, if any but this one. */
static const char *check_device(struct policy *policy, const struct connect_request *request,
                                const struct password *password, struct client *other, int64_t now)
{
    if (text_is_hub_client(request->client)) {
        return "a client id that begins with hub- belongs to the hub";
    }
    if (request->protocol != 4 || !request->clean_session) {
        return "a device speaks MQTT 3.1.1 with a clean session";
    }
    if (!text_is_id(request->username, strlen(request->username))) {
        return "the user name is no project id";
    }
    if (!tokens_have(&policy->tokens, request->username, password->digest)) {
        return "no such project token";
    }
    const char *session = other != NULL ? live_session(policy, other, now) : NULL;
    if (session == NULL) {
        return NULL;
    }
    bool proven = password->session != NULL &&
                  text_equal_secret(password->session, session, SESSION_SIZE) &&
                  strcmp(request->username, other->project) == 0;
    return proven ? NULL : "the client id has a live session";
}

static bool is_hub_user(const struct connect_request *request)
{
    return strcmp(request->username, "hub") == 0;
}

static const char *check(struct policy *policy, const struct connect_request *request,
                         const struct password *password, struct client *other, int64_t now)
{
    return is_hub_user(request) ? check_hub(policy, request)
                                : check_device(policy, request, password, other, now);
}

static const char *admit(struct policy *policy, const struct connect_request *request,
                         const struct password *password, struct client *other)
{
    struct client *client = calloc(1, sizeof *client);
    if (client == NULL) {
        return "no memory";
    }
    if (other != NULL) {
        /* The broker will disconnect it; its session ends here and now. */
        policy_void_session(policy, other);
        clients_release_id(&policy->clients, other);
    }
    client->connection = request->connection;
    client->is_hub = is_hub_user(request);
    memcpy(client->id, request->client, strlen(request->client));
    if (!client->is_hub) {
        memcpy(client->project, request->username, strlen(request->username));
        client->base_length = (size_t)snprintf(client->base, sizeof client->base, "%s/%s/",
                                               client->project, client->id);
        memcpy(client->digest, password->digest, SHA256_SIZE);
    }
    clients_add(&policy->clients, client);
    return NULL;
}

static const char *check_form(const struct connect_request *request)
{
    if (request->client == NULL || !text_is_id(request->client, strlen(request->client))) {
        return "the client id is not 1 to 64 of A-Z a-z 0-9 _ -";
    }
    if (request->username == NULL || request->password == NULL) {
        return "no user name or no password";
    }
    return NULL;
}

const char *policy_connect(struct policy *policy, const struct connect_request *request,
                           int64_t now)
{
    policy_forget_gone(policy);
    struct client *stale = clients_by_connection(&policy->clients, request->connection);
    if (stale != NULL) {
        forget(policy, stale); /* the broker has used this address before */
    }
    const char *reason = check_form(request);
    if (reason != NULL) {
        return reason;
    }
    struct client *other = clients_by_id(&policy->clients, request->client);
    const struct password password = read_password(request->password);
    reason = check(policy, request, &password, other, now);
    return reason != NULL ? reason : admit(policy, request, &password, other);
}

const char *policy_connect_again(struct policy *policy, const struct connect_request *request,
                                 int64_t now)
{
    const char *reason = check_form(request);
    if (reason == NULL) {
        const struct password password = read_password(request->password);
        reason = check(policy, request, &password, NULL, now);
    }
    struct client *client = clients_by_connection(&policy->clients, request->connection);
    if (reason != NULL && client != NULL && client->state == CLIENT_OPEN) {
        policy_void_session(policy, client);
        client->state = CLIENT_KICKED; /* by the broker, on our answer */
    }
    return reason;
}

const char *policy_project(const struct policy *policy, const void *connection)
{
    const struct client *client = clients_by_connection(&policy->clients, connection);
    return client != NULL ? client->project : "";
}

void policy_disconnect(struct policy *policy, const void *connection)
{
    struct client *client = clients_by_connection(&policy->clients, connection);
    if (client == NULL || client->state == CLIENT_GONE) {
        return;
    }
    unlink_from(&policy->kicks, client);
    policy_void_session(policy, client);
    clients_release_id(&policy->clients, client);
    client->state = CLIENT_GONE;
    client->next = policy->gone;
    policy->gone = client;
}

void policy_forget_gone(struct policy *policy)
{
    while (policy->gone != NULL) {
        forget(policy, policy->gone);
    }
}

bool policy_allows(struct policy *policy, const void *connection, const char *client_id,
                   enum topic_access access, const char *topic, bool retain, int64_t now)
{
    struct client *client = clients_by_connection(&policy->clients, connection);
    if (client_id == NULL) {
        return false;
    }
    if (client == NULL || strcmp(client->id, client_id) != 0) {
        /* The broker queues for a hub client that is away; nobody else can have such an id. */
        return access == TOPIC_RECEIVE && text_is_hub_client(client_id);
    }
    if (client->is_hub) {
        return client->state == CLIENT_OPEN || access == TOPIC_RECEIVE;
    }
    if (client->state != CLIENT_OPEN && access != TOPIC_PUBLISH) {
        return false;
    }
    const struct topic_scope scope = {
        .client = client->id,
        .base = client->base,
        .base_length = client->base_length,
        .session = live_session(policy, client, now),
    };
    return topics_allow(&scope, access, topic, retain);
}

