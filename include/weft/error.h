/* Error codes beyond errno's, and the text for every code. */
#ifndef WEFT_ERROR_H
#define WEFT_ERROR_H

#include <errno.h>

#include <weft/base.h>

WEFT_BEGIN_DECLS

/* The one table of weft's own codes: name, value, text. errno's values end well below 4096. */
#define WEFT_ERRORS(X)                                                                             \
    X(WEFT_EPANIC, -4097, "the task panicked")                                                     \
    X(WEFT_ESHUTDOWN, -4098, "the runtime is shut down")                                           \
    X(WEFT_EEOF, -4099, "the stream ended in the middle of the requested data")                    \
    X(WEFT_ENONAME, -4100, "the host or service name is not known")                                \
    X(WEFT_ENAMEAGAIN, -4101, "the name could not be resolved for now; try again")

enum weft_error {
#define WEFT_ERROR_ENUM(name, value, text) name = (value),
    WEFT_ERRORS(WEFT_ERROR_ENUM)
#undef WEFT_ERROR_ENUM
};

/*
 * The text for a code returned by any weft function: static, never NULL, never to be freed. Takes
 * the negative code as returned; 0 and positive values give "success". Any thread, signal handlers
 * included. Does not suspend.
 */
WEFT_API const char *weft_strerror(int code);

WEFT_END_DECLS

#endif
