#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "broker.h"
#include "snapshot.h"

enum {
    SAVE_SHARE = 100,     /* writing the snapshot file takes at most 1/100 of the time */
    SAVE_PAUSE_MS = 1000, /* and is done at most once a second */
};

int64_t files_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* The broker frees its options when it reloads, hence the copies. */
bool files_read_options(struct files *files, const struct mosquitto_opt *options, int count)
{
    for (int i = 0; i < count; i++) {
        char **option;
        if (strcmp(options[i].key, "snapshot_file") == 0) {
            option = &files->snapshot;
        } else if (strcmp(options[i].key, "hub_password_sha256_file") == 0) {
            option = &files->hub_password;
        } else {
            mosquitto_log_printf(BROKER_LOG_ERROR, "broker_auth: unknown option %s",
                                 options[i].key);
            return false;
        }
        free(*option);
        *option = strdup(options[i].value);
    }
    if (files->snapshot == NULL || files->hub_password == NULL) {
        mosquitto_log_printf(
            BROKER_LOG_ERROR,
            "broker_auth: plugin_opt_snapshot_file and plugin_opt_hub_password_sha256_file are needed");
        return false;
    }
    return true;
}

void files_free(struct files *files)
{
    free(files->snapshot);
    free(files->hub_password);
}

bool files_read_hub_digest(const struct files *files, uint8_t digest[SHA256_SIZE])
{
    const char *path = files->hub_password;
    char text[2 * SHA256_SIZE + 2];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        mosquitto_log_printf(BROKER_LOG_ERROR, "broker_auth: cannot read %s: %s", path,
                             strerror(errno));
        return false;
    }
    ssize_t got = read(fd, text, sizeof text);
    close(fd);
    if (got == 2 * SHA256_SIZE + 1 && text[got - 1] == '\n') {
        got--;
    }
    if (got < 0 || !text_from_hex(text, (size_t)got, digest, SHA256_SIZE)) {
        mosquitto_log_printf(BROKER_LOG_ERROR,
                             "broker_auth: %s does not hold a SHA-256 in lower-case hex", path);
        return false;
    }
    return true;
}

void files_load_snapshot(const struct files *files, struct policy *policy)
{
    struct tokens tokens;
    uint64_t generation = 0;
    int error = 0;
    if (!tokens_init(&tokens, &policy->key)) {
        mosquitto_log_printf(BROKER_LOG_ERROR, "broker_auth: no memory for the snapshot");
        return;
    }
    const char *problem = snapshot_load(files->snapshot, &tokens, &generation, &error);
    if (problem == NULL) {
        mosquitto_log_printf(BROKER_LOG_INFO,
                             "broker_auth: %s: generation %" PRIu64 ", %zu tokens",
                             files->snapshot, generation, tokens.map.count);
        policy_replace_tokens(policy, &tokens, generation);
    } else if (error == ENOENT) {
        mosquitto_log_printf(BROKER_LOG_INFO, "broker_auth: no snapshot %s yet: waiting for the hub",
                             files->snapshot);
    } else {
        mosquitto_log_printf(BROKER_LOG_ERROR,
                             "broker_auth: snapshot %s refused: %s%s%s; %zu tokens stay in force",
                             files->snapshot, problem, error != 0 ? ": " : "",
                             error != 0 ? strerror(error) : "", policy->tokens.map.count);
    }
    tokens_free(&tokens);
}

void files_save_snapshot(struct files *files, struct policy *policy)
{
    int64_t start = files_now();
    int error = snapshot_save(files->snapshot, &policy->tokens, policy->generation);
    int64_t end = files_now();
    files->save_after = end + SAVE_PAUSE_MS + (end - start) * SAVE_SHARE;
    if (error == 0) {
        policy->tokens_changed = false;
        files->save_failed = false;
    } else if (!files->save_failed) {
        files->save_failed = true;
        mosquitto_log_printf(BROKER_LOG_ERROR, "broker_auth: cannot write snapshot %s: %s",
                             files->snapshot, strerror(error));
    }
}

