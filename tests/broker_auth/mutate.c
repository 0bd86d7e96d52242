/* Runs a fuzz driver on mutations of its seeds: the same ones for the same number, and with any
 * compiler. Usage: fuzz_… <runs> <number> */
#include <stdio.h>
#include <string.h>

#include "fuzz.h"

enum { INPUT_MAX = 4096, MUTATIONS_MAX = 6 };

/* xorshift64* (Marsaglia, Vigna). */
static uint64_t next(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545f4914f6cdd1d;
}

static size_t below(uint64_t *state, size_t limit)
{
    return limit == 0 ? 0 : (size_t)(next(state) % limit);
}

static size_t insert(uint8_t *input, size_t size, size_t where, const char *text, size_t length)
{
    if (size + length > INPUT_MAX) {
        return size;
    }
    memmove(input + where + length, input + where, size - where);
    memcpy(input + where, text, length);
    return size + length;
}

static size_t mutate(uint64_t *state, uint8_t *input, size_t size, const char *other)
{
    static const char bytes[] = "/+#$ \n\0.a0\xff";
    size_t where = below(state, size + 1);
    size_t length = strlen(other), from = below(state, length);
    switch (below(state, 6)) {
    case 0: /* another byte */
        if (where < size) {
            input[where] = (uint8_t)next(state);
        }
        return size;
    case 1: /* one of those that matter */
        return insert(input, size, where, &bytes[below(state, sizeof bytes - 1)], 1);
    case 2: /* cut the end off */
        return where;
    case 3: { /* cut something out */
        size_t gone = below(state, size - where + 1);
        memmove(input + where, input + where + gone, size - where - gone);
        return size - gone;
    }
    case 4: /* a piece of another seed */
        return insert(input, size, where, other + from, below(state, length - from + 1));
    default: /* flip a bit */
        if (where < size) {
            input[where] = (uint8_t)(input[where] ^ (1 << below(state, 8)));
        }
        return size;
    }
}

int main(int count, char **words)
{
    if (count != 3) {
        fprintf(stderr, "usage: %s <runs> <number>\n", words[0]);
        return 2;
    }
    unsigned long runs = strtoul(words[1], NULL, 10);
    uint64_t state = strtoull(words[2], NULL, 10) * 2 + 1;
    size_t seeds = 0;
    while (fuzz_seeds[seeds] != NULL) {
        seeds++;
    }
    for (unsigned long run = 0; run < runs; run++) {
        const char *seed = fuzz_seeds[below(&state, seeds)];
        size_t size = strlen(seed) < INPUT_MAX ? strlen(seed) : INPUT_MAX;
        uint8_t *input = malloc(INPUT_MAX);
        PROMISE(input != NULL);
        memcpy(input, seed, size);
        for (size_t left = below(&state, MUTATIONS_MAX + 1); left > 0; left--) {
            size = mutate(&state, input, size, fuzz_seeds[below(&state, seeds)]);
        }
        /* In memory of just its size, so that a read beyond it is seen. */
        uint8_t *exact = malloc(size > 0 ? size : 1);
        PROMISE(exact != NULL);
        memcpy(exact, input, size);
        free(input);
        LLVMFuzzerTestOneInput(exact, size);
        free(exact);
    }
    printf("%s: %lu runs\n", words[0], runs);
    return 0;
}
