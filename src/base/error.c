/* The text of every code, and the way out when there is no code to return. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/error.h>

#include "base/base.h"

const char *weft_strerror(int code)
{
    switch (code) {
#define WEFT_ERROR_TEXT(name, value, text)                                                         \
    case name: return text;
        WEFT_ERRORS(WEFT_ERROR_TEXT)
#undef WEFT_ERROR_TEXT
    default: break;
    }
    if (code >= 0)
        return "success";
    const char *text = code == INT32_MIN ? NULL : strerrordesc_np(-code);
    return text ? text : "unknown error";
}

void weft__fatal(const char *function, const char *message)
{
    fprintf(stderr, "weft: %s: %s\n", function, message);
    abort();
}
