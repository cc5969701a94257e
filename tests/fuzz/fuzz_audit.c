/* The audit log's lines, alone and as a file. */
#include "tests/fuzz/fuzz.h"

#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "milter/audit/line.h"

/* The reader looks again at a file that ends; here nobody writes. */
int
nanosleep(const struct timespec *request, struct timespec *left)
{
	(void)request;
	(void)left;
	return 0;
}

static bool
each(void *ctx, const struct audit_record *record)
{
	const char **why = ctx;

	fuzz_must(record->good == (record->why == NULL), "a line is good, or it says what is wrong");
	for (size_t i = 0; i < record->n_pairs; i++)
		fuzz_must(strlen(record->pairs[i].key) > 0 && record->pairs[i].value, "every pair has both");
	*why = record->why;
	return true;
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct audit_line *line = xcalloc(1, sizeof(*line));
	AUTO_FD int fd = memfd_create("audit", MFD_CLOEXEC);
	const char *why = NULL;
	char path[64];
	struct err err;

	audit_line_parse((struct slice){ bytes, len }, line);
	fuzz_must(line->n_pairs <= AUDIT_LINE_PAIRS, "no more pairs than there is room for");
	free(line);
	fuzz_must(fd != -1 && write(fd, bytes, len) == (ssize_t)len, "a file in memory");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	(void)audit_read(path, each, &why, &err);
	return 0;
}
