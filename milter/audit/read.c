#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "milter/audit/line.h"

/*
 * Lines that are no records, kept back until the next record says whether it accounts for them.
 * Their bytes are hashed as they come, so that no length costs memory.
 */
struct torn {
	uint64_t line;    /* number of the first one; 0 = none */
	uint64_t len;     /* line ends between them included, the last one not */
	EVP_MD_CTX *hash; /* owned */
};

struct reader {
	FILE *file;      /* owned */
	uint64_t number; /* of the line at hand */
	bool (*each)(void *ctx, const struct audit_record *record);
	void *ctx;
	bool stop;       /* the callback has seen enough */
	struct torn torn;
	uint64_t seq;    /* of the record before */
	unsigned char prev[AUDIT_HASH_BYTES];
	char why[200];
	struct audit_line line;
	unsigned char text[AUDIT_LINE_BYTES];
};

static void
reader_free(struct reader *reader)
{
	if (reader->file)
		fclose(reader->file);
	EVP_MD_CTX_free(reader->torn.hash);
	free(reader);
}
AUTO_DEFINE(struct reader, reader_free);

static void
call(struct reader *reader, const struct audit_record *record)
{
	if (!reader->stop)
		reader->stop = !reader->each(reader->ctx, record);
}

static void
torn_add(struct torn *torn, const void *bytes, size_t len)
{
	torn->len += len;
	EVP_DigestUpdate(torn->hash, bytes, len);
}

/* The n-th part of a torn line; `starts` where it is the line's first. */
static void
torn_take(struct reader *reader, struct slice part, bool starts)
{
	struct torn *torn = &reader->torn;

	if (torn->line == 0) {
		torn->line = reader->number;
		torn->len = 0;
		EVP_DigestInit_ex(torn->hash, EVP_sha256(), NULL);
	} else if (starts) {
		torn_add(torn, "\n", 1);
	}
	torn_add(torn, part.at, part.len);
}

static const char *
value_of(const struct audit_line *line, const char *key)
{
	for (size_t i = 0; i < line->n_pairs; i++) {
		if (strcmp(line->pairs[i].key, key) == 0)
			return line->pairs[i].value;
	}
	return "";
}

static bool
accounts_for(const struct audit_line *line, struct torn *torn)
{
	unsigned char hash[EVP_MAX_MD_SIZE];
	char hex[2 * AUDIT_HASH_BYTES + 1], len[24];

	EVP_DigestFinal_ex(torn->hash, hash, NULL);
	audit_line_hex(hash, hex);
	snprintf(len, sizeof(len), "%llu", (unsigned long long)torn->len);
	return line->shape == LINE_WHOLE && strcmp(line->event, AUDIT_RESUME_EVENT) == 0 &&
	    strcmp(value_of(line, "torn"), len) == 0 && strcmp(value_of(line, "torn-sha256"), hex) == 0;
}

static void
report_torn(struct reader *reader, const char *why)
{
	const struct audit_record record = { .time = "", .event = "", .why = why, .line = reader->torn.line };

	reader->torn.line = 0;
	call(reader, &record);
}

/* A resume record speaks of bytes that must stand before it, unless only a line end was missing. */
static bool
misses_torn(const struct audit_line *line)
{
	return strcmp(line->event, AUDIT_RESUME_EVENT) == 0 && strcmp(value_of(line, "torn"), "0") != 0;
}

static const char *
why_bad(struct reader *reader, bool after_torn)
{
	const struct audit_line *line = &reader->line;

	if (line->shape != LINE_WHOLE)
		return "hash does not hold: this record was changed";
	if (!after_torn && misses_torn(line))
		return "the torn bytes that this resume record accounts for were removed";
	if (memcmp(line->prev, reader->prev, sizeof(reader->prev)) != 0) {
		snprintf(reader->why, sizeof(reader->why), "prev is not the hash of the record before (sequence %llu, wanted %llu): "
		    "a record was removed, inserted, moved or changed here", (unsigned long long)line->seq,
		    (unsigned long long)reader->seq + 1);
		return reader->why;
	}
	if (line->seq == reader->seq + 1)
		return NULL;
	snprintf(reader->why, sizeof(reader->why), "sequence %llu, wanted %llu", (unsigned long long)line->seq,
	    (unsigned long long)reader->seq + 1);
	return reader->why;
}

static void
take_record(struct reader *reader)
{
	const struct audit_line *line = &reader->line;
	struct audit_record record = { .seq = line->seq, .time = line->time, .event = line->event,
		.n_pairs = line->n_pairs, .pairs = line->pairs, .line = reader->number, .hash = line->hash };
	const bool after_torn = reader->torn.line != 0;

	if (reader->torn.line && !accounts_for(line, &reader->torn))
		report_torn(reader, "no record, and no resume record right behind it accounts for it");
	reader->torn.line = 0;
	record.why = why_bad(reader, after_torn);
	record.good = record.why == NULL;
	call(reader, &record);
	/* From here on the line's own words count, so that one bad record does not damn all behind it. */
	reader->seq = line->seq;
	memcpy(reader->prev, line->hash, sizeof(reader->prev));
}

static void
take_line(struct reader *reader, size_t len)
{
	struct slice line = { reader->text, len };

	audit_line_parse(line, &reader->line);
	if (reader->line.shape == LINE_TORN)
		torn_take(reader, line, true);
	else
		take_record(reader);
}

/* A writer puts a batch down in one call, but a reader may see its first half: look twice. */
static int
next_byte(FILE *file)
{
	const struct timespec pause = { .tv_nsec = 100 * 1000 * 1000 };
	int c = getc_unlocked(file);

	if (c != EOF || ferror(file))
		return c;
	nanosleep(&pause, NULL);
	clearerr(file);
	return getc_unlocked(file);
}

/* Rest of a line that is longer than any record. False at the end of the file. */
static bool
skip_long_line(struct reader *reader)
{
	size_t len = sizeof(reader->text);
	bool starts = true;

	for (;;) {
		int c;

		if (len == sizeof(reader->text)) {
			torn_take(reader, (struct slice){ reader->text, len }, starts);
			starts = false;
			len = 0;
		}
		c = next_byte(reader->file);
		if (c == EOF || c == '\n') {
			torn_take(reader, (struct slice){ reader->text, len }, false);
			return c != EOF;
		}
		reader->text[len++] = (unsigned char)c;
	}
}

/* False at the end of the file. */
static bool
read_line(struct reader *reader)
{
	size_t len = 0;
	int c = getc_unlocked(reader->file);

	if (c == EOF)
		return false;
	reader->number++;
	for (; c != '\n'; c = next_byte(reader->file)) {
		if (c == EOF) {
			torn_take(reader, (struct slice){ reader->text, len }, true);
			return false;
		}
		reader->text[len++] = (unsigned char)c;
		if (len == sizeof(reader->text))
			return skip_long_line(reader);
	}
	take_line(reader, len);
	return true;
}

int
audit_read(const char *file, bool (*each)(void *ctx, const struct audit_record *record), void *ctx, struct err *err)
{
	AUTO(reader_free) struct reader *reader = xcalloc(1, sizeof(*reader));

	reader->each = each;
	reader->ctx = ctx;
	reader->torn.hash = EVP_MD_CTX_new();
	reader->file = fopen(file, "re");
	if (!reader->file)
		return err_set(err, ERR_CONFIG, "audit file '%s' cannot be opened: %s", file, strerror(errno));
	while (!reader->stop && read_line(reader))
		;
	if (ferror(reader->file))
		return err_set(err, ERR_TEMP, "audit file '%s' cannot be read behind line %llu: %s", file,
		    (unsigned long long)reader->number, strerror(errno));
	if (!reader->stop && reader->torn.line)
		report_torn(reader, "unfinished at the end of the file: a crash, or a record just being written; "
		    "the next start of its program closes it off");
	return 0;
}
