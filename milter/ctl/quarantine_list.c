/* segelctl quarantine list, stats: tables. */
#include <stdlib.h>
#include <string.h>

#include "milter/ctl/quarantine.h"
#include "policy/permit.h"
#include "policy/setting.h"

AUTO_DEFINE(json_t, json_decref);

/* --- which --- */

const struct ctl_option ctl_quarantine_list_options[] = {
	{ .name = "all", .help = "also what is released, deleted or over; without it, and without --state, what waits" },
	{ .name = "state", .meta = "WORD", .help = "baru, ditinjau, \"menunggu persetujuan\", dilepas-sedang, dilepas, dihapus or kedaluwarsa" },
	{ .name = "finding", .meta = "FINDING", .help = "with this finding (segelctl policy show)" },
	{ .name = "class", .meta = "CLASS", .help = "submission, inbound-official, inbound-other or local" },
	{ .name = "action", .meta = "ACTION", .help = "hold, or reject+hold: copies of what was refused" },
	{ .name = "from", .meta = "TEXT", .help = "in the address of From" },
	{ .name = "sender", .meta = "TEXT", .help = "in the envelope sender" },
	{ .name = "recipient", .meta = "TEXT", .help = "in the address of a recipient" },
	{ .name = "subject", .meta = "TEXT", .help = "in the Subject, where the role may read it" },
	{ .name = "signer", .meta = "TEXT", .help = "in the signer's name, serial number or SHA-256" },
	{ .name = "queue-id", .meta = "ID", .help = "of the mail server" },
	{ .name = "client", .meta = "TEXT", .help = "in the address of the client" },
	{ .name = "role", .meta = "ROLE", .help = "of the filter: inbound, submission or local" },
	{ .name = "id", .meta = "TEXT", .help = "the beginning of the item's id" },
	{ .name = "tls", .meta = "VERSION", .help = "TLSv1.3 and so on, or none" },
	{ .name = "by", .meta = "LOGIN", .help = "with an act of this login" },
	{ .name = "since", .meta = "TIME", .help = "arrived at or after: 2026-11-21, 2026-11-21T08:00:00Z, or how long ago: 12h, 7d" },
	{ .name = "until", .meta = "TIME", .help = "arrived before; likewise" },
	{ .name = "expires-before", .meta = "TIME", .help = "whose body goes before: a time, or from now: 3d" },
	{ .name = "min-size", .meta = "SIZE", .help = "at least: 100000, 10KiB, 2MiB" },
	{ .name = "max-size", .meta = "SIZE", .help = "at most" },
	{ .name = "legal-hold", .help = "under legal hold" },
	{ .name = "asked-for", .help = "whose owner asked for its release" },
	{ .name = "unparsed", .help = "that nobody has read: POISON, or beyond a limit" },
	{ .name = "limit", .meta = "N", .help = "this many at most, 1 to 1000 (100)" },
	{ .name = "offset", .meta = "N", .help = "after this many" },
	{ .name = NULL },
};

enum filter_kind { FILTER_TEXT, FILTER_FLAG, FILTER_AGO, FILTER_AHEAD, FILTER_SIZE, FILTER_NUMBER };

static const struct filter {
	const char *option, *field; /* of ask.h */
	enum filter_kind kind;
} filters[] = {
	{ "state", "state", FILTER_TEXT },
	{ "finding", "reason", FILTER_TEXT },
	{ "class", "class", FILTER_TEXT },
	{ "action", "action", FILTER_TEXT },
	{ "from", "from", FILTER_TEXT },
	{ "sender", "sender", FILTER_TEXT },
	{ "recipient", "recipient", FILTER_TEXT },
	{ "subject", "subject", FILTER_TEXT },
	{ "signer", "signer", FILTER_TEXT },
	{ "queue-id", "queue_id", FILTER_TEXT },
	{ "client", "client", FILTER_TEXT },
	{ "role", "role", FILTER_TEXT },
	{ "id", "id", FILTER_TEXT },
	{ "tls", "tls", FILTER_TEXT },
	{ "by", "by", FILTER_TEXT },
	{ "since", "since", FILTER_AGO },
	{ "until", "until", FILTER_AGO },
	{ "expires-before", "expires_before", FILTER_AHEAD },
	{ "min-size", "min_size", FILTER_SIZE },
	{ "max-size", "max_size", FILTER_SIZE },
	{ "legal-hold", "legal_hold", FILTER_FLAG },
	{ "asked-for", "asked_for", FILTER_FLAG },
	{ "unparsed", "unparsed", FILTER_FLAG },
	{ "limit", "limit", FILTER_NUMBER },
	{ "offset", "offset", FILTER_NUMBER },
};

static bool
number_from(const char *text, long *ret)
{
	char *end;

	if (strlen(text) > 12 || text[strspn(text, "0123456789")] || !*text)
		return false;
	*ret = strtol(text, &end, 10);
	return true;
}

/* A time of the calendar, or so long from now. */
static bool
time_from(const char *text, time_t now, int direction, time_t *ret)
{
	long ms;

	if (ctl_time_from(text, ret))
		return true;
	if (setting_duration(text, &ms) == -1)
		return false;
	*ret = now + direction * (ms / 1000);
	return true;
}

/* NULL: not a value it can have. */
static json_t *
value_of(const struct filter *filter, const char *text, time_t now)
{
	long number;
	time_t when;

	switch (filter->kind) {
	case FILTER_TEXT:
		return json_string(text);
	case FILTER_FLAG:
		return json_true();
	case FILTER_AGO:
	case FILTER_AHEAD:
		return time_from(text, now, filter->kind == FILTER_AGO ? -1 : 1, &when) && when > 0 ? json_integer(when) : NULL;
	case FILTER_SIZE:
		return number_from(text, &number) || setting_size(text, &number) == 0 ? json_integer(number) : NULL;
	case FILTER_NUMBER:
		return number_from(text, &number) ? json_integer(number) : NULL;
	}
	return NULL;
}

/* NULL: ctl_fail has said why. */
static json_t *
request_of(struct ctl *ctl)
{
	AUTO(json_decref) json_t *request = json_pack("{s:s}", "op", "list");

	if (!ctl_flag(ctl, "all") && !ctl_option(ctl, "state"))
		json_object_set_new(request, "open", json_true());
	for (size_t i = 0; i < N_ELEMENTS(filters); i++) {
		const char *text = ctl_option(ctl, filters[i].option);
		json_t *value = text ? value_of(&filters[i], text, ctl->now) : NULL;

		if (text && !value) {
			(void)ctl_fail(ctl, CTL_USAGE, "--%s '%s' is not a value it can have; see segelctl quarantine list --help", filters[i].option, text);
			return NULL;
		}
		if (value)
			json_object_set_new(request, filters[i].field, value);
	}
	return TAKE(request);
}

/* --- as a table --- */

static const struct column {
	const char *name; /* also in the row */
	enum ctl_cell_kind kind;
	size_t brief; /* for people; 0 = they do not see it in a list */
	bool release; /* in the row's "release"; people see it where there is one */
} columns[] = {
	{ "id", CELL_TEXT, 12, false },
	{ "version", CELL_NUMBER, 6, false },
	{ "arrived", CELL_TIME, 20, false },
	{ "state", CELL_TEXT, 20, false },
	{ "since", CELL_TIME, 20, true },
	{ "tries", CELL_NUMBER, 5, true },
	{ "answer", CELL_TEXT, 48, true },
	{ "reason", CELL_TEXT, 20, false },
	{ "action", CELL_TEXT, 12, false },
	{ "from", CELL_TEXT, 32, false },
	{ "recipient", CELL_TEXT, 32, false },
	{ "n_recipients", CELL_NUMBER, 4, false },
	{ "subject", CELL_TEXT, 32, false },
	{ "expires", CELL_TIME, 20, false },
	{ "class", CELL_TEXT, 0, false },
	{ "sender", CELL_TEXT, 0, false },
	{ "signer", CELL_TEXT, 0, false },
	{ "client", CELL_TEXT, 0, false },
	{ "tls", CELL_TEXT, 0, false },
	{ "queue_id", CELL_TEXT, 0, false },
	{ "by", CELL_TEXT, 0, false },
	{ "size", CELL_NUMBER, 0, false },
	{ "legal_hold", CELL_BOOL, 0, false },
	{ "asked_for", CELL_BOOL, 0, false },
	{ "has_body", CELL_BOOL, 0, false },
};

/* A time of 0 is none; what the row does not have the role may not see. */
static struct ctl_cell
cell_of(const struct column *column, const json_t *row)
{
	const json_t *value = json_object_get(column->release ? json_object_get(row, "release") : row, column->name);
	struct ctl_cell cell = { .kind = column->kind, .brief = column->brief };

	cell.text = json_string_value(value);
	cell.number = json_is_boolean(value) ? json_is_true(value) : json_integer_value(value);
	if (!value || (column->kind == CELL_TEXT && !cell.text) || (column->kind == CELL_TIME && cell.number == 0))
		cell.kind = CELL_NONE;
	return cell;
}

static bool
has_release(const json_t *rows)
{
	for (size_t i = 0; i < json_array_size(rows); i++)
		if (json_object_get(json_array_get(rows, i), "release"))
			return true;
	return false;
}

static bool
is_shown(const struct ctl *ctl, const struct column *column, bool release)
{
	return ctl->json || (column->brief && (release || !column->release));
}

static void
print_rows(struct ctl *ctl, const json_t *rows)
{
	const bool release = has_release(rows);
	const char *names[N_ELEMENTS(columns)];
	struct ctl_cell cells[N_ELEMENTS(columns)];
	AUTO(ctl_table_free) struct ctl_table *table = NULL;
	size_t n = 0;

	for (size_t i = 0; i < N_ELEMENTS(columns); i++)
		if (is_shown(ctl, &columns[i], release))
			names[n++] = columns[i].name;
	table = ctl_table_new(names, n);
	for (size_t row = 0; row < json_array_size(rows); row++) {
		n = 0;
		for (size_t i = 0; i < N_ELEMENTS(columns); i++)
			if (is_shown(ctl, &columns[i], release))
				cells[n++] = cell_of(&columns[i], json_array_get(rows, row));
		ctl_table_row(table, cells);
	}
	ctl_table_print(ctl, table);
}

/* What waits for the mail server waits for nobody's decision, and is easily forgotten. */
static enum ctl_exit
tell_on_way(struct ctl *ctl, struct review *review)
{
	AUTO(json_decref) json_t *request = json_pack("{s:s, s:s, s:i}", "op", "list", "state", item_state_name(ITEM_RELEASING), "limit", 1);
	AUTO_ANSWER struct review_answer answer = { 0 };
	enum ctl_exit code;

	if (ctl_flag(ctl, "all") || ctl_option(ctl, "state"))
		return CTL_OK;
	code = review_ask(review, request, NULL, &answer);
	if (code == CTL_OK && review_number(answer.last, "total") > 0)
		fprintf(ctl->err, "segelctl: on their way to the mail server, which does not have them yet: %lld; --state %s lists them\n",
		    (long long)review_number(answer.last, "total"), item_state_name(ITEM_RELEASING));
	return code;
}

enum ctl_exit
ctl_quarantine_list(struct ctl *ctl)
{
	AUTO(json_decref) json_t *request = request_of(ctl);
	AUTO_REVIEW struct review review = { .fd = -1 };
	AUTO_ANSWER struct review_answer answer = { 0 };
	enum ctl_exit code;
	long long total;
	size_t n;

	if (!request)
		return CTL_USAGE;
	code = review_open(ctl, &review);
	if (code == CTL_OK)
		code = review_ask(&review, request, NULL, &answer);
	if (code != CTL_OK)
		return code;
	print_rows(ctl, answer.rows);
	total = (long long)review_number(answer.last, "total");
	n = json_array_size(answer.rows);
	/* Where a script reads, too: what is missing must not look like all there is. */
	if ((long long)n < total)
		fprintf(ctl->err, "segelctl: %zu of %lld items shown; --limit and --offset show others\n", n, total);
	else if (n == 0 && !ctl->json)
		fputs("(none)\n", ctl->out);
	return tell_on_way(ctl, &review);
}

/* --- stats --- */

enum { N_COUNTS = 4 };

enum ctl_exit
ctl_quarantine_stats(struct ctl *ctl)
{
	static const struct column counts[N_COUNTS] = {
		{ "bodies", CELL_NUMBER, 0, false }, { "bytes", CELL_NUMBER, 0, false }, { "free", CELL_NUMBER, 0, false }, { "oldest_open", CELL_TIME, 0, false },
	};
	AUTO(json_decref) json_t *request = json_pack("{s:s}", "op", "stats");
	AUTO_REVIEW struct review review = { .fd = -1 };
	AUTO_ANSWER struct review_answer answer = { 0 };
	AUTO(ctl_table_free) struct ctl_table *table = NULL;
	const char *names[N_ITEM_STATES + N_COUNTS];
	struct ctl_cell cells[N_ITEM_STATES + N_COUNTS];
	enum ctl_exit code = review_open(ctl, &review);
	size_t n = 0;

	if (code == CTL_OK)
		code = review_ask(&review, request, NULL, &answer);
	if (code != CTL_OK)
		return code;
	for (int state = ITEM_UNKNOWN + 1; state < N_ITEM_STATES; state++) {
		names[n] = item_state_name((enum item_state)state);
		cells[n] = (struct ctl_cell){ .kind = CELL_NUMBER, .number = review_number(json_object_get(answer.last, "items"), names[n]) };
		n++;
	}
	for (size_t i = 0; i < N_COUNTS; i++) {
		names[n] = counts[i].name;
		cells[n++] = cell_of(&counts[i], answer.last);
	}
	table = ctl_table_new(names, n);
	ctl_table_row(table, cells);
	ctl_table_print_one(ctl, table);
	return CTL_OK;
}

/* --- roles --- */

enum ctl_exit
ctl_quarantine_roles(struct ctl *ctl)
{
	const char *names[N_ACTS];
	struct ctl_cell cells[N_ACTS];
	AUTO(ctl_table_free) struct ctl_table *table = NULL;

	names[ACT_UNKNOWN] = "role";
	for (int act = ACT_UNKNOWN + 1; act < N_ACTS; act++)
		names[act] = act_name((enum act)act);
	table = ctl_table_new(names, N_ACTS);
	for (int role = REVIEWER_NONE + 1; role < N_REVIEWER_ROLES; role++) {
		cells[ACT_UNKNOWN] = (struct ctl_cell){ .kind = CELL_TEXT, .text = reviewer_role_name((enum reviewer_role)role) };
		for (int act = ACT_UNKNOWN + 1; act < N_ACTS; act++)
			cells[act] = (struct ctl_cell){ .kind = CELL_TEXT, .text = permit_name(permit_of((enum reviewer_role)role, (enum act)act)) };
		ctl_table_row(table, cells);
	}
	ctl_table_print(ctl, table);
	return CTL_OK;
}
