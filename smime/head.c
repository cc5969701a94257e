#include "smime/head.h"

#include <stdlib.h>
#include <string.h>

static void
note(struct head *head, const char *why)
{
	if (!head->why)
		head->why = why;
}

/* The line at `from`, its end included; the last one may have none. */
static size_t
line_end(struct slice entity, size_t from)
{
	const unsigned char *feed = memchr(entity.at + from, '\n', entity.len - from);

	return feed ? (size_t)(feed - entity.at) + 1 : entity.len;
}

static bool
is_blank(unsigned char c)
{
	return c == ' ' || c == '\t';
}

static bool
is_empty_line(struct slice line)
{
	return (line.len == 1 && line.at[0] == '\n') || (line.len == 2 && line.at[0] == '\r' && line.at[1] == '\n');
}

/* RFC 5322 4.2 allows such folds only in old mail; some readers end the head there. */
static bool
is_blank_line(struct slice line)
{
	return slice_trim(line).len == 0;
}

static void
check_bytes(struct slice raw, struct head *head)
{
	for (size_t i = 0; i < raw.len; i++) {
		if (raw.at[i] == '\0')
			note(head, "a NUL in the header");
		if (raw.at[i] == '\r' && (i + 1 == raw.len || raw.at[i + 1] != '\n'))
			note(head, "a bare CR in the header");
		if (raw.at[i] == '\n' && (i == 0 || raw.at[i - 1] != '\r'))
			note(head, "a bare LF in the header");
	}
}

static size_t
name_len(struct slice raw)
{
	size_t len = 0;

	while (len < raw.len && raw.at[len] > ' ' && raw.at[len] < 0x7f && raw.at[len] != ':')
		len++;
	return len;
}

/* Without the final line end, of either kind. */
static struct slice
without_end(struct slice raw)
{
	if (raw.len && raw.at[raw.len - 1] == '\n')
		raw.len--;
	if (raw.len && raw.at[raw.len - 1] == '\r')
		raw.len--;
	return raw;
}

static void
add_field(struct head *head, struct slice raw)
{
	size_t name = name_len(raw);
	struct slice line = without_end(raw);

	check_bytes(raw, head);
	if (name == 0 || name >= line.len || raw.at[name] != ':') {
		note(head, "a header line that is no field");
		return;
	}
	if (head->n_fields % 32 == 0)
		head->fields = xrealloc(head->fields, (head->n_fields + 32) * sizeof(*head->fields));
	head->fields[head->n_fields++] = (struct field){
		.raw = raw,
		.name = { raw.at, name },
		.value = { raw.at + name + 1, line.len - name - 1 },
	};
}

/* One field from `from`, folds included; returns where it ends. */
static size_t
field_end(struct slice entity, size_t from, struct head *head)
{
	size_t end = line_end(entity, from);

	while (end < entity.len && is_blank(entity.at[end])) {
		size_t next = line_end(entity, end);

		if (is_blank_line((struct slice){ entity.at + end, next - end }))
			note(head, "a header fold of nothing but blanks");
		end = next;
	}
	return end;
}

static const char *
limit_of(const struct head *head, size_t from, size_t end)
{
	if (end - from > LIMIT_FIELD_BYTES)
		return "field_bytes";
	if (end > LIMIT_HEADER_BYTES)
		return "header_bytes";
	if (head->n_fields >= LIMIT_HEADER_FIELDS)
		return "header_fields";
	return NULL;
}

void
head_scan(struct slice entity, struct head *ret)
{
	size_t from = 0;

	*ret = (struct head){ .body = { entity.at ? entity.at + entity.len : NULL, 0 } };
	while (from < entity.len) {
		struct slice line = { entity.at + from, line_end(entity, from) - from };
		size_t end;

		if (is_empty_line(line)) {
			check_bytes(line, ret);
			ret->body = (struct slice){ line.at + line.len, entity.len - from - line.len };
			return;
		}
		if (is_blank(line.at[0]))
			note(ret, "the header begins with a fold");
		end = field_end(entity, from, ret);
		ret->limit = limit_of(ret, from, end);
		if (ret->limit)
			return;
		add_field(ret, (struct slice){ line.at, end - from });
		from = end;
	}
}

void
head_done(struct head *head)
{
	free(head->fields);
	*head = (struct head){ 0 };
}

const struct field *
head_find(const struct head *head, const char *name, size_t n)
{
	for (size_t i = 0; i < head->n_fields; i++) {
		if (slice_equal_nocase(head->fields[i].name, name) && n-- == 0)
			return &head->fields[i];
	}
	return NULL;
}

size_t
head_count(const struct head *head, const char *name)
{
	size_t count = 0;

	while (head_find(head, name, count))
		count++;
	return count;
}
