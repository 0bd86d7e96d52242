/* Small checks on the strings that name things on the wire. */
#ifndef ISAAX_TEXT_H
#define ISAAX_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    ID_MAX = 64,      /* of a project, a device or a client */
    SESSION_SIZE = 32 /* a session id is that many lower-case hex digits */
};

/* An id is 1 to 64 of A-Z a-z 0-9 _ - (hub/protocol/topics.py, `_ID`). */
bool text_is_id(const char *text, size_t length);

bool text_is_session(const char *text, size_t length);

/* Only the hub's own clients have ids that begin with `hub-`. */
bool text_is_hub_client(const char *client);

/* Reads `size` bytes from `2 * size` lower-case hex digits. */
bool text_from_hex(const char *text, size_t length, uint8_t *bytes, size_t size);

/* Writes `2 * size` digits and a NUL. */
void text_to_hex(const uint8_t *bytes, size_t size, char *text);

/* Takes the same time wherever the two differ. */
bool text_equal_secret(const void *a, const void *b, size_t size);

/* Copies a client's text into a log line: what is not printable ASCII becomes `?`, what could be a
 * session id becomes `*`, and what does not fit is cut. */
void text_for_log(const char *text, char *out, size_t size);

#endif
