#include "milter/ctl/trust_status.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "policy/registry/list.h"

const char *
age_name(enum age age)
{
	static const char *const names[] = {
		[AGE_NONE] = "none", [AGE_DEAD] = "dead", [AGE_GRACE] = "grace", [AGE_FRESH] = "fresh",
	};

	return names[age];
}

time_t
age_until(const struct config *config, time_t this_update, time_t next_update)
{
	return next_update ? next_update : this_update + trust_ages_of(config).ocsp_most;
}

enum age
age_of(const struct config *config, time_t until, time_t now)
{
	if (now <= until)
		return AGE_FRESH;
	return now <= until + trust_ages_of(config).grace ? AGE_GRACE : AGE_DEAD;
}

bool
age_is_ahead(const struct config *config, time_t this_update, time_t now)
{
	return this_update > now + trust_ages_of(config).skew;
}

/* --- one file --- */

/* False: there is none, or it cannot be read (then why is set). */
static bool
read_stored(const char *file, size_t cap, struct buf *ret, struct stored *stored)
{
	struct err err = { 0 };

	if (access(file, F_OK) == -1 && errno == ENOENT)
		return false;
	if (ctl_read_file(file, cap, ret, &err) == 0)
		return true;
	memcpy(stored->why, err.text, sizeof(stored->why) - 1);
	return false;
}

static void
keep_why(struct stored *stored, const struct err *err)
{
	memcpy(stored->why, err->text, sizeof(stored->why) - 1);
}

void
stored_crl(const struct config *config, const struct authority *authority, time_t now, struct stored *ret)
{
	AUTO(xfree) char *file = trust_file(config, "crl", authority->id, "crl");
	AUTO_BUF struct buf bytes = { 0 };
	struct err err = { 0 };

	*ret = (struct stored){ .age = AGE_NONE };
	if (!read_stored(file, LIMIT_CRL_BYTES, &bytes, ret))
		return;
	if (crl_check(buf_slice(&bytes), buf_slice(&authority->der), &ret->crl, &err) == -1) {
		keep_why(ret, &err);
		return;
	}
	ret->until = age_until(config, ret->crl.this_update, ret->crl.next_update);
	ret->age = age_of(config, ret->until, now);
}

void
stored_ocsp(const struct config *config, const struct subject *subject, time_t now, struct stored *ret)
{
	AUTO(xfree) char *file = trust_file(config, "ocsp", subject->id, "ors");
	AUTO_BUF struct buf bytes = { 0 };
	struct err err = { 0 };

	*ret = (struct stored){ .age = AGE_NONE };
	if (!read_stored(file, LIMIT_OCSP_BYTES, &bytes, ret))
		return;
	if (ocsp_check(buf_slice(&bytes), subject->der, buf_slice(&subject->authority->der), NULL, now, &ret->ocsp, &err) == -1) {
		keep_why(ret, &err);
		return;
	}
	ret->until = age_until(config, ret->ocsp.this_update, ret->ocsp.next_update);
	ret->age = age_of(config, ret->until, now);
}

/* --- who is asked about --- */

void
subjects_free(struct subjects *subjects)
{
	if (!subjects)
		return;
	for (size_t i = 0; i < subjects->n; i++) {
		buf_done(&subjects->ders[i]);
		free(subjects->names[i]);
	}
	free(subjects->at);
	free(subjects->ders);
	free(subjects->names);
	free(subjects);
}

static void
add_subject(struct subjects *subjects, const struct authority *authority, struct slice der, const struct cert_facts *facts)
{
	const size_t n = subjects->n++;

	subjects->at = xrealloc(subjects->at, subjects->n * sizeof(*subjects->at));
	subjects->ders = xrealloc(subjects->ders, subjects->n * sizeof(*subjects->ders));
	subjects->names = xrealloc(subjects->names, subjects->n * sizeof(*subjects->names));
	buf_init(&subjects->ders[n], der.len);
	buf_add_slice(&subjects->ders[n], der);
	subjects->names[n] = xstrdup(facts->subject);
	subjects->at[n] = (struct subject){
		.name = subjects->names[n], .der = buf_slice(&subjects->ders[n]), .authority = authority,
	};
	sha256_hex(facts->sha256, subjects->at[n].id);
}

static void
add_if_asked(const struct trust_store *store, struct slice der, time_t now, struct subjects *subjects)
{
	const struct authority *authority = trust_store_issuer(store, der, now);
	struct cert_facts facts;

	if (authority && authority->ocsp.n && cert_inspect(der, &facts, NULL) == 0)
		add_subject(subjects, authority, der, &facts);
}

static void
add_authorities(const struct trust_store *store, time_t now, struct subjects *subjects)
{
	for (size_t i = 0; i < store->n; i++)
		if (!authority_is_anchor(&store->at[i]) && cert_time_at(&store->at[i].facts, now) != CERT_TIME_PAST)
			add_if_asked(store, buf_slice(&store->at[i].der), now, subjects);
}

struct ids {
	int64_t *at;
	size_t n;
};

static void
each_cert(void *ctx, const struct list_cell *cells, size_t n)
{
	struct ids *ids = ctx;

	if (n == 0)
		return;
	ids->at = xrealloc(ids->at, (ids->n + 1) * sizeof(*ids->at));
	ids->at[ids->n++] = cells[0].number;
}

static int
add_registered(const struct trust_store *store, struct registry *registry, const struct ids *ids, time_t now, struct subjects *subjects,
    struct err *err)
{
	for (size_t i = 0; i < ids->n; i++) {
		AUTO(xfree) unsigned char *der = NULL;
		size_t len = 0;

		if (registry_cert_der(registry, ids->at[i], &der, &len, err) == -1)
			return -1;
		add_if_asked(store, (struct slice){ der, len }, now, subjects);
	}
	return 0;
}

/* The registry is read only where somebody could be asked about what it holds. */
static bool
asks_anybody(const struct trust_store *store)
{
	for (size_t i = 0; i < store->n; i++)
		if (store->at[i].ocsp.n)
			return true;
	return false;
}

static int
add_registry(const struct trust_store *store, const char *file, time_t now, struct subjects *subjects, struct err *err)
{
	AUTO(registry_close) struct registry *registry = NULL;
	const struct list_filter filter = { .at = now };
	struct ids ids = { NULL, 0 };
	int result = registry_open(file, (int)store->config->registry.timeout, &registry, err);

	if (result == 0)
		result = registry_list(registry, LIST_CERT, &filter, each_cert, &ids, err);
	if (result == 0)
		result = add_registered(store, registry, &ids, now, subjects, err);
	free(ids.at);
	return result;
}

struct subjects *
subjects_load(const struct trust_store *store, const char *registry_file, time_t now)
{
	struct subjects *subjects = xcalloc(1, sizeof(*subjects));

	if (!asks_anybody(store))
		return subjects;
	add_authorities(store, now, subjects);
	if (add_registry(store, registry_file, now, subjects, &subjects->err) == -1 && subjects->err.kind == ERR_NONE)
		subjects->err.kind = ERR_TEMP;
	return subjects;
}
