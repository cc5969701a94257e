/* One snapshot, many threads: what is remembered about signatures is shared by them, while a new one takes its place. */
#include "tests/smime/chain_world.h"

#include <pthread.h>
#include <stdatomic.h>

#include "milter/filter/trust_watch.h"
#include "milter/log.h"
#include "smime/inspect.h"
#include "smime/verify.h"
#include "tests/support/forge.h"

enum { MANY_THREADS = 8, MANY_RELOADS = 6, LEAST_ROUNDS = 5 };

static int
setup(void **state)
{
	(void)state;
	world_open(&world);
	must_sh("mkpki --out root --ca --cn Root" DATES "; mkpki --out ica --ca-of root --ca --cn Authority" DATES
	    "; mkpki --out leaf --ca-of ica --cn Leaf --email a@a.example" DATES "; mkpki --out delegate --ca-of ica --cn Responder" DATES
	    "; mkx509 cert --in delegate.crt --ca ica --out delegate --ext extendedKeyUsage=OCSPSigning --ext noCheck=ignored");
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	world_close(&world);
	return 0;
}

struct job {
	const struct trust *trust;
	struct slice leaf, helper;
	size_t n_wrong;
};

static void *
judge_often(void *arg)
{
	struct job *job = arg;

	for (int i = 0; i < 50; i++) {
		const struct chain_request request = { .trust = job->trust, .leaf = job->leaf, .untrusted = &job->helper, .n_untrusted = 1,
			.at = time(NULL) };
		struct chain_facts facts;

		chain_judge(&request, &facts);
		job->n_wrong += facts.state != CHAIN_GOOD || facts.revocation != REVOCATION_GOOD;
	}
	return NULL;
}

static void
test_threads(void **state)
{
	AUTO(trust_free) struct trust *trust = NULL;
	struct job jobs[2];
	pthread_t threads[2];

	(void)state;
	fill("cp root.crt anchors/; mkx509 crl --ca root --out crls/root.crl; mkx509 crl --ca ica --out crls/a.crl --revoke-many 1000"
	    "; mkx509 ocsp --ca ica --cert leaf.crt --out ocsp/a.ors --signer delegate");
	trust = load_trust(NULL);
	for (int i = 0; i < 2; i++) {
		jobs[i] = (struct job){ .trust = trust, .leaf = read_der("leaf.crt"), .helper = read_der("ica.crt") };
		assert_int_equal(pthread_create(&threads[i], NULL, judge_often, &jobs[i]), 0);
	}
	for (int i = 0; i < 2; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_int_equal(jobs[i].n_wrong, 0);
		heap_free(jobs[i].leaf);
		heap_free(jobs[i].helper);
	}
}

/* ---- whole messages, and the folder changes meanwhile ---- */

struct court {
	struct trust_watch *watch;
	struct slice mail;
	atomic_long now;        /* the watch's clock: each look is a second later, so that each may load anew */
	atomic_bool over;
	atomic_size_t n_good, n_revoked, n_wrong;
};

/* Which of the two the certificate is depends on the snapshot; anything else is wrong. */
static void
judge_mail(struct court *court)
{
	const struct trust_held *held = trust_watch_ref(court->watch, atomic_fetch_add(&court->now, 1), NULL);
	struct message_facts message;
	struct signature_facts facts = { .state = SIGNATURE_UNKNOWN };
	const struct verify_request request = { .message = court->mail, .facts = &message, .trust = held ? held->trust : NULL, .at = time(NULL) };
	struct err err = { 0 };

	if (!held || smime_inspect(court->mail, &message, &err) == -1 || smime_verify(&request, &facts, &err) == -1
	    || facts.state != SIGNATURE_GOOD || facts.chain.state != CHAIN_GOOD)
		atomic_fetch_add(&court->n_wrong, 1);
	else if (facts.chain.revocation == REVOCATION_GOOD)
		atomic_fetch_add(&court->n_good, 1);
	else
		atomic_fetch_add(facts.chain.revocation == REVOCATION_REVOKED ? &court->n_revoked : &court->n_wrong, 1);
	trust_watch_unref(court->watch, held);
}

static void *
judge_mails(void *arg)
{
	struct court *court = arg;

	for (int i = 0; i < LEAST_ROUNDS || !atomic_load(&court->over); i++)
		judge_mail(court);
	return NULL;
}

static void
make_mail(struct buf *ret)
{
	const struct slice entity = slice_of("Content-Type: text/plain\r\n\r\nHalo\r\n");
	const struct forge forge = { .signer = "leaf", .other = "ica", .content = entity };
	AUTO_BUF struct buf cms = { 0 };

	forge_cms(&forge, &cms);
	forge_clear_mail("From: a@a.example\r\nSubject: Halo\r\n", entity, buf_slice(&cms), ret);
}

/* As segelctl trust refresh does: whole, in one step, and then said. */
static void
replace_list(int round, const char *serial)
{
	AUTO(xfree) char *line = xasprintf("mkx509 crl --ca ica --out trust/state/new --number %x %s%s; mv trust/state/new trust/crl/a.crl"
	    "; echo %d >trust/state/new; mv trust/state/new trust/state/generation", round + 1, round % 2 ? "--revoke " : "",
	    round % 2 ? serial : "", round);

	must_sh(line);
}

static void
open_court(struct court *court, struct buf *mail)
{
	static char dir[] = "trust";
	struct config config = { .trust = { .dir = dir, .grace = 86400 * 1000L } };

	must_sh("rm -rf trust; mkdir -p trust/anchors/official trust/crl trust/ocsp trust/state; cp root.crt trust/anchors/official"
	    "; cp ica.crt trust/anchors; mkx509 crl --ca root --out trust/crl/root.crl");
	log_open("test", LOG_TO_STDERR, LOG_LEVEL_FATAL);
	make_mail(mail);
	*court = (struct court){ .watch = trust_watch_new(&config), .mail = heap_slice(mail->at, mail->len), .now = 1 };
}

static char *
serial_of(const char *file)
{
	struct slice der = read_der(file);
	struct cert_facts facts;
	struct err err = { 0 };

	assert_int_equal(cert_inspect(der, &facts, &err), 0);
	heap_free(der);
	return xstrdup(facts.serial);
}

/* Each list is in force until the next: at least one judgement under it has been seen before that comes. */
static void
wait_for_one(atomic_size_t *count, size_t before)
{
	const struct timespec pause = { .tv_nsec = 1000000 };
	const time_t end = time(NULL) + 60;

	while (atomic_load(count) == before) {
		if (time(NULL) > end)
			fail_msg("after a minute nobody judges by the new list");
		nanosleep(&pause, NULL);
	}
}

static void
test_reload(void **state)
{
	AUTO(xfree) char *serial = serial_of("leaf.crt");
	AUTO_BUF struct buf mail = { 0 };
	pthread_t threads[MANY_THREADS];
	struct court court;

	(void)state;
	open_court(&court, &mail);
	replace_list(0, serial);
	for (int i = 0; i < MANY_THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, judge_mails, &court), 0);
	wait_for_one(&court.n_good, 0);
	for (int round = 1; round <= MANY_RELOADS; round++) {
		atomic_size_t *count = round % 2 ? &court.n_revoked : &court.n_good;
		const size_t before = atomic_load(count);

		replace_list(round, serial);
		wait_for_one(count, before);
	}
	atomic_store(&court.over, true);
	for (int i = 0; i < MANY_THREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(atomic_load(&court.n_wrong), 0);
	trust_watch_free(court.watch);
	heap_free(court.mail);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_reload),
	};

	return cmocka_run_group_tests_name("trust threads", tests, setup, teardown);
}
