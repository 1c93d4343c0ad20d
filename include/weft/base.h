/* Attributes and small types shared by all public headers. */
#ifndef WEFT_BASE_H
#define WEFT_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
#define WEFT_BEGIN_DECLS extern "C" {
#define WEFT_END_DECLS }
#else
#define WEFT_BEGIN_DECLS
#define WEFT_END_DECLS
#endif

#define WEFT_API __attribute__((visibility("default")))
#define WEFT_MUST_USE __attribute__((warn_unused_result))

/* Where in the source something was made; reports name it. Lives in static storage. */
struct weft_site {
    const char *file;
    const char *function;
    int line;
};

/* The place where this macro stands, as a `const struct weft_site *`. */
#define WEFT_SITE                                                                                  \
    (__extension__({                                                                               \
        static const struct weft_site weft_site_here = { __FILE__, __func__, __LINE__ };           \
        &weft_site_here;                                                                           \
    }))

typedef struct weft_task weft_task;
typedef struct weft_runtime weft_runtime;
typedef struct weft_handle weft_handle;

#endif
