#include "milter/audit/line.h"

#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>

static const char prev_mark[] = " prev=";
static const char hash_mark[] = " hash=";

enum {
	MARK_BYTES = sizeof(prev_mark) - 1,
	HEX_BYTES = 2 * AUDIT_HASH_BYTES,
	TAIL_BYTES = 2 * (MARK_BYTES + HEX_BYTES),
};

bool
audit_line_is_token(const char *text)
{
	size_t len = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-");

	return len > 0 && len < 64 && text[len] == '\0';
}

void
audit_line_hex(const unsigned char hash[AUDIT_HASH_BYTES], char ret[2 * AUDIT_HASH_BYTES + 1])
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < AUDIT_HASH_BYTES; i++) {
		ret[2 * i] = digits[hash[i] >> 4];
		ret[2 * i + 1] = digits[hash[i] & 15];
	}
	ret[HEX_BYTES] = '\0';
}

static bool
is_plain(unsigned char c)
{
	return c > ' ' && c < 0x7f && c != '"' && c != '=' && c != '%';
}

static void
add_value(struct buf *ret, const char *value, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (is_plain((unsigned char)value[i]))
			buf_add(ret, value + i, 1);
		else
			buf_printf(ret, "%%%02X", (unsigned char)value[i]);
	}
}

static void
add_pair(struct buf *ret, const struct audit_pair *pair)
{
	size_t len = strnlen(pair->value, AUDIT_VALUE_BYTES + 1);

	buf_printf(ret, " %s=", pair->key);
	if (len <= AUDIT_VALUE_BYTES) {
		add_value(ret, pair->value, len);
		return;
	}
	/* A value that was cut says so, within the same bound. */
	add_value(ret, pair->value, AUDIT_VALUE_BYTES - 3);
	buf_add_text(ret, "...");
}

int
audit_line_render_pairs(const struct audit_pair *pairs, size_t n_pairs, struct buf *ret, struct err *err)
{
	if (n_pairs > AUDIT_LINE_PAIRS)
		return err_set(err, ERR_BUG, "audit record with %zu values, at most %d fit", n_pairs, AUDIT_LINE_PAIRS);
	for (size_t i = 0; i < n_pairs; i++) {
		const char *key = pairs[i].key;

		if (!audit_line_is_token(key) || strcmp(key, "prev") == 0 || strcmp(key, "hash") == 0)
			return err_set(err, ERR_BUG, "'%s' cannot be a key of an audit record", key);
		add_pair(ret, &pairs[i]);
	}
	if (buf_full(ret))
		return err_set(err, ERR_BUG, "audit record over %d bytes", AUDIT_LINE_BYTES);
	return 0;
}

static void
add_time(struct buf *ret, const struct timespec *now)
{
	char text[32];
	struct tm utc;

	gmtime_r(&now->tv_sec, &utc);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &utc);
	buf_printf(ret, "%s.%03ldZ", text, now->tv_nsec / 1000000);
}

void
audit_line_render(uint64_t seq, const struct timespec *now, const char *event, struct slice pairs,
    unsigned char hash[AUDIT_HASH_BYTES], struct buf *ret)
{
	size_t start = ret->len;
	char hex[HEX_BYTES + 1];

	buf_printf(ret, "%llu ", (unsigned long long)seq);
	add_time(ret, now);
	buf_printf(ret, " %s", event);
	buf_add_slice(ret, pairs);
	audit_line_hex(hash, hex);
	buf_printf(ret, "%s%s", prev_mark, hex);
	SHA256(ret->at + start, ret->len - start, hash);
	audit_line_hex(hash, hex);
	buf_printf(ret, "%s%s\n", hash_mark, hex);
}

/* The value of a hex digit as we write them, or -1. */
static int
digit(unsigned char c, bool upper)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (upper && c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	if (!upper && c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

static bool
read_hash(const unsigned char *hex, unsigned char ret[AUDIT_HASH_BYTES])
{
	for (size_t i = 0; i < AUDIT_HASH_BYTES; i++) {
		int high = digit(hex[2 * i], false);
		int low = digit(hex[2 * i + 1], false);

		if (high == -1 || low == -1)
			return false;
		ret[i] = (unsigned char)(high << 4 | low);
	}
	return true;
}

/* " prev=HEX hash=HEX" at the end; `line` is cut before it. */
static bool
cut_tail(struct slice *line, struct audit_line *ret)
{
	const unsigned char *tail;

	if (line->len < TAIL_BYTES)
		return false;
	tail = line->at + line->len - TAIL_BYTES;
	if (memcmp(tail, prev_mark, MARK_BYTES) != 0 || !read_hash(tail + MARK_BYTES, ret->prev))
		return false;
	tail += MARK_BYTES + HEX_BYTES;
	if (memcmp(tail, hash_mark, MARK_BYTES) != 0 || !read_hash(tail + MARK_BYTES, ret->hash))
		return false;
	line->len -= TAIL_BYTES;
	return true;
}

/* The next word up to a blank or the end; false where it is empty or does not fit. */
static bool
cut_word(struct slice *line, char *ret, size_t room)
{
	const unsigned char *blank = line->len ? memchr(line->at, ' ', line->len) : NULL;
	size_t len = blank ? (size_t)(blank - line->at) : line->len;

	if (len == 0 || len >= room)
		return false;
	memcpy(ret, line->at, len);
	ret[len] = '\0';
	line->at += len + (blank ? 1 : 0);
	line->len -= len + (blank ? 1 : 0);
	return true;
}

static bool
read_seq(const char *word, uint64_t *ret)
{
	uint64_t seq = 0;

	for (; *word; word++) {
		if (*word < '0' || *word > '9' || seq > (UINT64_MAX - 9) / 10)
			return false;
		seq = 10 * seq + (uint64_t)(*word - '0');
	}
	*ret = seq;
	return true;
}

/* In place: an escaped value is never shorter than what it stands for. */
static bool
unescape(char *value)
{
	char *to = value;

	for (const char *from = value; *from; from++) {
		int high, low;

		if (*from != '%') {
			*to++ = *from;
			continue;
		}
		high = digit((unsigned char)from[1], true);
		low = high == -1 ? -1 : digit((unsigned char)from[2], true);
		if (low == -1 || (high == 0 && low == 0))
			return false;
		*to++ = (char)(high << 4 | low);
		from += 2;
	}
	*to = '\0';
	return true;
}

static bool
read_pair(char *word, struct audit_pair *ret)
{
	char *equals = strchr(word, '=');

	if (!equals)
		return false;
	*equals = '\0';
	ret->key = word;
	ret->value = equals + 1;
	return audit_line_is_token(word) && unescape(equals + 1);
}

static bool
read_pairs(struct slice rest, struct audit_line *ret)
{
	char *next = ret->text;
	size_t room = sizeof(ret->text);

	while (rest.len) {
		if (ret->n_pairs == AUDIT_LINE_PAIRS || !cut_word(&rest, next, room))
			return false;
		room -= strlen(next) + 1;
		if (!read_pair(next, &ret->pairs[ret->n_pairs]))
			return false;
		next = ret->text + sizeof(ret->text) - room;
		ret->n_pairs++;
	}
	return true;
}

static bool
read_record(struct slice line, struct audit_line *ret)
{
	char seq[24];

	return cut_word(&line, seq, sizeof(seq)) && read_seq(seq, &ret->seq) &&
	    cut_word(&line, ret->time, sizeof(ret->time)) && cut_word(&line, ret->event, sizeof(ret->event)) &&
	    read_pairs(line, ret);
}

static bool
hash_holds(struct slice line, const unsigned char want[AUDIT_HASH_BYTES])
{
	unsigned char hash[AUDIT_HASH_BYTES];

	SHA256(line.at, line.len - MARK_BYTES - HEX_BYTES, hash);
	return memcmp(hash, want, sizeof(hash)) == 0;
}

time_t
audit_line_time(const struct audit_line *line)
{
	struct tm utc = { .tm_isdst = 0 };
	const char *rest = strptime(line->time, "%Y-%m-%dT%H:%M:%S", &utc);

	return rest && *rest == '.' ? timegm(&utc) : -1;
}

void
audit_line_parse(struct slice line, struct audit_line *ret)
{
	struct slice record = line;
	bool readable;

	ret->shape = LINE_TORN;
	ret->seq = 0;
	ret->time[0] = ret->event[0] = '\0';
	ret->n_pairs = 0;
	if (!cut_tail(&record, ret))
		return;
	readable = read_record(record, ret);
	ret->shape = readable && hash_holds(line, ret->hash) ? LINE_WHOLE : LINE_CHANGED;
}
