/* segelctl tls report: how much mail went and came through TLS, from the mail server's log. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "milter/ctl/op.h"
#include "milter/ctl/tally.h"
#include "milter/ctl/tls.h"

/* --- reading --- */

struct reader {
	struct tally *tally;
	unsigned char *line; /* TALLY_LINE_BYTES; the beginning of a line whose end was not read yet */
	size_t len;
	bool skipping;       /* in a line that is too long */
	bool begun;          /* past the first bytes of the file */
};

/* What a log is not, by its first bytes. */
static const struct {
	const char *magic;
	size_t len;
	const char *program;
} packed[] = {
	{ "\x1f\x8b", 2, "zcat" }, { "\xfd" "7zXZ", 5, "xzcat" }, { "\x28\xb5\x2f\xfd", 4, "zstdcat" }, { "BZh", 3, "bzcat" },
};

static const char *
unpacker(const unsigned char *bytes, size_t len)
{
	for (size_t i = 0; i < N_ELEMENTS(packed); i++) {
		if (len >= packed[i].len && memcmp(bytes, packed[i].magic, packed[i].len) == 0)
			return packed[i].program;
	}
	return NULL;
}

static void
keep_beginning(struct reader *reader, const unsigned char *bytes, size_t len)
{
	if (reader->skipping)
		return;
	if (reader->len + len > TALLY_LINE_BYTES) {
		reader->skipping = true;
		tally_too_long(reader->tally);
		return;
	}
	memcpy(reader->line + reader->len, bytes, len);
	reader->len += len;
}

/* `len` bytes that end a line. */
static void
end_line(struct reader *reader, const unsigned char *bytes, size_t len)
{
	if (!reader->skipping && reader->len == 0 && len <= TALLY_LINE_BYTES) {
		tally_line(reader->tally, (struct slice){ bytes, len });
		return;
	}
	keep_beginning(reader, bytes, len);
	if (!reader->skipping)
		tally_line(reader->tally, (struct slice){ reader->line, reader->len });
	reader->len = 0;
	reader->skipping = false;
}

static void
read_block(struct reader *reader, const unsigned char *bytes, size_t len)
{
	while (len) {
		const unsigned char *end = memchr(bytes, '\n', len);
		const size_t n = end ? (size_t)(end - bytes) : len;

		if (!end) {
			keep_beginning(reader, bytes, n);
			return;
		}
		end_line(reader, bytes, n);
		bytes += n + 1;
		len -= n + 1;
	}
}

static int
read_log(struct reader *reader, int fd, const char *name, struct err *err)
{
	enum { BLOCK_BYTES = 256 * 1024 };
	AUTO(xfree) unsigned char *block = xcalloc(1, BLOCK_BYTES);
	const char *program;
	ssize_t n;

	while ((n = read(fd, block, BLOCK_BYTES)) != 0) {
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return err_set(err, ERR_CONFIG, "log '%s' cannot be read: %s", name, strerror(errno));
		program = reader->begun ? NULL : unpacker(block, (size_t)n);
		if (program)
			return err_set(err, ERR_CONFIG, "log '%s' is packed; unpack it on the way: %s FILE | segelctl tls report -",
			    name, program);
		reader->begun = true;
		read_block(reader, block, (size_t)n);
	}
	if (reader->len || reader->skipping)
		end_line(reader, block, 0);
	reader->begun = false;
	return 0;
}

static int
read_file(struct reader *reader, const char *file, struct err *err)
{
	AUTO_FD int fd = -1;

	if (strcmp(file, "-") == 0)
		return read_log(reader, STDIN_FILENO, "standard input", err);
	fd = open(file, O_RDONLY | O_CLOEXEC);
	if (fd == -1)
		return err_set(err, ERR_CONFIG, "log '%s' cannot be opened: %s", file, strerror(errno));
	return read_log(reader, fd, file, err);
}

static enum ctl_exit
read_files(struct ctl *ctl, struct tally *tally)
{
	AUTO(xfree) unsigned char *line = xcalloc(1, TALLY_LINE_BYTES);
	struct reader reader = { .tally = tally, .line = line };
	struct err err = { 0 };

	for (size_t i = 0; ctl_arg(ctl, i); i++) {
		if (read_file(&reader, ctl_arg(ctl, i), &err) == -1)
			return ctl_fail_err(ctl, CTL_UNAVAILABLE, &err);
	}
	return CTL_OK;
}

/* --- what both forms print --- */

struct report {
	struct ctl *ctl;
	const struct tally *tally;
	const char *domain; /* the only one wanted; NULL = all */
	size_t n;           /* domains shown */
	size_t n_reasons;
	struct ctl_table *table;
	json_t *array;
};

static bool
is_wanted(const struct report *report, const struct tally_row *row)
{
	return !report->domain || strcasecmp(report->domain, row->name) == 0;
}

/* In tenths of a percent, never rounded up: 100.0 means all. */
static uint64_t
share(const struct figures *figures)
{
	return figures->tls * 1000 / figures->all;
}

/* --- for people --- */

static struct ctl_cell
number(uint64_t n)
{
	return (struct ctl_cell){ .kind = CELL_NUMBER, .number = (int64_t)n };
}

static void
share_text(const struct figures *figures, char ret[16])
{
	if (figures->all)
		snprintf(ret, 16, "%u.%u%%", (unsigned)(share(figures) / 10), (unsigned)(share(figures) % 10));
	else
		memcpy(ret, "-", 2);
}

/* "TLSv1.3 12, TLSv1.2 1" */
static void
versions_text(const struct figures *figures, struct buf *ret)
{
	for (size_t i = N_LOGGED_VERSIONS; i-- > 0;) {
		if (figures->versions[i])
			buf_printf(ret, "%s%s %llu", ret->len ? ", " : "", logged_version_name((enum logged_version)i),
			    (unsigned long long)figures->versions[i]);
	}
}

enum { VERSIONS_BYTES = 400 };

static const char *const domain_columns[] = {
	"domain", "delivered", "tls", "share", "verified", "trusted", "untrusted", "anonymous", "clear", "unknown",
	"tls-deferred", "tls-refused", "deferred", "refused", "versions",
};

static void
add_domain(struct report *report, const char *name, const struct figures *figures)
{
	AUTO_BUF struct buf versions = { 0 };
	char percent[16];

	buf_init(&versions, VERSIONS_BYTES);
	share_text(figures, percent);
	versions_text(figures, &versions);
	const struct ctl_cell cells[N_ELEMENTS(domain_columns)] = {
		{ .kind = CELL_TEXT, .text = name },
		number(figures->all),
		number(figures->tls),
		{ .kind = CELL_TEXT, .text = percent },
		number(figures->levels[TLS_VERIFIED]),
		number(figures->levels[TLS_TRUSTED]),
		number(figures->levels[TLS_UNTRUSTED]),
		number(figures->levels[TLS_ANONYMOUS]),
		number(figures->clear),
		number(figures->unknown),
		number(figures->deferred_tls),
		number(figures->refused_tls),
		number(figures->deferred),
		number(figures->refused),
		{ .kind = CELL_TEXT, .text = buf_text(&versions) },
	};
	ctl_table_row(report->table, cells);
}

static void
each_domain(void *ctx, const struct tally_row *row)
{
	struct report *report = ctx;

	if (!is_wanted(report, row))
		return;
	add_domain(report, row->name, &row->figures);
	report->n++;
}

static void
each_reason(void *ctx, const struct tally_row *row)
{
	struct report *report = ctx;

	if (!is_wanted(report, row) || !*row->figures.reason)
		return;
	if (report->n_reasons++ == 0)
		fputs("\nLast reason for which TLS was not as demanded:\n", report->ctl->out);
	fputs("  ", report->ctl->out);
	ctl_print(report->ctl, row->name);
	fputs(": ", report->ctl->out);
	ctl_print(report->ctl, row->figures.reason);
	fputc('\n', report->ctl->out);
}

static void
print_outgoing(struct report *report)
{
	AUTO(ctl_table_free) struct ctl_table *table = ctl_table_new(domain_columns, N_ELEMENTS(domain_columns));

	fputs("Mail sent: deliveries, one for each recipient (deferred: attempts)\n\n", report->ctl->out);
	report->table = table;
	tally_each_domain(report->tally, each_domain, report);
	if (!report->domain)
		add_domain(report, "(all)", tally_total(report->tally));
	ctl_table_print(report->ctl, table);
	tally_each_domain(report->tally, each_reason, report);
}

static void
print_ciphers(struct report *report)
{
	static const char *const columns[] = { "cipher", "delivered" };
	AUTO(ctl_table_free) struct ctl_table *table = ctl_table_new(columns, N_ELEMENTS(columns));
	const struct figures *total = tally_total(report->tally);

	if (report->domain || !total->tls)
		return;
	for (size_t i = 0; tally_cipher(report->tally, i); i++) {
		if (total->ciphers[i])
			ctl_table_row(table, (const struct ctl_cell[]){
			    { .kind = CELL_TEXT, .text = tally_cipher(report->tally, i) }, number(total->ciphers[i]) });
	}
	fputc('\n', report->ctl->out);
	ctl_table_print(report->ctl, table);
}

static void
add_service(struct report *report, const struct tally_row *row)
{
	AUTO_BUF struct buf versions = { 0 };
	char percent[16];

	buf_init(&versions, VERSIONS_BYTES);
	share_text(&row->figures, percent);
	versions_text(&row->figures, &versions);
	ctl_table_row(report->table, (const struct ctl_cell[]){
		{ .kind = CELL_TEXT, .text = row->name },
		{ .kind = CELL_TEXT, .text = row->host },
		number(row->figures.all),
		number(row->figures.tls),
		{ .kind = CELL_TEXT, .text = percent },
		number(row->figures.clear),
		number(row->figures.unknown),
		{ .kind = CELL_TEXT, .text = buf_text(&versions) },
	});
}

static void
print_incoming(struct report *report)
{
	static const char *const columns[] = { "service", "host", "messages", "tls", "share", "clear", "unknown", "versions" };
	AUTO(ctl_table_free) struct ctl_table *table = ctl_table_new(columns, N_ELEMENTS(columns));
	const struct tally_row *row;
	size_t n = 0;

	report->table = table;
	for (size_t i = 0; (row = tally_service(report->tally, i)); i++) {
		if (row->server && row->figures.all) {
			add_service(report, row);
			n++;
		}
	}
	if (report->domain || n == 0)
		return;
	fputs("\nMail taken in, by message, also those that were refused after their recipients\n\n", report->ctl->out);
	ctl_table_print(report->ctl, table);
}

static void
note(struct ctl *ctl, uint64_t n, const char *text)
{
	if (n)
		fprintf(ctl->out, "  %llu %s\n", (unsigned long long)n, text);
}

static void
print_silent(struct report *report)
{
	const struct tally_row *row;

	for (size_t i = 0; (row = tally_service(report->tally, i)); i++) {
		if (row->sessions || !row->figures.unknown)
			continue;
		fputs("  ", report->ctl->out);
		ctl_print(report->ctl, row->name);
		fputs(" on ", report->ctl->out);
		ctl_print(report->ctl, row->host);
		fprintf(report->ctl->out, " logs no TLS session: nothing is known of its mail; set %s = 1\n",
		    row->server ? "smtpd_tls_loglevel" : "smtp_tls_loglevel");
	}
}

static void
print_notes(struct report *report)
{
	const struct tally_lines *lines = tally_lines(report->tally);
	struct ctl *ctl = report->ctl;

	fputs("\nLines:\n", ctl->out);
	fprintf(ctl->out, "  %llu read, %llu counted\n", (unsigned long long)lines->all, (unsigned long long)lines->counted);
	note(ctl, lines->unreadable, "could not be read: no log lines, or in a form that is not known; what they say is not in the figures");
	note(ctl, lines->too_long, "too long to be read; what they say is not in the figures");
	note(ctl, lines->losses, "by which the logging itself says that it dropped others: the figures are too small");
	note(ctl, lines->outside, "outside the time asked for");
	note(ctl, lines->loopback, "about mail within this machine (loopback), not counted; --loopback counts it");
	print_silent(report);
}

static void
print_period(struct ctl *ctl, const struct tally *tally)
{
	time_t times[2];
	char text[2][32] = { "?", "?" };
	struct tm tm;

	tally_period(tally, &times[0], &times[1]);
	for (size_t i = 0; i < 2; i++) {
		if (times[i] && gmtime_r(&times[i], &tm))
			(void)strftime(text[i], sizeof(text[i]), "%Y-%m-%dT%H:%M:%SZ", &tm);
	}
	if (times[1])
		fprintf(ctl->out, "First line counted %s, last %s\n\n", text[0], text[1]);
}

static void
print_text(struct report *report)
{
	print_period(report->ctl, report->tally);
	print_outgoing(report);
	print_ciphers(report);
	print_incoming(report);
	print_notes(report);
}

/* --- as JSON --- */

static json_t *
time_json(time_t when)
{
	char text[32];
	struct tm tm;

	if (!when || !gmtime_r(&when, &tm) || strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		return json_null();
	return json_string(text);
}

/* Bytes that JSON cannot hold are shown as for a terminal. */
static json_t *
text_json(const char *text)
{
	AUTO_BUF struct buf escaped = { 0 };
	json_t *json = json_string(text);

	if (json)
		return json;
	buf_init(&escaped, 4 * strlen(text) + 1);
	ctl_escape(&escaped, text);
	return json_string(buf_text(&escaped));
}

static json_t *
count_json(uint64_t n)
{
	return json_integer((json_int_t)n);
}

static json_t *
levels_json(const struct figures *figures)
{
	return json_pack("{s:o, s:o, s:o, s:o}", "verified", count_json(figures->levels[TLS_VERIFIED]), "trusted",
	    count_json(figures->levels[TLS_TRUSTED]), "untrusted", count_json(figures->levels[TLS_UNTRUSTED]), "anonymous",
	    count_json(figures->levels[TLS_ANONYMOUS]));
}

static json_t *
versions_json(const struct figures *figures)
{
	json_t *object = json_object();

	for (size_t i = 0; i < N_LOGGED_VERSIONS; i++) {
		if (figures->versions[i])
			json_object_set_new(object, logged_version_name((enum logged_version)i), count_json(figures->versions[i]));
	}
	return object;
}

static json_t *
ciphers_json(const struct tally *tally, const struct figures *figures)
{
	json_t *object = json_object();

	for (size_t i = 0; tally_cipher(tally, i); i++) {
		if (figures->ciphers[i])
			json_object_set_new(object, tally_cipher(tally, i), count_json(figures->ciphers[i]));
	}
	return object;
}

/* What mail that was sent and mail that came in have alike. */
static void
set_channel(json_t *object, const struct tally *tally, const struct figures *figures)
{
	json_object_set_new(object, "tls", count_json(figures->tls));
	json_object_set_new(object, "tls_percent", figures->all ? json_real((double)share(figures) / 10) : json_null());
	json_object_set_new(object, "clear", count_json(figures->clear));
	json_object_set_new(object, "unknown", count_json(figures->unknown));
	json_object_set_new(object, "levels", levels_json(figures));
	json_object_set_new(object, "versions", versions_json(figures));
	json_object_set_new(object, "ciphers", ciphers_json(tally, figures));
}

static json_t *
sent_json(const struct tally *tally, const char *domain, const struct figures *figures)
{
	json_t *object = json_object();

	if (domain)
		json_object_set_new(object, "domain", text_json(domain));
	json_object_set_new(object, "delivered", count_json(figures->all));
	set_channel(object, tally, figures);
	json_object_set_new(object, "deferred_tls", count_json(figures->deferred_tls));
	json_object_set_new(object, "refused_tls", count_json(figures->refused_tls));
	json_object_set_new(object, "deferred", count_json(figures->deferred));
	json_object_set_new(object, "refused", count_json(figures->refused));
	json_object_set_new(object, "last_tls_reason", *figures->reason ? text_json(figures->reason) : json_null());
	json_object_set_new(object, "last_tls_reason_at", time_json(figures->reason_at));
	return object;
}

static void
each_sent(void *ctx, const struct tally_row *row)
{
	struct report *report = ctx;

	if (!is_wanted(report, row))
		return;
	json_array_append_new(report->array, sent_json(report->tally, row->name, &row->figures));
	report->n++;
}

static json_t *
services_json(const struct tally *tally)
{
	json_t *array = json_array();
	const struct tally_row *row;

	for (size_t i = 0; (row = tally_service(tally, i)); i++) {
		json_t *object = json_object();

		json_object_set_new(object, "service", text_json(row->name));
		json_object_set_new(object, "host", text_json(row->host));
		json_object_set_new(object, "direction", json_string(row->server ? "in" : "out"));
		json_object_set_new(object, "sessions", count_json(row->sessions));
		json_object_set_new(object, row->server ? "messages" : "delivered", count_json(row->figures.all));
		set_channel(object, tally, &row->figures);
		json_array_append_new(array, object);
	}
	return array;
}

static json_t *
lines_json(const struct tally_lines *lines)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "read", count_json(lines->all), "counted", count_json(lines->counted),
	    "unreadable", count_json(lines->unreadable), "too_long", count_json(lines->too_long), "outside", count_json(lines->outside),
	    "loopback", count_json(lines->loopback), "losses", count_json(lines->losses));
}

static void
print_json(struct report *report)
{
	json_t *object = json_object();
	time_t first, last;

	tally_period(report->tally, &first, &last);
	report->array = json_array();
	tally_each_domain(report->tally, each_sent, report);
	json_object_set_new(object, "first", time_json(first));
	json_object_set_new(object, "last", time_json(last));
	json_object_set_new(object, "sent", report->array);
	if (!report->domain)
		json_object_set_new(object, "total", sent_json(report->tally, NULL, tally_total(report->tally)));
	json_object_set_new(object, "services", services_json(report->tally));
	json_object_set_new(object, "lines", lines_json(tally_lines(report->tally)));
	json_dumpf(object, report->ctl->out, JSON_INDENT(2) | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(4));
	fputc('\n', report->ctl->out);
	json_decref(object);
}

/* --- the verb --- */

enum ctl_exit
tls_report(struct ctl *ctl)
{
	struct tally_options options = {
		.now = ctl->now,
		.loopback = ctl_flag(ctl, "loopback"),
		.logged = ctl_flag(ctl, "logged"),
	};
	AUTO(tally_free) struct tally *tally = NULL;
	struct report report = { .ctl = ctl, .domain = ctl_option(ctl, "domain") };
	enum ctl_exit code;

	if (op_time(ctl, "from", &options.from) != CTL_OK || op_time(ctl, "to", &options.to) != CTL_OK)
		return CTL_USAGE;
	tally = tally_new(&options);
	report.tally = tally;
	code = read_files(ctl, tally);
	if (code != CTL_OK)
		return code;
	if (tally_lines(tally)->all && tally_lines(tally)->all == tally_lines(tally)->unreadable + tally_lines(tally)->too_long)
		return ctl_fail(ctl, CTL_UNAVAILABLE, "none of %llu lines could be read; wanted a mail log as syslog, postlogd or "
		    "journalctl write it", (unsigned long long)tally_lines(tally)->all);
	if (ctl->json)
		print_json(&report);
	else
		print_text(&report);
	return report.domain && report.n == 0 ? CTL_FALSE : CTL_OK;
}

const struct ctl_option tls_report_options[] = {
	{ "from", "TIME", "only what was logged from then on", false, false },
	{ "to", "TIME", "only what was logged before then", false, false },
	{ "domain", "NAME", "only mail to this domain", false, false },
	{ "loopback", NULL, "also what passes over this machine's loopback, such as content filters", false, false },
	{ "logged", NULL, "TLS sessions were logged throughout (loglevel 1): mail without one went in clear", false, false },
	{ 0 },
};
