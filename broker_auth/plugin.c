/* The broker's events, turned into questions to policy.c and its answers into what the broker
 * understands. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "audit.h"
#include "broker.h"
#include "files.h"
#include "policy.h"
#include "status.h"

#define CONTROL_TOPIC "$CONTROL/isaax/v1"
#define STATUS_TOPIC "$isaax/status"
#define REFUSED_TOPIC "$isaax/refused"

enum {
    LOGGED_MAX = 96,       /* bytes of a client's text in a log line */
    STATUS_PAUSE_MS = 500, /* as long as nothing was asked by a control message */
};

struct plugin {
    mosquitto_plugin_id_t *identifier;
    struct files files;
    struct policy policy;
    struct audit audit;
    struct instance instance;
    bool reloading;       /* the broker is asking again about every connection */
    bool status_changed;  /* since it was last published */
    int64_t status_after; /* by files_now() */
};

/* ── time and logging ───────────────────────────────────────────────────────────────────────── */

static int64_t unix_seconds(void)
{
    return (int64_t)time(NULL);
}

static const char *printable(const char *text)
{
    return text != NULL ? text : "";
}

static void log_refusal(struct plugin *plugin, enum audit_kind kind, const char *what,
                        const char *client, const char *project, const char *detail)
{
    struct refusal refusal = {what, printable(client), printable(project), printable(detail), 0};
    char json[REFUSAL_MAX];
    uint64_t silent;
    plugin->status_changed = true;
    if (!audit_count(&plugin->audit, kind, 1, unix_seconds(), &silent)) {
        return;
    }
    refusal.silent = silent;
    mosquitto_broker_publish_copy(NULL, REFUSED_TOPIC, refusal_format(json, &refusal), json, 0,
                                  false, NULL);
    char shown_client[LOGGED_MAX], shown_detail[LOGGED_MAX];
    text_for_log(printable(client), shown_client, sizeof shown_client);
    text_for_log(printable(detail), shown_detail, sizeof shown_detail);
    mosquitto_log_printf(BROKER_LOG_NOTICE,
                         "broker_auth: refused %s of \"%s\": %s (and %" PRIu64 " not logged)", what,
                         shown_client, shown_detail, silent);
}

/* ── status ─────────────────────────────────────────────────────────────────────────────────── */

static void publish_status(struct plugin *plugin)
{
    char json[STATUS_MAX];
    int length = status_format(json, &plugin->instance, &plugin->policy, &plugin->audit);
    mosquitto_broker_publish_copy(NULL, STATUS_TOPIC, length, json, 0, true, NULL);
    plugin->status_changed = false;
    plugin->status_after = files_now() + STATUS_PAUSE_MS;
}

/* ── events ─────────────────────────────────────────────────────────────────────────────────── */

static int on_basic_auth(int event, void *data, void *context)
{
    (void)event;
    struct plugin *plugin = context;
    const struct mosquitto_evt_basic_auth *asked = data;
    const struct connect_request request = {
        .connection = asked->client,
        .client = mosquitto_client_id(asked->client),
        .username = asked->username,
        .password = asked->password,
        .protocol = mosquitto_client_protocol_version(asked->client),
        .clean_session = mosquitto_client_clean_session(asked->client),
    };
    const char *reason = plugin->reloading
                             ? policy_connect_again(&plugin->policy, &request, unix_seconds())
                             : policy_connect(&plugin->policy, &request, unix_seconds());
    plugin->status_changed = true;
    if (reason == NULL) {
        return BROKER_OK;
    }
    log_refusal(plugin, AUDIT_CONNECT, "connect", request.client, request.username, reason);
    return BROKER_REFUSED;
}

static int on_disconnect(int event, void *data, void *context)
{
    (void)event;
    struct plugin *plugin = context;
    const struct mosquitto_evt_disconnect *left = data;
    policy_disconnect(&plugin->policy, left->client);
    plugin->status_changed = true;
    return BROKER_OK;
}

static int on_acl_check(int event, void *data, void *context)
{
    (void)event;
    static const struct {
        enum topic_access access;
        enum audit_kind kind;
        const char *name;
    } questions[] = {
        [MOSQ_ACL_READ] = {TOPIC_RECEIVE, AUDIT_DELIVERY, "delivery"},
        [MOSQ_ACL_WRITE] = {TOPIC_PUBLISH, AUDIT_PUBLISH, "publish"},
        [MOSQ_ACL_SUBSCRIBE] = {TOPIC_SUBSCRIBE, AUDIT_SUBSCRIBE, "subscribe"},
    };
    struct plugin *plugin = context;
    const struct mosquitto_evt_acl_check *asked = data;
    if (asked->access == MOSQ_ACL_UNSUBSCRIBE) {
        return BROKER_OK; /* it only takes away what the client itself asked for */
    }
    if (asked->access != MOSQ_ACL_READ && asked->access != MOSQ_ACL_WRITE &&
        asked->access != MOSQ_ACL_SUBSCRIBE) {
        return BROKER_FORBIDDEN;
    }
    const char *client = mosquitto_client_id(asked->client);
    if (policy_allows(&plugin->policy, asked->client, client, questions[asked->access].access,
                      asked->topic, asked->retain, unix_seconds())) {
        if (asked->access == MOSQ_ACL_WRITE && asked->topic[0] == 'a') { /* `auth/…/up` */
            policy_hear(&plugin->policy, asked->client, asked->payload, asked->payloadlen);
        }
        return BROKER_OK;
    }
    log_refusal(plugin, questions[asked->access].kind, questions[asked->access].name, client,
                policy_project(&plugin->policy, asked->client), asked->topic);
    return BROKER_FORBIDDEN;
}

static void kick_all(struct plugin *plugin)
{
    const char *client;
    while ((client = policy_next_kick(&plugin->policy)) != NULL) {
        /* The disconnect event and the will come within this call. */
        mosquitto_kick_client_by_clientid(client, true);
    }
}

/* Always succeeds: an error would make the broker disconnect the hub. */
static int on_control(int event, void *data, void *context)
{
    (void)event;
    struct plugin *plugin = context;
    const struct mosquitto_evt_control *order = data;
    size_t bad = policy_control(&plugin->policy, order->client, printable(order->payload),
                                order->payloadlen, unix_seconds());
    uint64_t silent;
    if (bad > 0 && audit_count(&plugin->audit, AUDIT_CONTROL, bad, unix_seconds(), &silent)) {
        mosquitto_log_printf(BROKER_LOG_WARNING,
                             "broker_auth: %zu bad lines in a control message (and %" PRIu64
                             " not logged)",
                             bad, silent);
    }
    kick_all(plugin);
    publish_status(plugin);
    return BROKER_OK;
}

static int on_reload(int event, void *data, void *context)
{
    (void)event;
    (void)data;
    struct plugin *plugin = context;
    uint8_t digest[SHA256_SIZE];
    plugin->reloading = true;
    if (files_read_hub_digest(&plugin->files, digest)) {
        memcpy(plugin->policy.hub_digest, digest, SHA256_SIZE);
    }
    if (plugin->policy.tokens_changed) {
        files_save_snapshot(&plugin->files, &plugin->policy); /* the file is behind: reading it would bring revoked tokens back */
    } else {
        files_load_snapshot(&plugin->files, &plugin->policy);
    }
    return BROKER_OK;
}

/* Runs after every turn of the broker's loop, so it looks at four flags and mostly returns. */
static int on_tick(int event, void *data, void *context)
{
    (void)event;
    (void)data;
    struct plugin *plugin = context;
    plugin->reloading = false;
    if (plugin->policy.gone != NULL) {
        policy_forget_gone(&plugin->policy);
    }
    if (!plugin->status_changed && !plugin->policy.tokens_changed) {
        return BROKER_OK;
    }
    int64_t now = files_now();
    if (plugin->policy.tokens_changed && now >= plugin->files.save_after) {
        files_save_snapshot(&plugin->files, &plugin->policy);
    }
    if (plugin->status_changed && now >= plugin->status_after) {
        publish_status(plugin);
    }
    return BROKER_OK;
}

/* ── life ───────────────────────────────────────────────────────────────────────────────────── */

static const struct {
    int event;
    MOSQ_FUNC_generic_callback callback;
    const char *topic;
} EVENTS[] = {
    {MOSQ_EVT_BASIC_AUTH, on_basic_auth, NULL}, {MOSQ_EVT_ACL_CHECK, on_acl_check, NULL},
    {MOSQ_EVT_DISCONNECT, on_disconnect, NULL}, {MOSQ_EVT_CONTROL, on_control, CONTROL_TOPIC},
    {MOSQ_EVT_RELOAD, on_reload, NULL},         {MOSQ_EVT_TICK, on_tick, NULL},
};
enum { EVENT_COUNT = sizeof EVENTS / sizeof *EVENTS };

static int register_events(struct plugin *plugin)
{
    for (size_t i = 0; i < EVENT_COUNT; i++) {
        int result = mosquitto_callback_register(plugin->identifier, EVENTS[i].event,
                                                 EVENTS[i].callback, EVENTS[i].topic, plugin);
        if (result != BROKER_OK) {
            mosquitto_log_printf(BROKER_LOG_ERROR, "broker_auth: event %d cannot be had: error %d",
                                 EVENTS[i].event, result);
            return result;
        }
    }
    return BROKER_OK;
}

static bool draw_instance(struct instance *instance)
{
    uint8_t random[INSTANCE_SIZE];
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random) {
        return false;
    }
    text_to_hex(random, sizeof random, instance->name);
    instance->started = unix_seconds();
    return true;
}

static int start(struct plugin *plugin, const struct mosquitto_opt *options, int count)
{
    struct hash_key key;
    uint8_t digest[SHA256_SIZE];
    if (!files_read_options(&plugin->files, options, count) ||
        !files_read_hub_digest(&plugin->files, digest)) {
        return BROKER_INVALID;
    }
    if (getrandom(&key, sizeof key, 0) != (ssize_t)sizeof key ||
        !draw_instance(&plugin->instance) || !policy_init(&plugin->policy, &key, digest)) {
        mosquitto_log_printf(BROKER_LOG_ERROR, "broker_auth: no memory or no randomness");
        return BROKER_NO_MEMORY;
    }
    files_load_snapshot(&plugin->files, &plugin->policy);
    plugin->status_changed = true;
    return register_events(plugin);
}

static void plugin_free(struct plugin *plugin)
{
    policy_free(&plugin->policy);
    files_free(&plugin->files);
    free(plugin);
}

int mosquitto_plugin_version(int supported_version_count, const int *supported_versions)
{
    for (int i = 0; i < supported_version_count; i++) {
        if (supported_versions[i] == MOSQ_PLUGIN_VERSION) {
            return MOSQ_PLUGIN_VERSION;
        }
    }
    return -1;
}

int mosquitto_plugin_init(mosquitto_plugin_id_t *identifier, void **userdata,
                          struct mosquitto_opt *options, int option_count)
{
    struct plugin *plugin = calloc(1, sizeof *plugin);
    if (plugin == NULL) {
        return BROKER_NO_MEMORY;
    }
    plugin->identifier = identifier;
    int result = start(plugin, options, option_count);
    if (result != BROKER_OK) {
        plugin_free(plugin);
        plugin = NULL;
    }
    *userdata = plugin;
    return result;
}

int mosquitto_plugin_cleanup(void *userdata, struct mosquitto_opt *options, int option_count)
{
    (void)options;
    (void)option_count;
    struct plugin *plugin = userdata;
    if (plugin == NULL) {
        return BROKER_OK;
    }
    for (size_t i = 0; i < EVENT_COUNT; i++) {
        mosquitto_callback_unregister(plugin->identifier, EVENTS[i].event, EVENTS[i].callback,
                                      EVENTS[i].topic);
    }
    if (plugin->policy.tokens_changed) {
        files_save_snapshot(&plugin->files, &plugin->policy);
    }
    plugin_free(plugin);
    return BROKER_OK;
}
