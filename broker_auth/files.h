/* The plugin's two files: the digest of the hub's password, and the snapshot of the tokens. */
#ifndef ISAAX_FILES_H
#define ISAAX_FILES_H

#include <stdbool.h>
#include <stdint.h>

#include "policy.h"

struct mosquitto_opt;

struct files {
    char *snapshot;
    char *hub_password;
    bool save_failed;   /* so that a full disk is logged once */
    int64_t save_after; /* milliseconds of the monotonic clock */
};

/* Takes the paths from the options of mosquitto.conf; false, and a log line, when they are wrong. */
bool files_read_options(struct files *files, const struct mosquitto_opt *options, int count);

void files_free(struct files *files);

/* False, and a log line, when there is no digest in the file. */
bool files_read_hub_digest(const struct files *files, uint8_t digest[SHA256_SIZE]);

/* Puts the file's tokens in the place of the present ones, which stay when it cannot be read. */
void files_load_snapshot(const struct files *files, struct policy *policy);

/* Writes the tokens, and sets when it may be done again. */
void files_save_snapshot(struct files *files, struct policy *policy);

/* Milliseconds of the monotonic clock. */
int64_t files_now(void);

#endif
