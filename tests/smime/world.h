/*
 * world: what the tests of smime/ share: exactly-sized heap blocks (so that ASan sees the first
 * byte read too far), a temporary folder, keys made by mkpki, and other programs as judges.
 */
#ifndef TESTS_SMIME_WORLD_H
#define TESTS_SMIME_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "smime/buf.h"
#include "smime/err.h"

#define UNUSED __attribute__((unused))

/* The bytes in a block of their own; NULL-free even when empty. */
static inline UNUSED struct slice
heap_slice(const void *bytes, size_t len)
{
	unsigned char *block = malloc(len ? len : 1);

	assert_non_null(block);
	if (len)
		memcpy(block, bytes, len);
	return (struct slice){ block, len };
}

static inline UNUSED struct slice
heap_text(const char *text)
{
	return heap_slice(text, strlen(text));
}

static inline UNUSED void
heap_free(struct slice slice)
{
	free((void *)(uintptr_t)slice.at);
}

/* Repeats `unit` until `len` bytes are there. */
static inline UNUSED char *
repeat(const char *unit, size_t len)
{
	char *text = malloc(len + 1);
	size_t step = strlen(unit);

	assert_non_null(text);
	for (size_t i = 0; i < len; i++)
		text[i] = unit[i % step];
	text[len] = '\0';
	return text;
}

/* A temporary folder; the working directory from then on. */
struct world {
	char dir[64];
	char mkpki[512];
};

static inline UNUSED int PRINTF_LIKE(1, 2)
run(const char *fmt, ...)
{
	char command[4096];
	va_list args;
	int status;

	va_start(args, fmt);
	vsnprintf(command, sizeof(command), fmt, args);
	va_end(args);
	status = system(command);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

static inline UNUSED void
world_open(struct world *world)
{
	char self[400] = "";
	char *slash;

	assert_true(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
	slash = strrchr(self, '/');
	assert_non_null(slash);
	*slash = '\0';
	snprintf(world->mkpki, sizeof(world->mkpki), "%s/../pki/mkpki", self);
	if (access(world->mkpki, X_OK) != 0)
		fail_msg("%s is missing; run: make tests", world->mkpki);
	strcpy(world->dir, "/tmp/segel-test.XXXXXX");
	assert_non_null(mkdtemp(world->dir));
	assert_int_equal(chdir(world->dir), 0);
}

static inline UNUSED void
world_close(struct world *world)
{
	assert_int_equal(chdir("/"), 0);
	assert_int_equal(run("rm -rf '%s'", world->dir), 0);
}

static inline UNUSED void PRINTF_LIKE(2, 3)
mkpki(const struct world *world, const char *fmt, ...)
{
	char options[1024];
	va_list args;

	va_start(args, fmt);
	vsnprintf(options, sizeof(options), fmt, args);
	va_end(args);
	if (run("'%s' %s", world->mkpki, options) != 0)
		fail_msg("mkpki %s", options);
}

static inline UNUSED void
write_file(const char *name, const void *bytes, size_t len)
{
	FILE *file = fopen(name, "we");

	assert_non_null(file);
	assert_int_equal(len ? fwrite(bytes, 1, len, file) : 0, len);
	assert_int_equal(fclose(file), 0);
}

static inline UNUSED struct slice
read_file(const char *name)
{
	FILE *file = fopen(name, "re");
	unsigned char *block;
	long len;

	if (!file)
		fail_msg("cannot read %s", name);
	fseek(file, 0, SEEK_END);
	len = ftell(file);
	rewind(file);
	block = malloc(len ? (size_t)len : 1);
	assert_int_equal(fread(block, 1, (size_t)len, file), (size_t)len);
	fclose(file);
	return (struct slice){ block, (size_t)len };
}

#endif
