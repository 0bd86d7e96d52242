/* snapshot_parse: takes all or nothing. Half of the inputs get a checksum that holds, else the
 * parser behind it would never be reached. */
#include <string.h>

#include "fuzz.h"
#include "snapshot.h"

#define DIGEST "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

const char *const fuzz_seeds[] = {
    "isaax-broker-auth 1\nbegin 1\ntoken prj_1 " DIGEST "\n",
    "isaax-broker-auth 1\nbegin 7\n",
    "isaax-broker-auth 1\nbegin 7\nkick dev_1\n",
    "isaax-broker-auth 1\nbegin 1\nend " DIGEST "\n",
    NULL,
};

static const struct hash_key KEY = {1, 2};

static void parse(const char *text, size_t size)
{
    struct tokens tokens;
    uint64_t generation;
    PROMISE(tokens_init(&tokens, &KEY));
    const char *problem = snapshot_parse(text, size, &tokens, &generation);
    PROMISE(problem == NULL || *problem != '\0');
    tokens_free(&tokens);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t digest[SHA256_SIZE];
    char last[4 + 2 * SHA256_SIZE + 2] = "end ";
    parse((const char *)data, size);
    sha256(data, size, digest);
    text_to_hex(digest, SHA256_SIZE, last + 4);
    last[sizeof last - 2] = '\n';
    char *whole = malloc(size + sizeof last - 1);
    PROMISE(whole != NULL);
    if (size > 0) {
        memcpy(whole, data, size);
    }
    memcpy(whole + size, last, sizeof last - 1);
    parse(whole, size + sizeof last - 1);
    free(whole);
    return 0;
}
