/* What the tests in C share. */
#ifndef ISAAX_CHECK_H
#define ISAAX_CHECK_H

#include <stdio.h>

extern unsigned checks, failures;

/* Each one that fails is named, and the program fails. */
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        checks++;                                                                                  \
        if (!(condition)) {                                                                        \
            failures++;                                                                            \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                        \
        }                                                                                          \
    } while (0)

#define SID_A "0123456789abcdef0123456789abcdef"
#define SID_B "fedcba9876543210fedcba9876543210"
#define DIGEST "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

/* Each runs the tests of one file. */
void test_strings(void);
void test_storage(void);
void test_policy(void);

#endif
