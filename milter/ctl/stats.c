/* segelctl stats: the counters of a running filter, asked of it where Prometheus would ask. */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "milter/ctl/ctl.h"
#include "milter/ctl/nouns.h"
#include "milter/filter/role.h"
#include "policy/config.h"
#include "policy/endpoint.h"

enum { ANSWER_BYTES = 1024 * 1024, ANSWER_SECONDS = 5 };

/* --- asking --- */

static int
connect_to(const char *text, int *ret, struct err *err)
{
	const struct timeval limit = { .tv_sec = ANSWER_SECONDS };
	struct endpoint endpoint;
	AUTO_FD int fd = -1;

	if (endpoint_from(text, &endpoint, err) == -1)
		return -1;
	fd = socket(endpoint.address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd == -1 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) == -1
	    || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) == -1)
		return err_set(err, ERR_TEMP, "socket: %s", strerror(errno));
	if (connect(fd, (const struct sockaddr *)&endpoint.address, endpoint.len) == -1)
		return err_set(err, ERR_TEMP, "nobody answers on '%s': %s; is segel-milter running with this setting of metrics?",
		    text, strerror(errno));
	*ret = TAKE_FD(fd);
	return 0;
}

static int
ask(const char *text, struct buf *ret, struct err *err)
{
	static const char request[] = "GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n";
	char block[4096];
	AUTO_FD int fd = -1;
	ssize_t n;

	if (connect_to(text, &fd, err) == -1)
		return -1;
	if (send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL) != (ssize_t)sizeof(request) - 1)
		return err_set(err, ERR_TEMP, "'%s' takes no question: %s", text, strerror(errno));
	while ((n = recv(fd, block, sizeof(block), 0)) > 0 && !buf_full(ret))
		buf_add(ret, block, (size_t)n);
	if (n != 0)
		return err_set(err, ERR_TEMP, "'%s' does not answer in full within %d s: %s", text, (int)ANSWER_SECONDS,
		    strerror(errno));
	return 0;
}

/* Past the head of a good answer; NULL where it is none. */
static char *
body_of(const struct buf *answer)
{
	char *text = (char *)(uintptr_t)buf_text(answer);
	char *body = strstr(text, "\r\n\r\n");

	if (!body || (strncmp(text, "HTTP/1.0 200 ", 13) != 0 && strncmp(text, "HTTP/1.1 200 ", 13) != 0))
		return NULL;
	return body + 4;
}

/* --- reading --- */

enum { MAX_LABELS = 4 };

/* name{key="value",...} number; all of it within the line that was cut up. */
struct sample {
	const char *name, *number;
	struct {
		const char *key, *value;
	} labels[MAX_LABELS];
	size_t n_labels;
};

/* Cuts at the next `mark` and returns what follows; NULL where there is none. */
static char *
cut_at(char *text, const char *mark)
{
	char *at = strstr(text, mark);

	if (!at)
		return NULL;
	*at = '\0';
	return at + strlen(mark);
}

/* Our own label values hold neither quotes nor backslashes. */
static char *
cut_labels(char *rest, struct sample *ret)
{
	while (rest && *rest != '}') {
		if (ret->n_labels == MAX_LABELS)
			return NULL;
		ret->labels[ret->n_labels].key = rest;
		ret->labels[ret->n_labels].value = rest = cut_at(rest, "=\"");
		rest = rest ? cut_at(rest, "\"") : NULL;
		ret->n_labels++;
		if (rest && *rest == ',')
			rest++;
	}
	return rest && rest[1] == ' ' ? rest + 2 : NULL;
}

static bool
read_sample(char *line, struct sample *ret)
{
	char *end;

	*ret = (struct sample){ .name = line };
	ret->number = line[strcspn(line, " {")] == '{' ? cut_labels(cut_at(line, "{"), ret) : cut_at(line, " ");
	if (!ret->number)
		return false;
	errno = 0;
	(void)strtod(ret->number, &end);
	return errno == 0 && end != ret->number && *end == '\0';
}

/* --- printing --- */

static void
add_row(struct ctl_table *table, const struct sample *sample)
{
	AUTO_BUF struct buf labels = { 0 };

	buf_init(&labels, 1024);
	for (size_t i = 0; i < sample->n_labels; i++)
		buf_printf(&labels, "%s%s=%s", i ? " " : "", sample->labels[i].key, sample->labels[i].value);
	ctl_table_row(table, (const struct ctl_cell[]){
		{ .kind = CELL_TEXT, .text = sample->name },
		{ .kind = CELL_TEXT, .text = buf_text(&labels) },
		{ .kind = CELL_TEXT, .text = sample->number },
	});
}

static json_t *
sample_json(const struct sample *sample)
{
	json_t *labels = json_object();

	for (size_t i = 0; i < sample->n_labels; i++)
		json_object_set_new(labels, sample->labels[i].key, json_string(sample->labels[i].value));
	return json_pack("{s:s, s:o, s:o}", "name", sample->name, "labels", labels, "value",
	    strchr(sample->number, '.') ? json_real(strtod(sample->number, NULL))
					: json_integer((json_int_t)strtoll(sample->number, NULL, 10)));
}

static void
print_json(struct ctl *ctl, json_t *array)
{
	json_dumpf(array, ctl->out, JSON_INDENT(2) | JSON_REAL_PRECISION(12));
	fputc('\n', ctl->out);
}

/* People see what is not zero; programs, and people with --all, see everything. */
static enum ctl_exit
print_samples(struct ctl *ctl, char *text)
{
	static const char *const columns[] = { "name", "labels", "value" };
	AUTO(ctl_table_free) struct ctl_table *table = ctl_table_new(columns, N_ELEMENTS(columns));
	json_t *array = json_array();
	bool good = true;

	for (char *line = text, *next; line && *line && good; line = next) {
		struct sample sample;

		next = cut_at(line, "\n");
		if (*line == '#')
			continue;
		good = read_sample(line, &sample);
		if (!good)
			break;
		json_array_append_new(array, sample_json(&sample));
		if (ctl_flag(ctl, "all") || strcmp(sample.number, "0") != 0)
			add_row(table, &sample);
	}
	if (good && ctl->json)
		print_json(ctl, array);
	else if (good)
		ctl_table_print(ctl, table);
	json_decref(array);
	return good ? CTL_OK : ctl_fail(ctl, CTL_UNAVAILABLE, "the answer holds a line that is no counter");
}

static enum ctl_exit
stats(struct ctl *ctl)
{
	AUTO(config_free) struct config *config = NULL;
	AUTO_BUF struct buf problems = { 0 }, answer = { 0 };
	const struct role_traits *role = role_find(ctl_arg(ctl, 0) ? ctl_arg(ctl, 0) : "submission");
	const char *from;
	char *body;
	struct err err;

	if (!role)
		return ctl_fail(ctl, CTL_USAGE, "no role '%s'; wanted submission, inbound, local or egress", ctl_arg(ctl, 0));
	buf_init(&problems, 64 * 1024);
	if (config_load(ctl->config_file ? ctl->config_file : CONFIG_FILE, &config, &problems) == -1) {
		fputs(buf_text(&problems), ctl->err);
		return ctl_fail(ctl, CTL_UNAVAILABLE, "the settings cannot be read");
	}
	from = role_settings(role, config)->metrics;
	if (!*from)
		return ctl_fail(ctl, CTL_UNAVAILABLE, "%s.metrics is empty: the filter counts, but serves it nowhere; set it to a "
		    "socket such as \"/run/segel/%s/metrics.sock\" and restart segel-milter", role->name, role->name);
	buf_init(&answer, ANSWER_BYTES);
	if (ask(from, &answer, &err) == -1)
		return ctl_fail_err(ctl, CTL_UNAVAILABLE, &err);
	body = body_of(&answer);
	if (!body)
		return ctl_fail(ctl, CTL_UNAVAILABLE, "'%s' answers something else than metrics; does another program use it?", from);
	return print_samples(ctl, body);
}

static const struct ctl_option options[] = {
	{ .name = "all", .help = "also what is zero" },
	{ .name = NULL },
};

const struct ctl_command ctl_stats_commands[] = {
	{ "", CTL_READS, { "[ROLE]" }, options, "what the running filter of that role (submission) has counted since its start", stats },
	{ .run = NULL },
};
