/* Counts every refusal, and says which of them to log: enough to see what goes on, and not so much
 * that a client could fill the disk. */
#ifndef ISAAX_AUDIT_H
#define ISAAX_AUDIT_H

#include <stdbool.h>
#include <stdint.h>

enum audit_kind {
    AUDIT_CONNECT,
    AUDIT_PUBLISH,
    AUDIT_SUBSCRIBE,
    AUDIT_DELIVERY,
    AUDIT_CONTROL,
    AUDIT_KINDS,
};

enum { AUDIT_PER_SECOND = 5 }; /* log lines of each kind */

struct audit {
    uint64_t counts[AUDIT_KINDS];
    struct audit_pace {
        int64_t second;
        unsigned logged; /* in this second */
        uint64_t silent; /* since the last line that was logged */
    } paces[AUDIT_KINDS];
};

/* Counts `times` refusals. True when they are to be logged; `*silent` then says how many before
 * them were not. */
bool audit_count(struct audit *audit, enum audit_kind kind, uint64_t times, int64_t now,
                 uint64_t *silent);

#endif
