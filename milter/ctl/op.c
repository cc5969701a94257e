#include "milter/ctl/op.h"

#include <string.h>

enum { READ_WAIT_MS = 2000, SAID_BYTES = 4096, BRIEF_HASH = 16 };

const struct ctl_option op_list_options[] = {
	{ "all", NULL, "what has ended, too", false, false },
	{ 0 },
};

const struct ctl_option op_end_options[] = {
	{ "reason", "TEXT", "why it ends; kept in the history", false, false },
	{ 0 },
};

enum ctl_exit
op_exit(enum write_outcome outcome)
{
	switch (outcome) {
	case WRITE_DONE:
		return CTL_OK;
	case WRITE_NOT_FOUND:
		return CTL_FALSE;
	case WRITE_REFUSED:
		return CTL_REFUSED;
	case WRITE_UNAVAILABLE:
		break;
	}
	return CTL_UNAVAILABLE;
}

static enum write_outcome
transact(struct op *op, enum write_outcome (*verb)(struct op *op, struct err *err), struct err *err)
{
	enum write_outcome outcome = write_begin(op->writer, err);

	if (outcome == WRITE_DONE)
		outcome = verb(op, err);
	if (outcome == WRITE_DONE && !op->ctl->dry_run)
		return write_commit(op->writer, err);
	write_rollback(op->writer);
	return outcome;
}

static enum write_outcome
open_and_transact(struct op *op, const char *file, const char *actor, enum write_outcome (*verb)(struct op *, struct err *),
    struct err *err)
{
	enum write_outcome outcome = registry_write_open(file, actor, op->ctl->now, &op->writer, err);

	if (outcome == WRITE_DONE)
		outcome = transact(op, verb, err);
	registry_write_close(op->writer);
	op->writer = NULL;
	return outcome;
}

enum ctl_exit
op_write(struct ctl *ctl, enum write_outcome (*verb)(struct op *op, struct err *err), void *more)
{
	AUTO(xfree) char *file = ctl_registry_file(ctl);
	AUTO(xfree) char *actor = NULL;
	struct op op = { .ctl = ctl, .more = more };
	struct err err = { 0 };
	enum write_outcome outcome;

	if (!file)
		return CTL_UNAVAILABLE;
	if (ctl_actor(&actor, &err) == -1)
		return ctl_fail_err(ctl, CTL_UNAVAILABLE, &err);
	buf_init(&op.said, SAID_BYTES);
	outcome = open_and_transact(&op, file, actor, verb, &err);
	if (outcome == WRITE_DONE) {
		fputs(ctl->dry_run ? "dry run, nothing was kept: " : "", ctl->out);
		ctl_print(ctl, buf_text(&op.said));
		fputc('\n', ctl->out);
	}
	buf_done(&op.said);
	return outcome == WRITE_DONE ? CTL_OK : ctl_fail_err(ctl, op_exit(outcome), &err);
}

struct registry *
op_registry(struct ctl *ctl)
{
	AUTO(xfree) char *file = ctl_registry_file(ctl);
	struct registry *registry = NULL;
	struct err err = { 0 };

	if (file && registry_open(file, READ_WAIT_MS, &registry, &err) == -1)
		(void)ctl_fail_err(ctl, CTL_UNAVAILABLE, &err);
	return registry;
}

static struct ctl_cell
cell_of(const struct list_cell *cell)
{
	switch (cell->kind) {
	case LIST_KIND_NONE:
		break;
	case LIST_KIND_TEXT:
		return (struct ctl_cell){ .kind = CELL_TEXT, .text = cell->text };
	case LIST_KIND_HASH:
		return (struct ctl_cell){ .kind = CELL_TEXT, .text = cell->text, .brief = BRIEF_HASH };
	case LIST_KIND_NUMBER:
		return (struct ctl_cell){ .kind = CELL_NUMBER, .number = cell->number };
	case LIST_KIND_TIME:
		return (struct ctl_cell){ .kind = CELL_TIME, .number = cell->number };
	case LIST_KIND_BOOL:
		return (struct ctl_cell){ .kind = CELL_BOOL, .number = cell->number };
	}
	return (struct ctl_cell){ .kind = CELL_NONE };
}

static void
add_row(void *ctx, const struct list_cell *from, size_t n)
{
	struct ctl_cell cells[LIST_MAX_COLUMNS];

	for (size_t i = 0; i < n; i++)
		cells[i] = cell_of(&from[i]);
	ctl_table_row(ctx, cells);
}

enum ctl_exit
op_list(struct ctl *ctl, enum list_what what, int64_t id)
{
	size_t n;
	const char *const *columns = list_columns(what, &n);
	struct list_filter filter = { .at = ctl->now, .all = ctl_flag(ctl, "all") || what == LIST_CERT_DETAIL, .id = id };
	AUTO(registry_close) struct registry *registry = op_registry(ctl);
	AUTO(ctl_table_free) struct ctl_table *table = ctl_table_new(columns, n);
	struct err err = { 0 };

	if (!registry)
		return CTL_UNAVAILABLE;
	if (registry_list(registry, what, &filter, add_row, table, &err) == -1)
		return ctl_fail_err(ctl, CTL_UNAVAILABLE, &err);
	if (what == LIST_CERT_DETAIL)
		ctl_table_print_one(ctl, table);
	else
		ctl_table_print(ctl, table);
	return CTL_OK;
}

enum ctl_exit
op_time(struct ctl *ctl, const char *option, time_t *ret)
{
	const char *text = ctl_option(ctl, option);

	*ret = 0;
	if (text && (!ctl_time_from(text, ret) || *ret <= 0))
		return ctl_fail(ctl, CTL_USAGE, "--%s '%s' is no time; wanted 2026-11-21 or 2026-11-21T08:00:00Z (UTC)", option, text);
	return CTL_OK;
}

const char *
op_word(struct ctl *ctl, const char *option, const char *const *words, const char *usual)
{
	const char *given = ctl_option(ctl, option);
	AUTO_BUF struct buf allowed = { 0 };

	if (!given)
		return usual;
	buf_init(&allowed, SAID_BYTES);
	for (size_t i = 0; words[i]; i++) {
		if (strcmp(words[i], given) == 0)
			return words[i];
		buf_printf(&allowed, "%s%s", i ? ", " : "", words[i]);
	}
	(void)ctl_fail(ctl, CTL_USAGE, "--%s '%s' is unknown; wanted one of %s", option, given, buf_text(&allowed));
	return NULL;
}

const char *
op_category(struct ctl *ctl)
{
	static const char *const categories[] = { "kepala", "wakil", "asn", "lain", NULL };

	return op_word(ctl, "category", categories, "asn");
}
