#include "audit.h"

bool audit_count(struct audit *audit, enum audit_kind kind, uint64_t times, int64_t now,
                 uint64_t *silent)
{
    struct audit_pace *pace = &audit->paces[kind];
    audit->counts[kind] += times;
    if (pace->second != now) {
        pace->second = now;
        pace->logged = 0;
    }
    if (pace->logged >= AUDIT_PER_SECOND) {
        pace->silent += times;
        return false;
    }
    pace->logged++;
    *silent = pace->silent;
    pace->silent = 0;
    return true;
}
