/* control_next: every input comes to an end, and what is taken for good is well formed. */
#include <string.h>

#include "control.h"
#include "fuzz.h"

#define SID "0123456789abcdef0123456789abcdef"
#define DIGEST SID SID

const char *const fuzz_seeds[] = {
    "begin 1\ntoken prj_1 " DIGEST "\nsession dev_1 prj_1 " SID " 1795449330\ncommit 1\n",
    "untoken prj_1 " DIGEST,
    "unsession dev_1\nkick dev_2\n\n\nkick dev_3",
    "begin 18446744073709551615\nbegin 18446744073709551616\n",
    "session dev_1 prj_1 " SID " 9223372036854775807",
    "session dev_1 prj_1 " SID " 1 a-connection-of-its-own",
    NULL,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *cursor = (const char *)data;
    const char *end = cursor + size;
    struct control_line line;
    size_t lines = 0;
    for (;;) {
        enum control_result result = control_next(&cursor, end, &line);
        PROMISE(cursor <= end && lines++ <= size + 1);
        if (result == CONTROL_END) {
            return 0;
        }
        if (result == CONTROL_LINE) {
            PROMISE(strlen(line.client) <= ID_MAX && strlen(line.project) <= ID_MAX);
            PROMISE(line.verb != CONTROL_SESSION || text_is_session(line.session, SESSION_SIZE));
            PROMISE(strlen(line.connection) <= ID_MAX);
            PROMISE(!text_is_hub_client(line.client) && line.expires >= 0);
        }
    }
}
