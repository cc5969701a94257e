/* One snapshot, two threads: what is remembered about signatures is shared by them. */
#include "tests/smime/chain_world.h"

#include <pthread.h>

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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests_name("trust threads", tests, setup, teardown);
}
