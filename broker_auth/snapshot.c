#include "snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control.h"

#define FIRST_LINE "isaax-broker-auth 1\n"
#define LAST_WORD "end "

enum {
    LAST_LINE = sizeof LAST_WORD - 1 + 2 * SHA256_SIZE + 1,
    BUFFER = 64 * 1024,
    FILE_MAX = 256 * 1024 * 1024, /* bytes: two million tokens */
};

/* ── reading ────────────────────────────────────────────────────────────────────────────────── */

/* The last line holds the SHA-256 of everything before it. */
static bool is_whole(const char *text, size_t length)
{
    if (length < LAST_LINE) {
        return false;
    }
    const char *last = text + length - LAST_LINE;
    uint8_t stated[SHA256_SIZE], actual[SHA256_SIZE];
    if (memcmp(last, LAST_WORD, sizeof LAST_WORD - 1) != 0 || text[length - 1] != '\n' ||
        !text_from_hex(last + sizeof LAST_WORD - 1, 2 * SHA256_SIZE, stated, SHA256_SIZE)) {
        return false;
    }
    sha256(text, length - LAST_LINE, actual);
    return text_equal_secret(stated, actual, SHA256_SIZE);
}

const char *snapshot_parse(const char *text, size_t length, struct tokens *tokens,
                           uint64_t *generation)
{
    const size_t first = sizeof FIRST_LINE - 1;
    if (length < first || memcmp(text, FIRST_LINE, first) != 0) {
        return "it does not begin with \"isaax-broker-auth 1\"";
    }
    if (!is_whole(text, length)) {
        return "it is truncated or damaged (its checksum does not hold)";
    }
    const char *cursor = text + first;
    const char *end = text + length - LAST_LINE;
    struct control_line line;
    if (control_next(&cursor, end, &line) != CONTROL_LINE || line.verb != CONTROL_BEGIN) {
        return "its second line does not say its generation";
    }
    *generation = line.generation;
    for (;;) {
        switch (control_next(&cursor, end, &line)) {
        case CONTROL_END:
            return NULL;
        case CONTROL_MALFORMED:
            return "it has a malformed line";
        case CONTROL_LINE:
            if (line.verb != CONTROL_TOKEN) {
                return "it has a line that is not a token";
            }
            if (tokens_add(tokens, line.project, line.digest) == TOKENS_NO_MEMORY) {
                return "there is no memory for it";
            }
        }
    }
}

/* Gives the whole file, to be freed; NULL with errno set, or 0 in errno for one that is no file of
 * ours by its kind or size. */
static char *read_file(const char *path, size_t *length)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return NULL;
    }
    struct stat info;
    char *text = NULL;
    int error = 0;
    if (fstat(fd, &info) != 0) {
        error = errno;
    } else if (S_ISREG(info.st_mode) && info.st_size <= FILE_MAX) {
        *length = (size_t)info.st_size;
        text = malloc(*length + 1);
        error = text == NULL ? ENOMEM : 0;
    }
    for (size_t done = 0; text != NULL && done < *length;) {
        ssize_t got = read(fd, text + done, *length - done);
        if (got > 0) {
            done += (size_t)got;
        } else if (got == 0) {
            *length = done;
        } else if (errno != EINTR) {
            error = errno;
            free(text);
            text = NULL;
        }
    }
    close(fd);
    errno = error;
    return text;
}

const char *snapshot_load(const char *path, struct tokens *tokens, uint64_t *generation, int *error)
{
    size_t length = 0;
    char *text = read_file(path, &length);
    *error = text == NULL ? errno : 0;
    if (text == NULL) {
        return *error != 0 ? "it cannot be read" : "it is not a regular file, or too large";
    }
    const char *problem = snapshot_parse(text, length, tokens, generation);
    free(text);
    return problem;
}

/* ── writing ────────────────────────────────────────────────────────────────────────────────── */

struct writer {
    int fd;
    int error; /* the first errno; later writes do nothing */
    size_t used;
    struct sha256 hash;
    char buffer[BUFFER];
};

static void flush(struct writer *writer)
{
    size_t done = 0;
    sha256_add(&writer->hash, writer->buffer, writer->used);
    while (writer->error == 0 && done < writer->used) {
        ssize_t put = write(writer->fd, writer->buffer + done, writer->used - done);
        if (put >= 0) {
            done += (size_t)put;
        } else if (errno != EINTR) {
            writer->error = errno;
        }
    }
    writer->used = 0;
}

static void put(struct writer *writer, const char *text)
{
    size_t length = strlen(text);
    if (length > BUFFER - writer->used) {
        flush(writer);
    }
    memcpy(writer->buffer + writer->used, text, length);
    writer->used += length;
}

static void put_token(struct map_node *node, void *context)
{
    const struct token *token = MAP_ENTRY(node, struct token, node);
    char digest[2 * SHA256_SIZE + 1];
    text_to_hex(token->digest, SHA256_SIZE, digest);
    put(context, "token ");
    put(context, token->project);
    put(context, " ");
    put(context, digest);
    put(context, "\n");
}

static void put_all(struct writer *writer, struct tokens *tokens, uint64_t generation)
{
    char begin[32];
    uint8_t digest[SHA256_SIZE];
    char last[2 * SHA256_SIZE + 1];
    snprintf(begin, sizeof begin, "begin %" PRIu64 "\n", generation);
    put(writer, FIRST_LINE);
    put(writer, begin);
    map_each(&tokens->map, put_token, writer);
    flush(writer);
    sha256_finish(&writer->hash, digest);
    text_to_hex(digest, SHA256_SIZE, last);
    put(writer, LAST_WORD);
    put(writer, last);
    put(writer, "\n");
    flush(writer);
}

/* Makes a rename durable. */
static int sync_folder(const char *path)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t length = slash != NULL ? (size_t)(slash - path) + 1 : 0;
    if (length >= sizeof folder) {
        return ENAMETOOLONG;
    }
    memcpy(folder, path, length);
    folder[length] = '\0';
    int fd = open(length > 0 ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return errno;
    }
    int error = fsync(fd) == 0 ? 0 : errno;
    close(fd);
    return error;
}

int snapshot_save(const char *path, struct tokens *tokens, uint64_t generation)
{
    char fresh[PATH_MAX];
    int length = snprintf(fresh, sizeof fresh, "%s.new", path);
    if (length < 0 || (size_t)length >= sizeof fresh) {
        return ENAMETOOLONG;
    }
    struct writer *writer = malloc(sizeof *writer);
    if (writer == NULL) {
        return ENOMEM;
    }
    writer->error = 0;
    writer->used = 0;
    sha256_start(&writer->hash);
    writer->fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    int error = writer->fd < 0 ? errno : 0;
    if (error == 0) {
        put_all(writer, tokens, generation);
        error = writer->error;
        if (error == 0 && fsync(writer->fd) != 0) {
            error = errno;
        }
        if (close(writer->fd) != 0 && error == 0) {
            error = errno;
        }
        if (error == 0 && rename(fresh, path) != 0) {
            error = errno;
        }
        if (error == 0) {
            error = sync_folder(path);
        } else {
            unlink(fresh);
        }
    }
    free(writer);
    return error;
}
