/* mosquitto's plugin interface, without its client library's header.
 *
 * The result codes and log levels live in `mosquitto.h`, which Debian ships in `libmosquitto-dev`.
 * A handful of numbers that are fixed by the plugin ABI do not justify another package on every
 * machine, so those that are used here are repeated (mosquitto 2.0.11 and 2.0.21, `mosquitto.h`,
 * `enum mosq_err_t` and `MOSQ_LOG_*`).
 */
#ifndef ISAAX_BROKER_H
#define ISAAX_BROKER_H

#include <mosquitto_broker.h>
/* mosquitto_plugin.h of 2.0.11 needs mosquitto_broker.h before it. */
#include <mosquitto_plugin.h>

enum {
    BROKER_OK = 0,
    BROKER_NO_MEMORY = 1,
    BROKER_INVALID = 3,
    BROKER_REFUSED = 11,   /* MOSQ_ERR_AUTH */
    BROKER_FORBIDDEN = 12, /* MOSQ_ERR_ACL_DENIED */
};

enum {
    BROKER_LOG_INFO = 1 << 0,
    BROKER_LOG_NOTICE = 1 << 1,
    BROKER_LOG_WARNING = 1 << 2,
    BROKER_LOG_ERROR = 1 << 3,
};

#endif
