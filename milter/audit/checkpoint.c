#include "milter/audit/checkpoint.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "milter/audit/line.h"

static const char mark[] = "audit-checkpoint ";

void
checkpoint_render(const char *file, const unsigned char chain[AUDIT_HASH_BYTES], uint64_t seq,
    const unsigned char hash[AUDIT_HASH_BYTES], char *ret, size_t room)
{
	char first[CHECKPOINT_HASH_DIGITS + 1], last[CHECKPOINT_HASH_DIGITS + 1];
	const char *slash = strrchr(file, '/');

	audit_line_hex(chain, first);
	audit_line_hex(hash, last);
	snprintf(ret, room, "%schain=%.*s file=%s seq=%llu hash=%s", mark, CHECKPOINT_CHAIN_DIGITS, first,
	    slash ? slash + 1 : file, (unsigned long long)seq, last);
}

/* Behind `key`, the word of these characters; NULL where it is not there, empty, too long or goes on otherwise. */
static const char *
take_word(const char *at, const char *key, const char *of, char *ret, size_t room)
{
	size_t len;

	if (strncmp(at, key, strlen(key)) != 0)
		return NULL;
	at += strlen(key);
	len = strspn(at, of);
	if (len == 0 || len >= room)
		return NULL;
	memcpy(ret, at, len);
	ret[len] = '\0';
	return at + len;
}

static const char digits[] = "0123456789", hex_digits[] = "0123456789abcdef";
static const char name_bytes[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";

enum checkpoint_shape
checkpoint_parse(const char *line, struct checkpoint *ret)
{
	const char *at = strstr(line, mark);
	char seq[20];

	if (!at)
		return CHECKPOINT_NONE;
	at += sizeof(mark) - 1;
	*ret = (struct checkpoint){ .seq = 0 };
	if (!(at = take_word(at, "chain=", hex_digits, ret->chain, sizeof(ret->chain))) ||
	    !(at = take_word(at, " file=", name_bytes, ret->file, sizeof(ret->file))) ||
	    !(at = take_word(at, " seq=", digits, seq, sizeof(seq))) ||
	    !(at = take_word(at, " hash=", hex_digits, ret->hash, sizeof(ret->hash))))
		return CHECKPOINT_BAD;
	ret->seq = strtoull(seq, NULL, 10);
	/* Whole, with nothing behind it but the line's end or what a JSON log closes its text with. */
	if (strlen(ret->chain) != CHECKPOINT_CHAIN_DIGITS || strlen(ret->hash) != CHECKPOINT_HASH_DIGITS || ret->seq == 0 ||
	    !strchr("\n\r\" ", *at))
		return CHECKPOINT_BAD;
	return CHECKPOINT_GOOD;
}

bool
checkpoint_from(const char *text, struct checkpoint *ret)
{
	char seq[20];
	const char *at;

	*ret = (struct checkpoint){ .seq = 0 };
	at = take_word(text, "", digits, seq, sizeof(seq));
	at = at ? take_word(at, ":", hex_digits, ret->hash, sizeof(ret->hash)) : NULL;
	ret->seq = at ? strtoull(seq, NULL, 10) : 0;
	return at && *at == '\0' && ret->seq > 0 && strlen(ret->hash) >= CHECKPOINT_CHAIN_DIGITS;
}

bool
checkpoint_agrees(const struct checkpoint *checkpoint, const unsigned char hash[AUDIT_HASH_BYTES])
{
	char hex[CHECKPOINT_HASH_DIGITS + 1];

	audit_line_hex(hash, hex);
	return strncmp(hex, checkpoint->hash, strlen(checkpoint->hash)) == 0;
}

static int
in_order(const void *left, const void *right)
{
	const struct checkpoint *a = left, *b = right;
	int chains = strcmp(a->chain, b->chain);

	return chains ? chains : (a->seq > b->seq) - (a->seq < b->seq);
}

static void
add_line(struct checkpoints *checkpoints, size_t *room, const char *line, uint64_t number)
{
	struct checkpoint one;

	switch (checkpoint_parse(line, &one)) {
	case CHECKPOINT_NONE:
		return;
	case CHECKPOINT_BAD:
		if (checkpoints->bad_line == 0)
			checkpoints->bad_line = number;
		return;
	case CHECKPOINT_GOOD:
		break;
	}
	if (checkpoints->n == *room) {
		*room = *room ? 2 * *room : 64;
		checkpoints->at = xrealloc(checkpoints->at, *room * sizeof(*checkpoints->at));
	}
	one.line = number;
	checkpoints->at[checkpoints->n++] = one;
}

static int
read_log(FILE *in, const char *log, struct checkpoints *ret, struct err *err)
{
	AUTO(xfree) char *line = NULL;
	size_t room = 0, line_room = 0;
	uint64_t number = 0;

	while (getline(&line, &line_room, in) != -1)
		add_line(ret, &room, line, ++number);
	if (ferror(in))
		return err_set(err, ERR_TEMP, "log '%s' cannot be read behind line %llu: %s", log, (unsigned long long)number,
		    strerror(errno));
	return 0;
}

int
checkpoints_load(const char *log, struct checkpoints **ret, struct err *err)
{
	AUTO(checkpoints_free) struct checkpoints *checkpoints = xcalloc(1, sizeof(*checkpoints));
	FILE *in = fopen(log, "re");
	int result;

	if (!in)
		return err_set(err, ERR_CONFIG, "log '%s' cannot be opened: %s", log, strerror(errno));
	result = read_log(in, log, checkpoints, err);
	fclose(in);
	if (result == -1)
		return -1;
	if (checkpoints->n)
		qsort(checkpoints->at, checkpoints->n, sizeof(*checkpoints->at), in_order);
	*ret = TAKE(checkpoints);
	return 0;
}

void
checkpoints_free(struct checkpoints *checkpoints)
{
	if (!checkpoints)
		return;
	free(checkpoints->at);
	free(checkpoints);
}

size_t
checkpoints_of(const struct checkpoints *checkpoints, const unsigned char first[AUDIT_HASH_BYTES],
    const struct checkpoint **ret)
{
	char chain[CHECKPOINT_HASH_DIGITS + 1];
	size_t start = 0, end;

	audit_line_hex(first, chain);
	chain[CHECKPOINT_CHAIN_DIGITS] = '\0';
	while (start < checkpoints->n && strcmp(checkpoints->at[start].chain, chain) != 0)
		start++;
	for (end = start; end < checkpoints->n && strcmp(checkpoints->at[end].chain, chain) == 0;)
		end++;
	*ret = checkpoints->at + start;
	return end - start;
}
