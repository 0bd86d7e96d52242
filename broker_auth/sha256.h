/* SHA-256 (FIPS 180-4), so that the build needs no cryptographic library's headers. */
#ifndef ISAAX_SHA256_H
#define ISAAX_SHA256_H

#include <stddef.h>
#include <stdint.h>

enum { SHA256_SIZE = 32, SHA256_BLOCK = 64 };

struct sha256 {
    uint32_t state[8];
    uint64_t length; /* bytes taken in so far */
    uint8_t block[SHA256_BLOCK];
};

void sha256_start(struct sha256 *hash);
void sha256_add(struct sha256 *hash, const void *data, size_t length);
void sha256_finish(struct sha256 *hash, uint8_t digest[SHA256_SIZE]);

/* The digest of one piece of data. */
void sha256(const void *data, size_t length, uint8_t digest[SHA256_SIZE]);

#endif
