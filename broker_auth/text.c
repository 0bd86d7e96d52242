#include "text.h"

#include <string.h>

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

bool text_is_id(const char *text, size_t length)
{
    if (length == 0 || length > ID_MAX) {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        char c = text[i];
        bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '_' || c == '-';
        if (!ok) {
            return false;
        }
    }
    return true;
}

bool text_is_session(const char *text, size_t length)
{
    if (length != SESSION_SIZE) {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        if (!is_hex(text[i])) {
            return false;
        }
    }
    return true;
}

bool text_is_hub_client(const char *client)
{
    return strncmp(client, "hub-", 4) == 0;
}

bool text_from_hex(const char *text, size_t length, uint8_t *bytes, size_t size)
{
    if (length != 2 * size) {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        if (!is_hex(text[i])) {
            return false;
        }
        uint8_t digit = (uint8_t)(text[i] <= '9' ? text[i] - '0' : text[i] - 'a' + 10);
        bytes[i / 2] = (uint8_t)(i % 2 ? bytes[i / 2] | digit : digit << 4);
    }
    return true;
}

void text_to_hex(const uint8_t *bytes, size_t size, char *text)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < size; i++) {
        text[2 * i] = digits[bytes[i] >> 4];
        text[2 * i + 1] = digits[bytes[i] & 15];
    }
    text[2 * size] = '\0';
}

bool text_equal_secret(const void *a, const void *b, size_t size)
{
    const char *x = a, *y = b;
    uint64_t difference = 0;
    while (size > 0) {
        uint64_t left = 0, right = 0;
        size_t step = size < sizeof left ? size : sizeof left;
        memcpy(&left, x, step);
        memcpy(&right, y, step);
        difference |= left ^ right;
        __asm__ volatile("" : "+r"(difference)); /* the compiler may not leave the loop early */
        x += step;
        y += step;
        size -= step;
    }
    return difference == 0;
}

static size_t hex_run(const char *text)
{
    size_t n = 0;
    while (is_hex(text[n])) {
        n++;
    }
    return n;
}

void text_for_log(const char *text, char *out, size_t size)
{
    size_t used = 0;
    while (*text != '\0' && used + 1 < size) {
        size_t run = hex_run(text);
        if (run >= SESSION_SIZE) {
            out[used++] = '*';
            text += run;
            continue;
        }
        /* A shorter run of digits is copied whole, so that its tail is not counted anew. */
        size_t take = run > 0 ? run : 1;
        for (size_t i = 0; i < take && used + 1 < size; i++) {
            char c = text[i];
            out[used++] = c >= ' ' && c <= '~' && c != '"' ? c : '?';
        }
        text += take;
    }
    out[used] = '\0';
}
