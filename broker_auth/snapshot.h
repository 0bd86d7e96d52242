/* The file that lets the broker start without the hub: the valid tokens, all or nothing.
 *
 * The session table is not in it: a broker that restarts has disconnected everybody, and a
 * disconnect voids a session.
 */
#ifndef ISAAX_SNAPSHOT_H
#define ISAAX_SNAPSHOT_H

#include <stddef.h>
#include <stdint.h>

#include "tables.h"

/* Reads the text of a snapshot into an empty table. Gives NULL, or what is wrong with it; the
 * table is then of no use. */
const char *snapshot_parse(const char *text, size_t length, struct tokens *tokens,
                           uint64_t *generation);

/* Reads the file. Gives NULL, or what is wrong (static text). `ENOENT` is left in `*error` when
 * there is no file, 0 when the file itself is the trouble. */
const char *snapshot_load(const char *path, struct tokens *tokens, uint64_t *generation,
                          int *error);

/* Replaces the file so that after a crash it is the old one or the new one. Gives 0 or an errno. */
int snapshot_save(const char *path, struct tokens *tokens, uint64_t generation);

#endif
