/* A verdict with its words, whatever the files of the folders are called and in which order they are read. */
#include "tests/smime/chain_world.h"

static int
setup(void **state)
{
	(void)state;
	world_open(&world);
	must_sh("mkpki --self --out root --ca --cn Root" DATES "; mkpki --out ica --ca-of root --ca --cn Issuing" DATES
	    "; mkpki --self --out other --ca --cn Issuing" DATES "; mkpki --out leaf --ca-of ica --cn Budi --email budi@kota.example" DATES
	    "; mkpki --self --out root2 --ca --cn Root" DATES "; mkx509 cert --in ica.crt --ca root2 --out ica2");
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	world_close(&world);
	return 0;
}

#define CRL "mkx509 crl --ca ica --out crls/"
#define OCSP "mkx509 ocsp --ca ica --signer ica --cert leaf.crt --out ocsp/"

/* Lines that make the files 1 and 2 of one folder; both are there, and are read in one order and in the other. */
static const struct {
	const char *name;
	enum revocation_state want;
	const char *folder;
	const char *line;
} rows[] = {
	{ "two CRLs that do not count", REVOCATION_UNKNOWN, "crls", CRL "1 --damage; " CRL "2 --from +1d --to +2d" },
	{ "two CRLs of one number and time", REVOCATION_GOOD, "crls", CRL "1 --number 5; " CRL "2 --number 5 --revoke 1234" },
	{ "two CRLs of one number and time, one of which lists it", REVOCATION_REVOKED, "crls", CRL "1 --number 5; " CRL
	  "2 --number 5 --revoke $(openssl x509 -in leaf.crt -noout -serial | cut -d= -f2)" },
	{ "two that are too old", REVOCATION_UNKNOWN, "crls", CRL "1 --number 5 --from -9d --to -8d; " CRL "2 --number 5 --from -9d --to -8d --revoke 1234" },
	{ "two of some reasons each", REVOCATION_GOOD, "crls", CRL "1 --number 1 --ext 2.5.29.28=critical,DER:300483020560; " CRL
	  "2 --number 2 --ext 2.5.29.28=critical,DER:30058303071f80" },
	{ "two OCSP answers that do not count", REVOCATION_UNKNOWN, "ocsp", OCSP "1 --status unknown --damage; " OCSP "2 --status good --from +1d --to +2d" },
	{ "two OCSP answers of one time", REVOCATION_UNKNOWN, "ocsp", OCSP "1 --status good; " OCSP "2 --status unknown" },
	{ "two OCSP answers of one time, one of them revoked", REVOCATION_REVOKED, "ocsp", OCSP "1 --status unknown; " OCSP "2 --status revoked" },
	{ "two OCSP answers that differ in nextUpdate", REVOCATION_GOOD, "ocsp", OCSP "1 --status good --from -2d --to -1d; " OCSP "2 --status good --from -2d --to +1d" },
	{ "two roots of one name", REVOCATION_UNKNOWN, "anchors", "cp root.crt anchors/1; cp root2.crt anchors/2; rm anchors/root.crt" },
	{ "two issuers of one name and key", REVOCATION_UNKNOWN, "anchors", "cp ica.crt anchors/1; cp ica2.crt anchors/2" },
	{ "no root, two issuers", REVOCATION_UNKNOWN, "anchors", "rm anchors/root.crt; cp root2.crt anchors/2; cp ica.crt anchors/1" },
};

static void
judge_after(const char *line, time_t now, struct chain_facts *ret)
{
	AUTO_BUF struct buf problems = { 0 };
	AUTO(trust_free) struct trust *trust = NULL;

	must_sh(line);
	buf_init(&problems, 4096);
	trust = load_trust(&problems);
	judge(trust, "leaf.crt", "ica.crt", now, false, ret);
}

static void
test_order(void **state)
{
	const time_t now = time(NULL);

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
		struct chain_facts one, other;
		char swap[200];

		fill("cp root.crt anchors; mkx509 crl --ca root --out crls/root.crl");
		judge_after(rows[i].line, now, &one);
		snprintf(swap, sizeof(swap), "cd %s; mv 1 3; mv 2 1; mv 3 2", rows[i].folder);
		judge_after(swap, now, &other);
		if (one.revocation != rows[i].want)
			fail_msg("%s: %s '%s'", rows[i].name, revocation_state_name(one.revocation), one.revocation_why);
		if (one.state != other.state || strcmp(one.why, other.why) != 0 || one.revocation != other.revocation
		    || strcmp(one.revocation_why, other.revocation_why) != 0 || one.anchor != other.anchor || one.status_at != other.status_at)
			fail_msg("%s: %s '%s', %s '%s'; the other way round %s '%s', %s '%s'", rows[i].name, chain_state_name(one.state), one.why,
			    revocation_state_name(one.revocation), one.revocation_why, chain_state_name(other.state), other.why,
			    revocation_state_name(other.revocation), other.revocation_why);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
