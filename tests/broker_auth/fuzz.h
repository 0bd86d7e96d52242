/* What a fuzz driver gives: libFuzzer's entry, and inputs to start from for mutate.c. */
#ifndef ISAAX_FUZZ_H
#define ISAAX_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

extern const char *const fuzz_seeds[]; /* ends with NULL */

/* A promise that was broken: stop, so that the fuzzer keeps the input. */
#define PROMISE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

#endif
