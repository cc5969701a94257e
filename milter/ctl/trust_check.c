/*
 * segelctl trust check: is everything there that mail will be judged by, and for how long? For people, and by its exit for
 * monitoring: 0 all fresh, 1 something wants attention, 4 something is missing or dead, so that mail is deferred.
 */
#include <string.h>

#include "milter/ctl/trust.h"
#include "milter/ctl/trust_status.h"

enum { BRIEF_HASH = 16, SOON_SECONDS = 30 * 24 * 60 * 60, DETAIL_BYTES = 512, PROBLEM_BYTES = 64 * 1024 };

struct check {
	struct ctl *ctl;
	const struct config *config;
	const struct trust_store *store;
	struct ctl_table *table;
	bool attention;
	bool dead;
};

static const char *const columns[] = { "what", "id", "subject", "state", "until", "detail" };

static void
add_row(struct check *check, const char *what, const char *id, const char *subject, const char *state, time_t until, const char *detail)
{
	const struct ctl_cell cells[N_ELEMENTS(columns)] = {
		{ .kind = CELL_TEXT, .text = what },
		{ .kind = id ? CELL_TEXT : CELL_NONE, .text = id, .brief = BRIEF_HASH },
		{ .kind = subject ? CELL_TEXT : CELL_NONE, .text = subject },
		{ .kind = CELL_TEXT, .text = state },
		{ .kind = until ? CELL_TIME : CELL_NONE, .number = until },
		{ .kind = *detail ? CELL_TEXT : CELL_NONE, .text = detail },
	};

	ctl_table_row(check->table, cells);
}

static void
weigh(struct check *check, enum age age)
{
	check->attention |= age == AGE_GRACE;
	check->dead |= age == AGE_NONE || age == AGE_DEAD;
}

static void
check_dates(struct check *check, const struct authority *authority)
{
	const struct cert_facts *facts = &authority->facts;
	const enum cert_time when = cert_time_at(facts, check->ctl->now);
	const char *state = "good", *detail = "";

	if (when != CERT_TIME_VALID) {
		state = when == CERT_TIME_PAST ? "expired" : "not-yet";
		detail = "nothing that it issued is trusted";
		check->dead = true;
	} else if (facts->not_after - check->ctl->now < SOON_SECONDS) {
		state = "expires";
		detail = "add its successor in time";
		check->attention = true;
	}
	add_row(check, authority_purpose_name(authority->purpose), authority->id, facts->subject, state, facts->not_after, detail);
}

/* Where there is an OCSP service, a CRL is not needed; one that is configured is. */
static enum age
check_crl(struct check *check, const struct authority *authority)
{
	AUTO_BUF struct buf detail = { 0 };
	struct stored stored;

	stored_crl(check->config, authority, check->ctl->now, &stored);
	if (authority->crl.n == 0 && authority->ocsp.n && stored.age == AGE_NONE && !stored.why[0])
		return AGE_NONE;
	buf_init(&detail, DETAIL_BYTES);
	if (stored.age != AGE_NONE)
		buf_printf(&detail, "number (hex) %s, %zu revoked", stored.crl.number[0] ? stored.crl.number : "none", stored.crl.n_revoked);
	else if (stored.why[0])
		buf_add_text(&detail, stored.why);
	else if (authority->crl.n)
		buf_add_text(&detail, "not fetched yet: segelctl trust refresh");
	else
		buf_add_text(&detail, "it was added with neither --crl nor --ocsp");
	weigh(check, stored.age);
	add_row(check, "crl", authority->id, authority->facts.subject, age_name(stored.age), stored.until, buf_text(&detail));
	return stored.age;
}

static void
check_answer(struct check *check, const struct subject *subject, bool has_crl, size_t counts[AGE_FRESH + 1])
{
	struct stored stored;

	stored_ocsp(check->config, subject, check->ctl->now, &stored);
	counts[stored.age]++;
	if (stored.age == AGE_FRESH)
		return;
	check->attention = true;
	if (!has_crl)
		weigh(check, stored.age);
	add_row(check, "ocsp", subject->id, subject->name, age_name(stored.age), stored.until, stored.why);
}

static void
check_service(struct check *check, const struct authority *authority, const struct subjects *subjects, enum age crl)
{
	size_t counts[AGE_FRESH + 1] = { 0 };
	AUTO_BUF struct buf detail = { 0 };
	bool all;

	for (size_t i = 0; i < subjects->n; i++)
		if (subjects->at[i].authority == authority)
			check_answer(check, &subjects->at[i], crl == AGE_FRESH || crl == AGE_GRACE, counts);
	all = counts[AGE_GRACE] + counts[AGE_DEAD] + counts[AGE_NONE] == 0;
	buf_init(&detail, DETAIL_BYTES);
	buf_printf(&detail, "answers: %zu fresh, %zu grace, %zu dead, %zu none", counts[AGE_FRESH], counts[AGE_GRACE], counts[AGE_DEAD],
	    counts[AGE_NONE]);
	add_row(check, "ocsp", authority->id, authority->facts.subject, all ? age_name(AGE_FRESH) : "mixed", 0, buf_text(&detail));
}

static void
check_registry(struct check *check, const struct subjects *subjects)
{
	if (subjects->err.kind == ERR_NONE)
		return;
	check->attention = true;
	add_row(check, "registry", NULL, NULL, "unavailable", 0, subjects->err.text);
}

/* --- what a filter would say about the folder --- */

static void
add_problems(struct check *check, const struct buf *problems)
{
	const char *text = buf_text(problems), *line;
	size_t len;

	while ((line = text_line(&text, &len))) {
		AUTO(xfree) char *copy = xstrndup(line, len);

		check->attention = true;
		add_row(check, "file", NULL, NULL, "not-taken", 0, copy);
	}
}

static void
check_snapshot(struct check *check)
{
	AUTO(xfree) char *anchors = trust_folder(check->config, "anchors");
	AUTO(xfree) char *crls = trust_folder(check->config, "crl");
	AUTO(xfree) char *ocsp = trust_folder(check->config, "ocsp");
	const struct trust_folders folders = { .anchors = anchors, .crls = crls, .ocsp = ocsp };
	const struct trust_ages ages = trust_ages_of(check->config);
	AUTO(trust_free) struct trust *trust = NULL;
	AUTO_BUF struct buf problems = { 0 };
	struct err err = { 0 };

	buf_init(&problems, PROBLEM_BYTES);
	if (trust_load(&folders, &ages, &trust, &problems, &err) == -1) {
		check->dead = true;
		add_row(check, "folder", NULL, NULL, "unavailable", 0, err.text);
		return;
	}
	add_problems(check, &problems);
	if (trust_n_anchors(trust) == 0) {
		check->dead = true;
		add_row(check, "folder", NULL, NULL, "empty", 0, "no root is trusted: segelctl trust add");
	}
}

static enum ctl_exit
check_all(struct check *check, const char *registry_file)
{
	AUTO(subjects_free) struct subjects *subjects = subjects_load(check->store, registry_file, check->ctl->now);

	for (size_t i = 0; i < check->store->n; i++) {
		const struct authority *authority = &check->store->at[i];
		enum age crl;

		check_dates(check, authority);
		crl = check_crl(check, authority);
		if (authority->ocsp.n)
			check_service(check, authority, subjects, crl);
	}
	check_registry(check, subjects);
	check_snapshot(check);
	ctl_table_print(check->ctl, check->table);
	if (check->dead)
		return CTL_UNAVAILABLE;
	return check->attention ? CTL_FALSE : CTL_OK;
}

enum ctl_exit
trust_check(struct ctl *ctl)
{
	AUTO(config_free) struct config *config = trust_config(ctl);
	AUTO(trust_store_close) struct trust_store *store = config ? trust_open(ctl, config) : NULL;
	AUTO(ctl_table_free) struct ctl_table *table = ctl_table_new(columns, N_ELEMENTS(columns));
	struct check check = { .ctl = ctl, .config = config, .store = store, .table = table };

	if (!store)
		return CTL_UNAVAILABLE;
	check.attention = store->problems.len > 0;
	return check_all(&check, ctl->registry_file ? ctl->registry_file : config->registry.file);
}
