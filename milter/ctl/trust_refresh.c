/*
 * segelctl trust refresh: what the authorities say about revocation, fetched ahead, so that no message waits for
 * a network.
 *
 * Only the URLs that were given with an authority are asked. What comes is verified before it is stored, and is
 * stored only if it is not older than what is there: a replayed or rolled-back statement changes nothing. Each source is
 * on its own: what one of them does, or fails to do, changes nothing for the others.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "milter/ctl/fetch.h"
#include "milter/ctl/trust.h"
#include "milter/ctl/trust_status.h"
#include "milter/priv.h"
#include "smime/ocsp_url.h"

enum {
	BRIEF_HASH = 16,
	SILENT_MOST = 2, /* failures in a row, after which a service is left alone for this run */
	SHARE = 5,       /* of one run, in times of trust.total: a service that answers slowly must not keep all others waiting */
	DETAIL_BYTES = 1024,
};

/* What became of one source. */
enum outcome {
	OUTCOME_FAILED,
	OUTCOME_SAME,   /* nothing newer than what is there */
	OUTCOME_STORED,
};

/* One service, by its URL. */
struct service {
	const char *url; /* borrowed of an authority */
	unsigned silent; /* failures in a row */
	long spent;      /* milliseconds */
};

struct run {
	struct ctl *ctl;
	const struct config *config;
	const struct trust_store *store;
	struct fetch *fetch;
	struct ctl_table *table;
	struct service *services;
	size_t n_services;
	bool stored; /* something changed in the folder */
	bool failed;
	bool dead;
};

static const char *const columns[] = { "kind", "id", "subject", "outcome", "age", "until", "detail" };

static const char *
outcome_name(enum outcome outcome)
{
	switch (outcome) {
	case OUTCOME_STORED:
		return "new";
	case OUTCOME_SAME:
		return "unchanged";
	case OUTCOME_FAILED:
		break;
	}
	return "failed";
}

static void
add_row(struct run *run, const char *kind, const char *id, const char *subject, enum outcome outcome, const struct stored *stored,
    const char *detail)
{
	const struct ctl_cell cells[N_ELEMENTS(columns)] = {
		{ .kind = CELL_TEXT, .text = kind },
		{ .kind = id ? CELL_TEXT : CELL_NONE, .text = id, .brief = BRIEF_HASH },
		{ .kind = subject ? CELL_TEXT : CELL_NONE, .text = subject },
		{ .kind = CELL_TEXT, .text = outcome_name(outcome) },
		{ .kind = stored ? CELL_TEXT : CELL_NONE, .text = stored ? age_name(stored->age) : NULL },
		{ .kind = stored && stored->until ? CELL_TIME : CELL_NONE, .number = stored ? stored->until : 0 },
		{ .kind = *detail ? CELL_TEXT : CELL_NONE, .text = detail },
	};

	ctl_table_row(run->table, cells);
}

/* --- one statement against the one that is there --- */

static int
check_time(const struct run *run, time_t this_update, time_t next_update, struct err *err)
{
	if (age_is_ahead(run->config, this_update, run->ctl->now))
		return err_set(err, ERR_CONFIG, "it is from the future: is this machine's clock right?");
	if (age_of(run->config, age_until(run->config, this_update, next_update), run->ctl->now) == AGE_DEAD)
		return err_set(err, ERR_CONFIG, "it is out of date: its next update is past by more than trust.grace");
	return 0;
}

/* Of the same number there is one CRL: another one with it is not to be believed. */
static enum outcome
judge_crl(const struct run *run, const struct crl_facts *new, const struct stored *old, struct err *err)
{
	const bool there = old->age != AGE_NONE;

	if (there && memcmp(new->sha256, old->crl.sha256, sizeof(new->sha256)) == 0)
		return OUTCOME_SAME;
	if (check_time(run, new->this_update, new->next_update, err) == -1)
		return OUTCOME_FAILED;
	if (there && crl_number_compare(new->number, old->crl.number) < 0)
		(void)err_set(err, ERR_CONFIG, "it is older than the CRL that is here: its number (hex) is '%s', wanted at least '%s'", new->number,
		    old->crl.number);
	else if (there && new->this_update < old->crl.this_update)
		(void)err_set(err, ERR_CONFIG, "its thisUpdate lies before that of the CRL that is here");
	else if (there && new->this_update == old->crl.this_update && crl_number_compare(new->number, old->crl.number) == 0)
		(void)err_set(err, ERR_CONFIG, "it is another CRL with the number (hex) '%s' and the thisUpdate of the one that is here",
		    new->number);
	else
		return OUTCOME_STORED;
	return OUTCOME_FAILED;
}

/* "Revoked" takes the place of "good" of the same second, and not the other way round. */
static enum outcome
judge_ocsp(const struct run *run, const struct ocsp_facts *new, const struct stored *old, struct err *err)
{
	const bool there = old->age != AGE_NONE;

	if (new->status == OCSP_STATUS_UNKNOWN)
		(void)err_set(err, ERR_CONFIG, "the responder does not know this certificate");
	else if (check_time(run, new->this_update, new->next_update, err) == -1)
		return OUTCOME_FAILED;
	else if (there && new->this_update < old->ocsp.this_update)
		(void)err_set(err, ERR_CONFIG, "it is older than the answer that is here: a replay, or a server that is behind");
	else if (there && new->this_update == old->ocsp.this_update && new->status == old->ocsp.status
	    && new->next_update == old->ocsp.next_update)
		return OUTCOME_SAME;
	else if (there && new->this_update == old->ocsp.this_update && old->ocsp.status == OCSP_STATUS_REVOKED
	    && new->status != OCSP_STATUS_REVOKED)
		(void)err_set(err, ERR_CONFIG, "it contradicts the answer that is here, of the same time, which says revoked");
	else
		return OUTCOME_STORED;
	return OUTCOME_FAILED;
}

static enum outcome
keep(struct run *run, const char *part, const char *id, const char *extension, const struct buf *bytes, struct err *err)
{
	AUTO(xfree) char *file = trust_file(run->config, part, id, extension);

	if (trust_write(file, buf_slice(bytes), err) == -1)
		return OUTCOME_FAILED;
	run->stored = true;
	return OUTCOME_STORED;
}

/* --- CRLs --- */

static enum outcome
take_crl(struct run *run, const struct authority *authority, const char *url, const struct stored *old, struct err *err)
{
	const struct fetch_request request = { .url = url, .most = LIMIT_CRL_BYTES };
	AUTO_BUF struct buf bytes = { 0 };
	struct crl_facts facts = { 0 };
	enum outcome outcome = OUTCOME_FAILED;

	if (fetch_get(run->fetch, &request, &bytes, err) != FETCH_DONE)
		return OUTCOME_FAILED;
	if (crl_check(buf_slice(&bytes), buf_slice(&authority->der), &facts, err) == 0)
		outcome = judge_crl(run, &facts, old, err);
	if (outcome == OUTCOME_STORED)
		outcome = keep(run, "crl", authority->id, "crl", &bytes, err);
	if (outcome == OUTCOME_FAILED)
		(void)err_wrap(err, "'%s'", url);
	return outcome;
}

static void
note(struct buf *detail, const char *text)
{
	buf_printf(detail, "%s%s", detail->len ? "; " : "", text);
}

/* A dead CRL fails whatever OCSP says: it is asked about certificates that nobody registered. */
static void
refresh_crl(struct run *run, const struct authority *authority)
{
	AUTO_BUF struct buf detail = { 0 };
	enum outcome outcome = authority->crl.n ? OUTCOME_FAILED : OUTCOME_SAME;
	struct stored stored;

	buf_init(&detail, DETAIL_BYTES);
	stored_crl(run->config, authority, run->ctl->now, &stored);
	for (size_t i = 0; i < authority->crl.n && outcome == OUTCOME_FAILED; i++) {
		struct err err = { 0 };

		outcome = take_crl(run, authority, authority->crl.at[i], &stored, &err);
		if (outcome == OUTCOME_FAILED)
			note(&detail, err.text);
	}
	if (outcome == OUTCOME_STORED)
		stored_crl(run->config, authority, run->ctl->now, &stored);
	if (authority->crl.n == 0 && stored.age == AGE_NONE)
		note(&detail, "it was added with neither --crl nor --ocsp: there is nobody to ask");
	if (stored.why[0])
		note(&detail, stored.why);
	run->failed |= outcome == OUTCOME_FAILED || stored.age != AGE_FRESH;
	run->dead |= stored.age == AGE_NONE || stored.age == AGE_DEAD;
	add_row(run, "crl", authority->id, authority->facts.subject, outcome, &stored, buf_text(&detail));
}

/* --- OCSP --- */

static struct service *
service_of(struct run *run, const char *url)
{
	for (size_t i = 0; i < run->n_services; i++)
		if (strcmp(run->services[i].url, url) == 0)
			return &run->services[i];
	run->services = xrealloc(run->services, (run->n_services + 1) * sizeof(*run->services));
	run->services[run->n_services] = (struct service){ .url = url };
	return &run->services[run->n_services++];
}

static bool
is_left_alone(const struct run *run, const struct service *service, struct err *err)
{
	if (service->silent >= SILENT_MOST)
		(void)err_set(err, ERR_TEMP, "'%s': not asked again in this run, it was silent %d times", service->url, SILENT_MOST);
	else if (service->spent >= SHARE * run->config->trust.total)
		(void)err_set(err, ERR_TEMP, "'%s': not asked again in this run, it has taken %ld s of it; the next one begins with other "
		    "certificates", service->url, service->spent / 1000);
	else
		return false;
	return true;
}

/* Answers are held against a nonce in either case: one that carries another is to another question. */
static int
make_nonce(unsigned char ret[OCSP_NONCE_SIZE], struct err *err)
{
	if (getrandom(ret, OCSP_NONCE_SIZE, 0) != OCSP_NONCE_SIZE)
		return err_set(err, ERR_TEMP, "no random bytes for a nonce: %s", strerror(errno));
	return 0;
}

static enum fetch_outcome
fetch_answer(struct run *run, const struct fetch_request *request, const struct subject *subject, const unsigned char *nonce,
    struct ocsp_facts *ret, struct buf *bytes, struct err *err)
{
	const struct slice issuer = buf_slice(&subject->authority->der);
	const enum fetch_outcome outcome = fetch_get(run->fetch, request, bytes, err);

	if (outcome != FETCH_DONE || ocsp_check(buf_slice(bytes), subject->der, issuer, nonce, run->ctl->now, ret, err) == 0)
		return outcome;
	(void)err_wrap(err, "'%s'", request->url);
	return FETCH_REFUSED;
}

/* By POST with a nonce, so that the answer is to us and now. */
static enum fetch_outcome
ask_fresh(struct run *run, const struct subject *subject, const char *url, struct ocsp_facts *ret, struct buf *bytes, struct err *err)
{
	unsigned char nonce[OCSP_NONCE_SIZE];
	AUTO_BUF struct buf question = { 0 };
	struct fetch_request request = { .url = url, .content_type = "application/ocsp-request", .most = LIMIT_OCSP_BYTES };

	buf_init(&question, LIMIT_OCSP_BYTES);
	if (make_nonce(nonce, err) == -1
	    || ocsp_request(subject->der, buf_slice(&subject->authority->der), nonce, &question, err) == -1)
		return FETCH_FAILED;
	request.post = buf_slice(&question);
	return fetch_answer(run, &request, subject, nonce, ret, bytes, err);
}

/* By GET without a nonce, for services that take nothing else: then only the times protect against a replay. */
static enum fetch_outcome
ask_prepared(struct run *run, const struct subject *subject, const char *service, struct ocsp_facts *ret, struct buf *bytes,
    struct err *err)
{
	unsigned char nonce[OCSP_NONCE_SIZE];
	AUTO_BUF struct buf question = { 0 };
	AUTO_BUF struct buf url = { 0 };
	struct fetch_request request = { .most = LIMIT_OCSP_BYTES };

	buf_init(&question, LIMIT_OCSP_BYTES);
	buf_init(&url, LIMIT_OCSP_BYTES);
	if (make_nonce(nonce, err) == -1
	    || ocsp_request(subject->der, buf_slice(&subject->authority->der), NULL, &question, err) == -1)
		return FETCH_FAILED;
	ocsp_url(service, buf_slice(&question), &url);
	request.url = buf_text(&url);
	return fetch_answer(run, &request, subject, nonce, ret, bytes, err);
}

static enum outcome
take_ocsp(struct run *run, const struct subject *subject, const char *url, const struct stored *old, struct err *err)
{
	struct service *service = service_of(run, url);
	AUTO_BUF struct buf fresh = { 0 };
	AUTO_BUF struct buf prepared = { 0 };
	struct buf *bytes = &fresh;
	struct ocsp_facts facts = { .status = OCSP_STATUS_UNKNOWN };
	enum fetch_outcome answer;
	enum outcome outcome;
	long began;

	if (is_left_alone(run, service, err))
		return OUTCOME_FAILED;
	began = monotonic_ms();
	answer = ask_fresh(run, subject, url, &facts, &fresh, err);
	if (answer == FETCH_REFUSED) {
		struct err second = { 0 };

		bytes = &prepared;
		answer = ask_prepared(run, subject, url, &facts, &prepared, &second);
	}
	service->silent = answer == FETCH_FAILED ? service->silent + 1 : 0;
	service->spent += monotonic_ms() - began;
	if (answer != FETCH_DONE)
		return OUTCOME_FAILED;
	outcome = judge_ocsp(run, &facts, old, err);
	if (outcome == OUTCOME_STORED)
		outcome = keep(run, "ocsp", subject->id, "ors", bytes, err);
	if (outcome == OUTCOME_FAILED)
		(void)err_wrap(err, "'%s'", url);
	return outcome;
}

/* What many certificates of one authority had, in one line. */
struct tally {
	size_t n, stored, same, failed, revoked;
};

/* A certificate whose answer is dead is still judged by its authority's CRL. */
static bool
crl_lives(const struct run *run, const struct authority *authority)
{
	struct stored crl;

	stored_crl(run->config, authority, run->ctl->now, &crl);
	return crl.age == AGE_FRESH || crl.age == AGE_GRACE;
}

static void
refresh_ocsp(struct run *run, const struct subject *subject, bool has_crl, struct tally *tally)
{
	AUTO_BUF struct buf detail = { 0 };
	enum outcome outcome = OUTCOME_FAILED;
	struct stored stored;

	buf_init(&detail, DETAIL_BYTES);
	stored_ocsp(run->config, subject, run->ctl->now, &stored);
	for (size_t i = 0; i < subject->authority->ocsp.n && outcome == OUTCOME_FAILED; i++) {
		struct err err = { 0 };

		outcome = take_ocsp(run, subject, subject->authority->ocsp.at[i], &stored, &err);
		if (outcome == OUTCOME_FAILED)
			note(&detail, err.text);
	}
	if (outcome == OUTCOME_STORED)
		stored_ocsp(run->config, subject, run->ctl->now, &stored);
	tally->n++;
	tally->stored += outcome == OUTCOME_STORED;
	tally->same += outcome == OUTCOME_SAME;
	tally->failed += outcome == OUTCOME_FAILED;
	run->failed |= outcome == OUTCOME_FAILED || stored.age != AGE_FRESH;
	run->dead |= !has_crl && (stored.age == AGE_NONE || stored.age == AGE_DEAD);
	if (stored.age != AGE_NONE && stored.ocsp.status == OCSP_STATUS_REVOKED) {
		tally->revoked++;
		note(&detail, "revoked");
	}
	if (detail.len)
		add_row(run, "ocsp", subject->id, subject->name, outcome, &stored, buf_text(&detail));
}

/* Another one each run, so that the last are not always those for whom there is no time. */
static size_t
first_of(const struct run *run, const struct subjects *subjects)
{
	const uint64_t golden = UINT64_C(0x9e3779b97f4a7c15); /* far apart for times that are near */

	return subjects->n ? (size_t)(((uint64_t)run->ctl->now * golden >> 32) % subjects->n) : 0;
}

static void
refresh_service(struct run *run, const struct authority *authority, const struct subjects *subjects)
{
	const bool has_crl = crl_lives(run, authority);
	const size_t first = first_of(run, subjects);
	AUTO_BUF struct buf detail = { 0 };
	struct tally tally = { 0 };

	for (size_t i = 0; i < subjects->n; i++) {
		const struct subject *subject = &subjects->at[(first + i) % subjects->n];

		if (subject->authority == authority)
			refresh_ocsp(run, subject, has_crl, &tally);
	}
	buf_init(&detail, DETAIL_BYTES);
	buf_printf(&detail, "%zu certificates: %zu new, %zu unchanged, %zu failed, %zu revoked", tally.n, tally.stored, tally.same,
	    tally.failed, tally.revoked);
	add_row(run, "ocsp", authority->id, authority->facts.subject,
	    tally.failed ? OUTCOME_FAILED : tally.stored ? OUTCOME_STORED : OUTCOME_SAME, NULL, buf_text(&detail));
}

/* --- what nobody needs any more --- */

static bool
is_wanted(const struct subjects *subjects, const char *name)
{
	for (size_t i = 0; i < subjects->n; i++)
		if (strncmp(name, subjects->at[i].id, 64) == 0)
			return true;
	return false;
}

/* Answers about certificates that the registry has ended, or whose authority has gone. */
static void
prune(struct run *run, const struct subjects *subjects)
{
	AUTO(xfree) char *folder = trust_folder(run->config, "ocsp");
	DIR *dir = opendir(folder);
	const struct dirent *entry;

	if (!dir)
		return;
	while ((entry = readdir(dir))) {
		if (strlen(entry->d_name) != 68 || strcmp(entry->d_name + 64, ".ors") != 0 || is_wanted(subjects, entry->d_name))
			continue;
		run->stored |= unlinkat(dirfd(dir), entry->d_name, 0) == 0;
	}
	(void)closedir(dir);
}

/* --- readers --- */

static struct timespec
changed_at(const struct config *config, const char *part)
{
	AUTO(xfree) char *path = trust_folder(config, part);
	struct stat st;

	return stat(path, &st) == 0 ? st.st_mtim : (struct timespec){ 0 };
}

static bool
is_after(struct timespec a, struct timespec b)
{
	return a.tv_sec > b.tv_sec || (a.tv_sec == b.tv_sec && a.tv_nsec > b.tv_nsec);
}

/* A run that was killed may have stored what it did not come to say. */
static bool
is_unsaid(const struct config *config)
{
	const struct timespec said = changed_at(config, "state/generation");

	return is_after(changed_at(config, "crl"), said) || is_after(changed_at(config, "ocsp"), said);
}

/* So that running filters take up what is new. */
static int
say_changed(struct run *run, struct err *err)
{
	AUTO(xfree) char *state = trust_folder(run->config, "state");

	if (run->stored && trust_changed(state, err) == -1)
		return err_wrap(err, "running filters are not told of what is new");
	run->stored = false;
	return 0;
}

/* --- the whole --- */

static void
refresh_all(struct run *run, const char *registry_file)
{
	AUTO(subjects_free) struct subjects *subjects = NULL;

	for (size_t i = 0; i < run->store->n; i++)
		if (run->store->at[i].crl.n || run->store->at[i].ocsp.n == 0)
			refresh_crl(run, &run->store->at[i]);
	/* Many certificates may take OCSP long; what fails here is said at the end. */
	(void)say_changed(run, NULL);
	subjects = subjects_load(run->store, registry_file, run->ctl->now);
	for (size_t i = 0; i < run->store->n; i++)
		if (run->store->at[i].ocsp.n)
			refresh_service(run, &run->store->at[i], subjects);
	if (subjects->err.kind == ERR_NONE) {
		prune(run, subjects);
		return;
	}
	run->failed = true;
	add_row(run, "registry", NULL, NULL, OUTCOME_FAILED, NULL, subjects->err.text);
}

static void
sweep(const struct config *config)
{
	static const char *const parts[] = { "crl", "ocsp", "state" };

	for (size_t i = 0; i < N_ELEMENTS(parts); i++) {
		AUTO(xfree) char *folder = trust_folder(config, parts[i]);

		trust_sweep(folder);
	}
}

/* A file that only trust.user can open, so that nobody else can hold it. A kill lets go of it. */
static int
lock(const char *folder, int *ret, struct err *err)
{
	AUTO(xfree) char *file = xasprintf("%s/lock", folder);
	AUTO_FD int fd = open(file, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd == -1)
		return err_set(err, ERR_CONFIG, "'%s' cannot be opened: %s; is this run as trust.user, or root?", file, strerror(errno));
	if (flock(fd, LOCK_EX | LOCK_NB) == -1)
		return err_set(err, ERR_TEMP, "another refresh is running: '%s' is locked", file);
	*ret = TAKE_FD(fd);
	return 0;
}

static enum ctl_exit
finish(struct run *run)
{
	struct err err = { 0 };

	ctl_table_print(run->ctl, run->table);
	if (say_changed(run, &err) == -1)
		return ctl_fail_err(run->ctl, CTL_UNAVAILABLE, &err);
	if (run->dead)
		return ctl_fail(run->ctl, CTL_UNAVAILABLE, "for some authority there is no statement about revocation that counts: mail whose "
		    "certificates depend on it is deferred");
	return run->failed ? CTL_FALSE : CTL_OK;
}

/* As trust.user from here on: nothing that others send is read as root. */
static int
begin(const struct config *config, struct err *err)
{
	if (trust_store_prepare(config, err) == -1)
		return -1;
	if (priv_drop(config->trust.user, err) == -1)
		return err_wrap(err, "trust.user");
	return priv_harden(err);
}

static enum ctl_exit
refresh(struct ctl *ctl, const struct config *config, const struct trust_store *store)
{
	AUTO(xfree) char *state = trust_folder(config, "state");
	AUTO(fetch_close) struct fetch *fetch = NULL;
	AUTO(ctl_table_free) struct ctl_table *table = ctl_table_new(columns, N_ELEMENTS(columns));
	struct run run = { .ctl = ctl, .config = config, .store = store, .table = table };
	AUTO_FD int locked = -1;
	struct err err = { 0 };

	if (lock(state, &locked, &err) == -1 || fetch_open(config, &fetch, &err) == -1)
		return ctl_fail_err(ctl, CTL_UNAVAILABLE, &err);
	sweep(config);
	run.fetch = fetch;
	run.stored = is_unsaid(config);
	refresh_all(&run, ctl->registry_file ? ctl->registry_file : config->registry.file);
	free(run.services);
	return finish(&run);
}

enum ctl_exit
trust_refresh(struct ctl *ctl)
{
	AUTO(config_free) struct config *config = trust_config(ctl);
	AUTO(trust_store_close) struct trust_store *store = NULL;
	struct err err = { 0 };

	if (!config)
		return CTL_UNAVAILABLE;
	if (begin(config, &err) == -1)
		return ctl_fail_err(ctl, CTL_UNAVAILABLE, &err);
	store = trust_open(ctl, config);
	return store ? refresh(ctl, config, store) : CTL_UNAVAILABLE;
}
