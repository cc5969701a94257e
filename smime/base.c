#include "smime/base.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void *
present(void *block)
{
	static const char text[] = "segel: out of memory; the process ends and mail in hand is deferred\n";

	if (block)
		return block;
	(void)!write(STDERR_FILENO, text, sizeof(text) - 1);
	abort();
}

void
xmust(bool done)
{
	(void)present(done ? (void *)(uintptr_t)&present : NULL);
}

void *
xcalloc(size_t count, size_t size)
{
	return present(calloc(count ? count : 1, size ? size : 1));
}

void *
xrealloc(void *old, size_t size)
{
	return present(realloc(old, size ? size : 1));
}

char *
xstrdup(const char *text)
{
	return present(strdup(text));
}

char *
xstrndup(const char *text, size_t len)
{
	return present(strndup(text, len));
}

char *
xasprintf(const char *fmt, ...)
{
	char *text = NULL;
	va_list args;
	int len;

	va_start(args, fmt);
	len = vasprintf(&text, fmt, args);
	va_end(args);
	return present(len == -1 ? NULL : text);
}

int64_t
monotonic_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void
wipe(void *secret, size_t len)
{
	explicit_bzero(secret, len);
}

void
auto_close(const int *fd)
{
	if (*fd != -1)
		close(*fd);
}
