/* Results as aligned columns for people, as JSON for programs. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "milter/ctl/ctl.h"

struct ctl_table {
	const char *const *columns; /* borrowed */
	size_t n_columns;
	struct ctl_cell *cells;     /* row by row; their texts are owned */
	size_t n_rows;
};

struct ctl_table *
ctl_table_new(const char *const *columns, size_t n_columns)
{
	struct ctl_table *table = xcalloc(1, sizeof(*table));

	table->columns = columns;
	table->n_columns = n_columns;
	return table;
}

void
ctl_table_row(struct ctl_table *table, const struct ctl_cell *cells)
{
	size_t at = table->n_rows * table->n_columns;

	table->cells = xrealloc(table->cells, (at + table->n_columns) * sizeof(*table->cells));
	for (size_t i = 0; i < table->n_columns; i++) {
		table->cells[at + i] = cells[i];
		table->cells[at + i].text = cells[i].text ? xstrdup(cells[i].text) : NULL;
	}
	table->n_rows++;
}

void
ctl_table_free(struct ctl_table *table)
{
	if (!table)
		return;
	for (size_t i = 0; i < table->n_rows * table->n_columns; i++)
		free((char *)table->cells[i].text);
	free(table->cells);
	free(table);
}

/* The one calendar is UTC: an officer in another zone reads the same record. */
void
ctl_time_text(int64_t seconds, char ret[CTL_TIME_BYTES])
{
	time_t when = (time_t)seconds;
	struct tm tm;

	if (!gmtime_r(&when, &tm) || strftime(ret, CTL_TIME_BYTES, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		memcpy(ret, "?", 2);
}

static void
cell_text(const struct ctl_cell *cell, struct buf *ret)
{
	char when[CTL_TIME_BYTES];

	switch (cell->kind) {
	case CELL_NONE:
		buf_add_text(ret, "-");
		return;
	case CELL_TEXT:
		ctl_escape(ret, cell->text && *cell->text ? cell->text : "-");
		return;
	case CELL_NUMBER:
		buf_printf(ret, "%lld", (long long)cell->number);
		return;
	case CELL_TIME:
		ctl_time_text(cell->number, when);
		buf_add_text(ret, when);
		return;
	case CELL_BOOL:
		buf_add_text(ret, cell->number ? "yes" : "no");
		return;
	}
}

/* Columns on the screen; one a character is near enough for the names in use. */
static size_t
shown_width(const char *text)
{
	size_t width = 0;

	for (; *text; text++)
		width += ((unsigned char)*text & 0xc0) != 0x80;
	return width;
}

enum { CELL_BYTES = 4096 };

/* At most so many bytes, and no half of a character. */
static void
cut(char *text, size_t most)
{
	if (strlen(text) <= most)
		return;
	while (most && ((unsigned char)text[most] & 0xc0) == 0x80)
		most--;
	text[most] = '\0';
}

static char *
shown(const struct ctl_cell *cell, bool brief)
{
	AUTO_BUF struct buf text = { 0 };
	char *copy;

	buf_init(&text, CELL_BYTES);
	cell_text(cell, &text);
	copy = xstrdup(buf_text(&text));
	if (brief && cell->brief)
		cut(copy, cell->brief);
	return copy;
}

static size_t
column_width(const struct ctl_table *table, size_t column)
{
	size_t width = strlen(table->columns[column]);

	for (size_t row = 0; row < table->n_rows; row++) {
		AUTO(xfree) char *text = shown(&table->cells[row * table->n_columns + column], true);
		size_t here = shown_width(text);

		width = here > width ? here : width;
	}
	return width;
}

static void
pad(FILE *out, const char *text, size_t width, bool last)
{
	size_t here = shown_width(text);

	fputs(text, out);
	if (last)
		fputc('\n', out);
	else
		fprintf(out, "%*s", (int)(here < width ? width - here + 2 : 2), "");
}

static void
print_columns(FILE *out, const struct ctl_table *table)
{
	AUTO(xfree) size_t *widths = xcalloc(table->n_columns, sizeof(*widths));

	for (size_t i = 0; i < table->n_columns; i++) {
		widths[i] = column_width(table, i);
		pad(out, table->columns[i], widths[i], i + 1 == table->n_columns);
	}
	for (size_t at = 0; at < table->n_rows * table->n_columns; at++) {
		size_t i = at % table->n_columns;
		AUTO(xfree) char *text = shown(&table->cells[at], true);

		pad(out, text, widths[i], i + 1 == table->n_columns);
	}
}

/* Bytes that are no UTF-8 cannot be in JSON; they are escaped as for a terminal. */
static json_t *
json_text(const char *text)
{
	json_t *json = json_string(text);
	AUTO_BUF struct buf escaped = { 0 };

	if (json)
		return json;
	buf_init(&escaped, 4 * strlen(text) + 1);
	ctl_escape(&escaped, text);
	return json_string(buf_text(&escaped));
}

static json_t *
json_cell(const struct ctl_cell *cell)
{
	char when[CTL_TIME_BYTES];

	switch (cell->kind) {
	case CELL_NONE:
		return json_null();
	case CELL_TEXT:
		return json_text(cell->text ? cell->text : "");
	case CELL_NUMBER:
		return json_integer(cell->number);
	case CELL_TIME:
		ctl_time_text(cell->number, when);
		return json_string(when);
	case CELL_BOOL:
		return json_boolean(cell->number);
	}
	return json_null();
}

static json_t *
json_row(const struct ctl_table *table, size_t row)
{
	json_t *object = json_object();

	for (size_t i = 0; i < table->n_columns; i++)
		json_object_set_new(object, table->columns[i], json_cell(&table->cells[row * table->n_columns + i]));
	return object;
}

static void
print_json(FILE *out, json_t *json)
{
	json_dumpf(json, out, JSON_INDENT(2) | JSON_ENSURE_ASCII);
	fputc('\n', out);
	json_decref(json);
}

void
ctl_table_print(struct ctl *ctl, struct ctl_table *table)
{
	json_t *rows;

	if (!ctl->json) {
		print_columns(ctl->out, table);
		return;
	}
	rows = json_array();
	for (size_t i = 0; i < table->n_rows; i++)
		json_array_append_new(rows, json_row(table, i));
	print_json(ctl->out, rows);
}

void
ctl_table_print_one(struct ctl *ctl, struct ctl_table *table)
{
	size_t width = 0;

	if (ctl->json) {
		print_json(ctl->out, json_row(table, 0));
		return;
	}
	for (size_t i = 0; i < table->n_columns; i++)
		width = strlen(table->columns[i]) > width ? strlen(table->columns[i]) : width;
	for (size_t i = 0; i < table->n_columns; i++) {
		AUTO(xfree) char *text = shown(&table->cells[i], false);

		pad(ctl->out, table->columns[i], width, false);
		fprintf(ctl->out, "%s\n", text);
	}
}
