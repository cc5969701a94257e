/*
 * base: the few words that the whole tree shares.
 * Ownership marks (AUTO, TAKE), compiler attributes, allocation that succeeds
 * or ends the process, and wiping.
 *
 * Not for: text, files or errors (buf.h, err.h). Sizes that come from outside
 * are compared with limits.h before they reach xmalloc.
 */
#ifndef SMIME_BASE_H
#define SMIME_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MUST_USE __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#define N_ELEMENTS(array) (sizeof(array) / sizeof((array)[0]))

/*
 * AUTO(x_free) struct x *thing = NULL;   owned: freed on every return.
 * A type gets its AUTO once, beside its free function: AUTO_DEFINE(struct x, x_free).
 */
#define AUTO(free_fn) __attribute__((cleanup(auto_##free_fn)))
#define AUTO_DEFINE(type, free_fn)                                            \
	static inline __attribute__((unused)) void auto_##free_fn(type **owned) \
	{                                                                     \
		if (*owned)                                                   \
			free_fn(*owned);                                      \
	}                                                                     \
	struct auto_##free_fn##_needs_semicolon

/* *ret = TAKE(thing);   the caller owns it now. */
#define TAKE(owned)                                    \
	__extension__({                                \
		__typeof__(owned) taken_ = (owned);    \
		(owned) = NULL;                        \
		taken_;                                \
	})

/* Memory that is there, zeroed, or the process ends (its mail is deferred). free() releases it. */
void *xcalloc(size_t count, size_t size) MUST_USE __attribute__((malloc, returns_nonnull));
void *xrealloc(void *old, size_t size) MUST_USE __attribute__((returns_nonnull));
char *xstrdup(const char *text) MUST_USE __attribute__((malloc, returns_nonnull));
char *xstrndup(const char *text, size_t len) MUST_USE __attribute__((malloc, returns_nonnull));
char *xasprintf(const char *fmt, ...) MUST_USE PRINTF_LIKE(1, 2) __attribute__((returns_nonnull));

/* Where a library says no only for want of memory: ends the process as the four above do. */
void xmust(bool done);

/* Milliseconds of a clock that nobody sets: for spans of time. */
int64_t monotonic_ms(void);

/* Overwrites memory that held a secret; the compiler cannot drop it. */
void wipe(void *secret, size_t len);

/* AUTO(xfree) for strings and other plain blocks. */
static inline void xfree(void *block) { __builtin_free(block); }
static inline __attribute__((unused)) void auto_xfree(void *owned) { xfree(*(void **)owned); }

/* AUTO_FD int fd = -1;   closed on every return. */
void auto_close(const int *fd);
#define AUTO_FD __attribute__((cleanup(auto_close)))
#define TAKE_FD(owned)                   \
	__extension__({                  \
		int taken_ = (owned);    \
		(owned) = -1;            \
		taken_;                  \
	})

#endif
