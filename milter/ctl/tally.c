#include "milter/ctl/tally.h"

#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum session {
	SESSION_NONE,   /* nothing is known of it */
	SESSION_FRESH,  /* TLS; no message yet */
	SESSION_USED,   /* TLS, by the message `queue_id` */
	SESSION_DOUBT,  /* it was TLS; what came after may not be */
	SESSION_OPEN,   /* smtpd: connected, no TLS so far */
	SESSION_SECURE, /* smtpd: TLS until the next connection */
};

enum {
	QUEUE_ID_BYTES = 33,
	CLOCK_SLACK = 2, /* stamps are whole seconds, and so are two of them apart */
};

struct process {
	const struct tally_row *service;
	uint32_t pid;
	enum session session;
	char *peer;                    /* of the TLS session */
	char queue_id[QUEUE_ID_BYTES]; /* SESSION_USED, SESSION_DOUBT */
	enum logged_level level;
	enum logged_version version;
	size_t cipher;
	time_t at;                     /* of the TLS line */
};

struct tally {
	struct tally_options options;
	struct maillog_clock clock;
	struct tally_lines lines;
	struct figures total;
	void *domains;   /* tree of struct tally_row */
	size_t n_domains;
	struct tally_row services[TALLY_SERVICES];
	size_t n_services;
	char *ciphers[TALLY_CIPHERS + 1]; /* the last is TALLY_OTHERS */
	size_t n_ciphers;
	void *processes; /* tree of struct process */
	size_t n_processes;
	bool too_many;   /* processes: some are forgotten */
	time_t first, last;
};

/* --- parts --- */

static int
compare_rows(const void *a, const void *b)
{
	return strcmp(((const struct tally_row *)a)->name, ((const struct tally_row *)b)->name);
}

static int
compare_processes(const void *a, const void *b)
{
	const struct process *left = a, *right = b;

	if (left->service != right->service)
		return left->service < right->service ? -1 : 1;
	return left->pid < right->pid ? -1 : left->pid > right->pid;
}

static void
free_row(void *node)
{
	struct tally_row *row = node;

	free(row->name);
	free(row->host);
	free(row);
}

static void
free_process(void *node)
{
	struct process *process = node;

	free(process->peer);
	free(process);
}

struct tally *
tally_new(const struct tally_options *options)
{
	struct tally *tally = xcalloc(1, sizeof(*tally));

	tally->options = *options;
	tally->clock.now = options->now;
	return tally;
}

void
tally_free(struct tally *tally)
{
	if (!tally)
		return;
	tdestroy(tally->domains, free_row);
	tdestroy(tally->processes, free_process);
	for (size_t i = 0; i < tally->n_services; i++) {
		free(tally->services[i].name);
		free(tally->services[i].host);
	}
	for (size_t i = 0; i < tally->n_ciphers; i++)
		free(tally->ciphers[i]);
	free(tally);
}

static bool
is_text(struct slice slice, const char *text)
{
	return text && strlen(text) == slice.len && memcmp(text, slice.at, slice.len) == 0;
}

/* NULL: there are too many. */
static struct tally_row *
service_of(struct tally *tally, const struct maillog_line *line)
{
	struct tally_row *row;

	for (size_t i = 0; i < tally->n_services; i++) {
		row = &tally->services[i];
		if (is_text(line->tag, row->name) && is_text(line->host, row->host))
			return row;
	}
	if (tally->n_services == TALLY_SERVICES)
		return NULL;
	row = &tally->services[tally->n_services++];
	row->name = slice_dup(line->tag);
	row->host = slice_dup(line->host);
	row->server = line->program == MAILLOG_SMTPD;
	return row;
}

static size_t
cipher_of(struct tally *tally, struct slice name)
{
	for (size_t i = 0; i < tally->n_ciphers; i++) {
		if (is_text(name, tally->ciphers[i]))
			return i;
	}
	if (tally->n_ciphers > TALLY_CIPHERS)
		return TALLY_CIPHERS;
	tally->ciphers[tally->n_ciphers] = tally->n_ciphers == TALLY_CIPHERS ? xstrdup(TALLY_OTHERS) : slice_dup(name);
	return tally->n_ciphers++;
}

static struct process *
process_find(const struct tally *tally, const struct tally_row *service, uint32_t pid)
{
	const struct process key = { .service = service, .pid = pid };
	struct process *const *found = tfind(&key, &tally->processes, compare_processes);

	return found ? *found : NULL;
}

/* Where there is no room for one more, all are forgotten: what they do from then on is unknown. */
static struct process *
process_get(struct tally *tally, const struct tally_row *service, uint32_t pid)
{
	struct process *process = process_find(tally, service, pid);

	if (process)
		return process;
	if (tally->n_processes == TALLY_PROCESSES) {
		tdestroy(TAKE(tally->processes), free_process);
		tally->n_processes = 0;
		tally->too_many = true;
	}
	process = xcalloc(1, sizeof(*process));
	process->service = service;
	process->pid = pid;
	if (!tsearch(process, &tally->processes, compare_processes))
		abort();
	tally->n_processes++;
	return process;
}

/* Domains are alike in either case, and with a dot at their end. */
static const char *
domain_name(struct slice domain, char room[MAILLOG_MAX_DOMAIN + 1])
{
	size_t len = domain.len;

	if (len > 1 && domain.at[len - 1] == '.')
		len--;
	if (len == 0 || len > MAILLOG_MAX_DOMAIN)
		return TALLY_NO_DOMAIN;
	for (size_t i = 0; i < len; i++)
		room[i] = (char)(domain.at[i] >= 'A' && domain.at[i] <= 'Z' ? domain.at[i] + 'a' - 'A' : domain.at[i]);
	room[len] = '\0';
	return room;
}

static struct tally_row *
domain_of(struct tally *tally, struct slice domain)
{
	char room[MAILLOG_MAX_DOMAIN + 1];
	struct tally_row key = { 0 }, *row, *const *found;
	const char *name = domain_name(domain, room);

	key.name = (char *)(uintptr_t)name;
	found = tfind(&key, &tally->domains, compare_rows);
	if (found)
		return *found;
	if (tally->n_domains == TALLY_DOMAINS) {
		key.name = (char *)(uintptr_t)TALLY_OTHERS;
		found = tfind(&key, &tally->domains, compare_rows);
		if (found)
			return *found;
		name = TALLY_OTHERS;
	} else {
		tally->n_domains++;
	}
	row = xcalloc(1, sizeof(*row));
	row->name = xstrdup(name);
	if (!tsearch(row, &tally->domains, compare_rows))
		abort();
	return row;
}

/* --- counting --- */

enum channel { CHANNEL_UNKNOWN, CHANNEL_CLEAR, CHANNEL_TLS };

static void
count_channel(struct figures *figures, enum channel channel, const struct process *process)
{
	figures->all++;
	switch (channel) {
	case CHANNEL_TLS:
		figures->tls++;
		figures->levels[process->level]++;
		figures->versions[process->version]++;
		figures->ciphers[process->cipher]++;
		return;
	case CHANNEL_CLEAR:
		figures->clear++;
		return;
	case CHANNEL_UNKNOWN:
		figures->unknown++;
		return;
	}
}

static void
keep_reason(struct figures *figures, const struct maillog_line *line, time_t at)
{
	const size_t len = line->reason.len < TALLY_REASON_BYTES - 1 ? line->reason.len : TALLY_REASON_BYTES - 1;

	memcpy(figures->reason, line->reason.at, len);
	figures->reason[len] = '\0';
	figures->reason_at = at;
}

static void
count_failure(struct figures *figures, const struct maillog_line *line, time_t at)
{
	const bool refused = line->status == MAILLOG_BOUNCED;

	if (!line->for_tls) {
		figures->deferred += !refused;
		figures->refused += refused;
		return;
	}
	figures->deferred_tls += !refused;
	figures->refused_tls += refused;
	keep_reason(figures, line, at);
}

/* Without a word about TLS: in clear only where we know that there would have been one. */
static enum channel
silent(const struct tally *tally, const struct tally_row *service)
{
	return !tally->too_many && (tally->options.logged || service->sessions) ? CHANNEL_CLEAR : CHANNEL_UNKNOWN;
}

/* Begun before this attempt: the same message may be tried again by the same process, much later. */
static bool
is_stale(const struct process *process, const struct maillog_line *line, time_t at)
{
	return process->at < at - line->spent - CLOCK_SLACK;
}

/* A session serves one message; whatever does not belong to it has had a connection of its own. */
static enum channel
delivery_channel(const struct tally *tally, const struct tally_row *service, struct process *process,
    const struct maillog_line *line, time_t at)
{
	if (!process || process->session == SESSION_NONE)
		return silent(tally, service);
	if (!is_text(line->peer, process->peer) || (process->session != SESSION_FRESH && !is_text(line->queue_id, process->queue_id))) {
		process->session = SESSION_NONE;
		return silent(tally, service);
	}
	if (process->session == SESSION_DOUBT || is_stale(process, line, at))
		return CHANNEL_UNKNOWN;
	process->session = SESSION_USED;
	snprintf(process->queue_id, sizeof(process->queue_id), "%.*s", (int)line->queue_id.len, (const char *)line->queue_id.at);
	return CHANNEL_TLS;
}

/* Is it one that the report is about? */
static bool
is_wanted(struct tally *tally, const struct maillog_line *line, time_t at)
{
	const struct tally_options *options = &tally->options;

	if (line->loopback && !options->loopback) {
		tally->lines.loopback++;
		return false;
	}
	if ((options->from && at < options->from) || (options->to && at >= options->to)) {
		tally->lines.outside++;
		return false;
	}
	tally->lines.counted++;
	tally->first = !tally->first || at < tally->first ? at : tally->first;
	tally->last = at > tally->last ? at : tally->last;
	return true;
}

static void
on_delivery(struct tally *tally, struct tally_row *service, const struct maillog_line *line, time_t at)
{
	struct process *process = process_find(tally, service, line->pid);
	/* The session's story goes on, whether or not this line is wanted. */
	const enum channel channel = delivery_channel(tally, service, process, line, at);
	const bool sent = line->status == MAILLOG_SENT;
	struct figures *all[2] = { &tally->total, NULL };

	if (line->status == MAILLOG_STATUS_OTHER || (line->program == MAILLOG_ERROR && !line->for_tls))
		return;
	if (!is_wanted(tally, line, at))
		return;
	all[1] = &domain_of(tally, line->domain)->figures;
	for (size_t i = 0; i < N_ELEMENTS(all); i++) {
		if (sent)
			count_channel(all[i], channel, process);
		else
			count_failure(all[i], line, at);
	}
	if (sent)
		count_channel(&service->figures, channel, process);
}

static void
on_tls(struct tally *tally, struct tally_row *service, const struct maillog_line *line, time_t at)
{
	struct process *process = process_get(tally, service, line->pid);

	service->sessions++;
	process->at = at;
	process->session = service->server ? SESSION_SECURE : SESSION_FRESH;
	process->level = line->level;
	process->version = line->version;
	process->cipher = cipher_of(tally, line->cipher);
	free(process->peer);
	process->peer = slice_dup(line->peer);
}

static void
on_trouble(struct tally *tally, struct tally_row *service, const struct maillog_line *line)
{
	struct process *process = process_find(tally, service, line->pid);

	if (!process || process->session == SESSION_NONE)
		return;
	process->session = SESSION_DOUBT;
	snprintf(process->queue_id, sizeof(process->queue_id), "%.*s", (int)line->queue_id.len, (const char *)line->queue_id.at);
}

static enum channel
message_channel(const struct tally *tally, const struct tally_row *service, const struct process *process)
{
	if (!process)
		return CHANNEL_UNKNOWN; /* the log begins in the middle of it */
	return process->session == SESSION_SECURE ? CHANNEL_TLS : silent(tally, service);
}

static void
on_message(struct tally *tally, struct tally_row *service, const struct maillog_line *line, time_t at)
{
	const struct process *process = process_find(tally, service, line->pid);

	if (is_wanted(tally, line, at))
		count_channel(&service->figures, message_channel(tally, service, process), process);
}

/* Where a time matters, it must be readable. */
static bool
time_of(struct tally *tally, const struct maillog_line *line, time_t *ret)
{
	*ret = 0;
	return line->kind == MAILLOG_TROUBLE || line->kind == MAILLOG_CONNECT || maillog_time(&tally->clock, line->stamp, ret);
}

static void
on_line(struct tally *tally, const struct maillog_line *line)
{
	struct tally_row *service = line->kind == MAILLOG_OTHER ? NULL : service_of(tally, line);
	time_t at;

	if (line->kind == MAILLOG_OTHER)
		return;
	if (!service || !time_of(tally, line, &at)) {
		tally->lines.unreadable++;
		return;
	}
	switch (line->kind) {
	case MAILLOG_TLS:
		on_tls(tally, service, line, at);
		return;
	case MAILLOG_DELIVERY:
		on_delivery(tally, service, line, at);
		return;
	case MAILLOG_TROUBLE:
		on_trouble(tally, service, line);
		return;
	case MAILLOG_CONNECT:
		process_get(tally, service, line->pid)->session = SESSION_OPEN;
		return;
	case MAILLOG_MESSAGE:
		on_message(tally, service, line, at);
		return;
	case MAILLOG_UNREADABLE:
	case MAILLOG_OTHER:
	case MAILLOG_LOSS:
		return;
	}
}

void
tally_line(struct tally *tally, struct slice text)
{
	struct maillog_line line;

	tally->lines.all++;
	maillog_parse(text, &line);
	if (line.kind == MAILLOG_UNREADABLE)
		tally->lines.unreadable++;
	else if (line.kind == MAILLOG_LOSS)
		tally->lines.losses++;
	else
		on_line(tally, &line);
}

void
tally_too_long(struct tally *tally)
{
	tally->lines.all++;
	tally->lines.too_long++;
}

/* --- asking --- */

const struct tally_lines *
tally_lines(const struct tally *tally)
{
	return &tally->lines;
}

const struct figures *
tally_total(const struct tally *tally)
{
	return &tally->total;
}

struct walk {
	void (*each)(void *ctx, const struct tally_row *row);
	void *ctx;
};

static void
visit(const void *node, VISIT which, void *closure)
{
	const struct walk *walk = closure;

	if (which == postorder || which == leaf)
		walk->each(walk->ctx, *(struct tally_row *const *)node);
}

void
tally_each_domain(const struct tally *tally, void (*each)(void *ctx, const struct tally_row *row), void *ctx)
{
	struct walk walk = { each, ctx };

	twalk_r(tally->domains, visit, &walk);
}

const struct tally_row *
tally_service(const struct tally *tally, size_t i)
{
	return i < tally->n_services ? &tally->services[i] : NULL;
}

const char *
tally_cipher(const struct tally *tally, size_t i)
{
	return i < tally->n_ciphers ? tally->ciphers[i] : NULL;
}

void
tally_period(const struct tally *tally, time_t *first, time_t *last)
{
	*first = tally->first;
	*last = tally->last;
}
