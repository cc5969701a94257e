/* Revocation: which CRLs and OCSP answers count, how old they may be, and what they cost. */
#include "tests/smime/chain_world.h"

#include "smime/crl.h"
#include "smime/ocsp.h"

static char serial_of_leaf[48];

/* The point of pointed.crt, with cRLIssuer CN=Other (RFC 5280 4.2.1.13). */
#define POINT_OF_OTHER "30343032a01aa0188616687474703a2f2f612e6578616d706c652f312e63726ca214a412" \
	"3010310e300c06035504030c054f74686572"

static int
setup(void **state)
{
	struct slice der;
	struct cert_facts facts;
	struct err err = { 0 };

	(void)state;
	world_open(&world);
	must_sh("mkpki --out root --ca --cn Root" DATES "; mkpki --out twin --ca --cn Root" DATES "; mkpki --out other --ca --cn Other" DATES
	    "; mkpki --out ica --ca-of root --ca --cn Authority --serial 1ca" DATES
	    "; mkpki --out leaf --ca-of ica --cn Leaf --email a@a.example" DATES "; mkpki --out leaf2 --ca-of ica --cn Leaf2 --email b@a.example" DATES
	    "; mkx509 cert --in leaf.crt --ca ica --out pointed --ext crlDistributionPoints=URI:http://a.example/1.crl"
	    "; mkx509 cert --in leaf.crt --ca ica --out lent --ext crlDistributionPoints=DER:" POINT_OF_OTHER
	    "; mkx509 cert --in ica.crt --ca root --out nocrlsign --ext keyUsage=critical,keyCertSign");
	/* A certificate of the authority's name that signs lists and answers only; and the same from elsewhere. */
	must_sh("mkpki --out lister --ca-of root --ca --cn Authority --serial 1157" DATES
	    "; mkx509 cert --in lister.crt --ca root --out lister --ext keyUsage=critical,cRLSign"
	    "; mkpki --out outsider --ca-of other --ca --cn Authority" DATES "; mkpki --out ownlister --ca --cn Authority" DATES
	    "; mkpki --out responder --ca-of ica --cn Responder --eku none" DATES
	    "; r() { mkx509 cert --in responder.crt --ca $1 --out $2 --ext extendedKeyUsage=$3 ${4:+--ext noCheck=ignored}; cp responder.key $2.key; }"
	    "; mkpki --out small --ca-of ica --cn Responder --eku none --from -30d --to +30d --key rsa1024; mkx509 cert --in small.crt --ca ica --out small"
	    " --ext extendedKeyUsage=OCSPSigning --ext noCheck=ignored; mkx509 cert --in responder.crt --ca ica --out olddigest --digest sha1"
	    " --ext extendedKeyUsage=OCSPSigning --ext noCheck=ignored; cp responder.key olddigest.key"
	    "; r ica delegate OCSPSigning nocheck; r ica checked OCSPSigning; r ica unasked emailProtection nocheck; r root foreign OCSPSigning nocheck"
	    "; mkpki --out late --ca-of ica --cn Responder --eku none --key p256 --from -30d --to -1d; mkx509 cert --in late.crt --ca ica"
	    " --out late --ext extendedKeyUsage=OCSPSigning --ext noCheck=ignored");
	der = read_der("leaf.crt");
	assert_int_equal(cert_inspect(der, &facts, &err), 0);
	heap_free(der);
	snprintf(serial_of_leaf, sizeof(serial_of_leaf), "%s", facts.serial);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	world_close(&world);
	return 0;
}

/* The root's list is there and good; what follows fills crls/ and ocsp/ with what is said about the leaf. */
#define CRL "mkx509 crl --ca ica --out crls/a.crl "
#define CRL_B "; mkx509 crl --ca ica --out crls/b.crl "
#define OCSP "mkx509 ocsp --ca ica --signer ica --cert leaf.crt --out ocsp/a.ors "
#define OCSP_B "; mkx509 ocsp --ca ica --signer ica --cert leaf.crt --out ocsp/b.ors "
#define OCSP_BY "mkx509 ocsp --ca ica --cert leaf.crt --out ocsp/a.ors --signer "
#define USERS "--ext issuingDistributionPoint=critical,onlyuser:TRUE "
#define CAS "--ext issuingDistributionPoint=critical,onlyCA:TRUE "
#define POINT(uri) "--ext issuingDistributionPoint=critical,fullname:URI:" uri " "
/* openssl's text form takes no list here. */
#define KEY_AND_CA "--ext 2.5.29.28=critical,DER:300483020560 "
#define THE_OTHERS "--ext 2.5.29.28=critical,DER:30058303071f80 "

static const struct {
	const char *name;
	const char *line;
	enum revocation_state want;
	bool want_stale;
	const char *want_why;
	const char *leaf;      /* NULL = leaf.crt */
	const char *untrusted; /* NULL = ica.crt */
	bool any_strength;
} rows[] = {
	{ "nothing", ":", REVOCATION_UNKNOWN, false, "no CRL and no OCSP answer", NULL, NULL, false },
	{ "a CRL", CRL, REVOCATION_GOOD, false, "CRL number 1 ", NULL, NULL, false },
	{ "a CRL that lists it", CRL "--revoke $SERIAL", REVOCATION_REVOKED, false, "revoked since", NULL, NULL, false },
	{ "a CRL that lists another", CRL "--revoke 1234 --revoke 7fffffffffffffffffffffffffffffff", REVOCATION_GOOD, false, "", NULL, NULL, false },
	{ "a CRL that lists it on hold", CRL "--revoke $SERIAL:certificateHold", REVOCATION_REVOKED, false, "on hold", NULL, NULL, false },
	{ "a CRL in PEM", CRL "--pem", REVOCATION_GOOD, false, "", NULL, NULL, false },
	{ "the authority is revoked", CRL "; mkx509 crl --ca root --out crls/root.crl --number 2 --revoke 1ca", REVOCATION_REVOKED, false,
	  "an authority", NULL, NULL, false },
	{ "the authority is not known", CRL "; rm crls/root.crl", REVOCATION_UNKNOWN, false, "an authority of the path: no CRL", NULL, NULL, false },
	{ "authority not known, leaf revoked", CRL "--revoke $SERIAL; rm crls/root.crl", REVOCATION_REVOKED, false, "revoked", NULL, NULL, false },

	/* Whose */
	{ "signature damaged", CRL "--damage", REVOCATION_UNKNOWN, false, "signed by no key", NULL, NULL, false },
	{ "lists it, signature damaged", CRL "--revoke $SERIAL --damage", REVOCATION_UNKNOWN, false, "signed by no key", NULL, NULL, false },
	{ "another's", "mkx509 crl --ca other --out crls/a.crl", REVOCATION_UNKNOWN, false, "no CRL", NULL, NULL, false },
	{ "another's in its name", "mkx509 crl --ca other --name-of ica.crt --out crls/a.crl", REVOCATION_UNKNOWN, false, "signed by no key",
	  NULL, NULL, false },
	{ "another's in its name beside its own, newer", CRL "; mkx509 crl --ca other --name-of ica.crt --number 99 --out crls/b.crl", REVOCATION_GOOD,
	  false, "number 1 ", NULL, NULL, false },
	{ "its own in another's name", "mkx509 crl --ca ica --name-of other.crt --out crls/a.crl", REVOCATION_UNKNOWN, false, "no CRL", NULL, NULL, false },
	{ "by an authority that may not sign CRLs", CRL, REVOCATION_UNKNOWN, false, "signed by no key", NULL, "nocrlsign.crt", false },
	{ "by its lister", "mkx509 crl --ca lister --out crls/a.crl", REVOCATION_GOOD, false, "", NULL, "ica.crt lister.crt", false },
	{ "by its lister, who is ours", "mkx509 crl --ca lister --out crls/a.crl; cp lister.crt anchors", REVOCATION_GOOD, false, "", NULL, NULL, false },
	/* Two keys of one name (a renewed authority's), each with a list about what it issued itself. */
	{ "its own key's lists it, another key's has a higher number", CRL "--number 5 --revoke $SERIAL; cp lister.crt anchors"
	  "; mkx509 crl --ca lister --number 99 --out crls/b.crl", REVOCATION_REVOKED, false, "CRL number 5 ", NULL, NULL, false },
	{ "its own key's does not, another key's has a higher number", CRL "--number 5; cp lister.crt anchors"
	  "; mkx509 crl --ca lister --number 99 --from -1m --out crls/b.crl", REVOCATION_GOOD, false, "CRL number 5 ", NULL, NULL, false },
	{ "its own key's does not, another key's is later", CRL "--number 5 --from -3h; cp lister.crt anchors"
	  "; mkx509 crl --ca lister --number 4 --from -1m --out crls/b.crl", REVOCATION_GOOD, false, "CRL number 5 ", NULL, NULL, false },
	{ "its own key's is dead, another key's is fresh", CRL "--number 5 --from -9d --to -8d; cp lister.crt anchors"
	  "; mkx509 crl --ca lister --number 99 --out crls/b.crl", REVOCATION_UNKNOWN, false, "CRL number", NULL, NULL, false },
	{ "its own key's does not, another key's of a higher number lists it", CRL "--number 5; cp lister.crt anchors"
	  "; mkx509 crl --ca lister --number 99 --revoke $SERIAL --out crls/b.crl", REVOCATION_REVOKED, false, "CRL number 99 ", NULL, NULL, false },
	{ "its own key's of a higher number does not, another key's had it on hold", CRL "--number 99; cp lister.crt anchors"
	  "; mkx509 crl --ca lister --number 5 --from -2h --revoke $SERIAL:certificateHold --out crls/b.crl", REVOCATION_GOOD, false, "CRL number 99 ",
	  NULL, NULL, false },
	{ "by its lister, whom nobody knows", "mkx509 crl --ca lister --out crls/a.crl", REVOCATION_UNKNOWN, false, "signed by no key", NULL, NULL, false },
	{ "by its lister, who is revoked", "mkx509 crl --ca lister --out crls/a.crl; mkx509 crl --ca root --out crls/root.crl --number 2 --revoke 1157",
	  REVOCATION_UNKNOWN, false, "signed by no key", NULL, "ica.crt lister.crt", false },
	{ "by one of its name below another root", "mkx509 crl --ca outsider --out crls/a.crl; cp other.crt anchors; mkx509 crl --ca other --out crls/o.crl",
	  REVOCATION_UNKNOWN, false, "signed by no key", NULL, "ica.crt outsider.crt", false },
	{ "by one of its name, self-signed, from the message", "mkx509 crl --ca ownlister --out crls/a.crl", REVOCATION_UNKNOWN, false,
	  "signed by no key", NULL, "ica.crt ownlister.crt", false },
	{ "SHA-1", CRL "--digest sha1", REVOCATION_UNKNOWN, false, "SHA-1", NULL, NULL, false },
	{ "SHA-1 where strength does not matter", CRL "--digest sha1", REVOCATION_GOOD, false, "", NULL, NULL, true },

	/* How old */
	{ "nextUpdate an hour ago", CRL "--from -1d --to -1h", REVOCATION_GOOD, true, "past its nextUpdate", NULL, NULL, false },
	{ "nextUpdate two days ago", CRL "--from -9d --to -2d", REVOCATION_UNKNOWN, false, "too old", NULL, NULL, false },
	{ "dead, and lists it", CRL "--from -9d --to -2d --revoke $SERIAL", REVOCATION_REVOKED, false, "revoked", NULL, NULL, false },
	{ "dead, and had it on hold", CRL "--from -9d --to -2d --revoke $SERIAL:certificateHold", REVOCATION_UNKNOWN, false, "too old", NULL, NULL, false },
	{ "of the next hour", CRL "--from +1h", REVOCATION_UNKNOWN, false, "has not come", NULL, NULL, false },
	{ "of the next minute", CRL "--from +1m", REVOCATION_GOOD, false, "", NULL, NULL, false },
	{ "without nextUpdate, of today", CRL "--from -1h --to none", REVOCATION_GOOD, false, "", NULL, NULL, false },
	{ "without nextUpdate, of last week", CRL "--from -7d --to none", REVOCATION_UNKNOWN, false, "missing", NULL, NULL, false },

	/* Which of several */
	{ "the newer lists it", CRL "--number 9" CRL_B "--number a --revoke $SERIAL", REVOCATION_REVOKED, false, "number a ", NULL, NULL, false },
	{ "the older lists it", CRL "--number 9 --revoke $SERIAL --from -2h" CRL_B "--number a", REVOCATION_GOOD, false, "number a ", NULL, NULL, false },
	{ "numbers of different length", CRL "--number ff --revoke $SERIAL --from -2h" CRL_B "--number 100", REVOCATION_GOOD, false, "number 100 ", NULL, NULL,
	  false },
	{ "the older comes back: too old, newer file", CRL "--number 9 --from -2d --to -25h" CRL_B "--number 8 --from -9d --to -8d", REVOCATION_UNKNOWN, false,
	  "", NULL, NULL, false },
	{ "a higher number of an earlier time", CRL "--number 9 --from -2h" CRL_B "--number a --from -4h", REVOCATION_UNKNOWN, false, "of an earlier time",
	  NULL, NULL, false },
	{ "a higher number of an earlier time that lists it", CRL "--number 9 --from -2h" CRL_B "--number a --from -4h --revoke $SERIAL",
	  REVOCATION_REVOKED, false, "", NULL, NULL, false },
	{ "a higher number, the other is dead", CRL "--number 9 --from -9d --to -8d --revoke $SERIAL" CRL_B "--number a --from -1h", REVOCATION_GOOD, false,
	  "number a ", NULL, NULL, false },
	{ "no number", CRL "--number none", REVOCATION_GOOD, false, "", NULL, NULL, false },
	{ "no number, and an older one that lists it", CRL "--number none --from -1h" CRL_B "--number none --from -2h --revoke $SERIAL", REVOCATION_GOOD,
	  false, "", NULL, NULL, false },
	{ "no number, and a newer one that lists it", CRL "--number none --from -2h" CRL_B "--number none --from -1h --revoke $SERIAL",
	  REVOCATION_REVOKED, false, "", NULL, NULL, false },
	{ "the newer has a damaged signature", CRL "--number 9" CRL_B "--number a --revoke $SERIAL --damage", REVOCATION_GOOD, false, "number 9 ", NULL, NULL,
	  false },
	{ "the newer is of the next hour", CRL "--number 9" CRL_B "--number a --from +1h", REVOCATION_GOOD, false, "number 9 ", NULL, NULL, false },

	/* About what */
	{ "delta", CRL "--ext 2.5.29.27=critical,DER:020101", REVOCATION_UNKNOWN, false, "no CRL", NULL, NULL, false },
	{ "delta that lists it, beside the complete one", CRL "--number 1" CRL_B "--number 2 --revoke $SERIAL --ext 2.5.29.27=critical,DER:020101",
	  REVOCATION_GOOD, false, "", NULL, NULL, false },
	{ "indirect", CRL "--ext issuingDistributionPoint=critical,indirectCRL:TRUE", REVOCATION_UNKNOWN, false, "no CRL", NULL, NULL, false },
	{ "attribute certificates only", CRL "--ext issuingDistributionPoint=critical,onlyAA:TRUE", REVOCATION_UNKNOWN, false, "no CRL", NULL, NULL, false },
	{ "users only", CRL USERS, REVOCATION_GOOD, false, "", NULL, NULL, false },
	{ "authorities only", CRL CAS, REVOCATION_UNKNOWN, false, "no CRL", NULL, NULL, false },
	{ "users only, and the newer of authorities", CRL USERS "--revoke $SERIAL" CRL_B CAS "--number 2", REVOCATION_REVOKED, false, "", NULL, NULL, false },
	{ "its distribution point", CRL POINT("http://a.example/1.crl"), REVOCATION_GOOD, false, "", "pointed.crt", NULL, false },
	{ "another distribution point", CRL POINT("http://a.example/2.crl"), REVOCATION_UNKNOWN, false, "no CRL", "pointed.crt", NULL, false },
	{ "a distribution point that it does not name", CRL POINT("http://a.example/1.crl"), REVOCATION_UNKNOWN, false, "no CRL", NULL, NULL, false },
	{ "its distribution point, whose CRLs are another's", CRL POINT("http://a.example/1.crl"), REVOCATION_UNKNOWN, false, "no CRL", "lent.crt", NULL, false },
	{ "another's point is newer", CRL POINT("http://a.example/1.crl") "--revoke $SERIAL" CRL_B POINT("http://a.example/2.crl") "--number 2",
	  REVOCATION_REVOKED, false, "", "pointed.crt", NULL, false },
	{ "some reasons", CRL KEY_AND_CA, REVOCATION_UNKNOWN, false, "some reasons", NULL, NULL, false },
	{ "some reasons, and lists it", CRL KEY_AND_CA "--revoke $SERIAL:keyCompromise", REVOCATION_REVOKED, false, "", NULL, NULL,
	  false },
	{ "some reasons and all the others", CRL KEY_AND_CA CRL_B
	  THE_OTHERS, REVOCATION_GOOD, false, "", NULL, NULL,
	  false },
	{ "unknown extension", CRL "--ext 1.2.3.4=DER:0500", REVOCATION_GOOD, false, "", NULL, NULL, false },
	{ "unknown critical extension", CRL "--ext 1.2.3.4=critical,DER:0500", REVOCATION_UNKNOWN, false, "critical", NULL, NULL, false },
	{ "unknown critical extension, lists it", CRL "--ext 1.2.3.4=critical,DER:0500 --revoke $SERIAL", REVOCATION_REVOKED, false, "", NULL, NULL, false },
	{ "unknown extension of an entry", CRL "--revoke 1234 --entry-ext 1.2.3.4=DER:0500", REVOCATION_GOOD, false, "", NULL, NULL, false },
	{ "unknown critical extension of another's entry", CRL "--revoke 1234 --entry-ext 1.2.3.4=critical,DER:0500", REVOCATION_UNKNOWN, false,
	  "critical", NULL, NULL, false },
	{ "unknown critical extension of its entry", CRL "--revoke $SERIAL --entry-ext 1.2.3.4=critical,DER:0500", REVOCATION_REVOKED, false, "", NULL, NULL,
	  false },
	{ "an entry of another issuer", CRL "--revoke 1234 --entry-ext 2.5.29.29=critical,DER:3000", REVOCATION_UNKNOWN, false, "no CRL", NULL,
	  NULL, false },

	/* OCSP */
	{ "OCSP: good", OCSP "--status good", REVOCATION_GOOD, false, "OCSP answer of", NULL, NULL, false },
	{ "OCSP: revoked", OCSP "--status revoked", REVOCATION_REVOKED, false, "by the OCSP answer", NULL, NULL, false },
	{ "OCSP: on hold", OCSP "--status hold", REVOCATION_REVOKED, false, "on hold", NULL, NULL, false },
	{ "OCSP: unknown", OCSP "--status unknown", REVOCATION_UNKNOWN, false, "\"unknown\"", NULL, NULL, false },
	{ "OCSP: in base64", OCSP "--base64", REVOCATION_GOOD, false, "", NULL, NULL, false },
	{ "OCSP: responder by key", OCSP "--by-key", REVOCATION_GOOD, false, "", NULL, NULL, false },
	{ "OCSP: about another serial number", OCSP "--serial 1234", REVOCATION_UNKNOWN, false, "no OCSP answer", NULL, NULL, false },
	{ "OCSP: about another certificate", OCSP "--cert leaf2.crt", REVOCATION_UNKNOWN, false, "no OCSP answer", NULL, NULL, false },
	{ "OCSP: about another issuer's", "mkx509 ocsp --ca other --signer ica --cert leaf.crt --out ocsp/a.ors", REVOCATION_UNKNOWN, false, "name differs",
	  NULL, NULL, false },
	{ "OCSP: another key of the issuer's name", "mkx509 ocsp --ca lister --signer ica --cert leaf.crt --out ocsp/a.ors", REVOCATION_UNKNOWN, false,
	  "key differs", NULL, NULL, false },
	{ "OCSP: signature damaged", OCSP "--damage", REVOCATION_UNKNOWN, false, "signed neither", NULL, NULL, false },
	{ "OCSP: by a stranger", OCSP_BY "other", REVOCATION_UNKNOWN, false, "signed neither", NULL, NULL, false },
	{ "OCSP: by the authority above", OCSP_BY "root", REVOCATION_UNKNOWN, false, "signed neither", NULL, NULL, false },
	{ "OCSP: by the certificate itself", OCSP_BY "leaf", REVOCATION_UNKNOWN, false, "signed neither", NULL, NULL, false },
	{ "OCSP: by a delegate", OCSP_BY "delegate", REVOCATION_GOOD, false, "", NULL, NULL, false },
	{ "OCSP: by a delegate who brings no certificate", OCSP_BY "delegate --no-certs", REVOCATION_UNKNOWN, false, "signed neither", NULL, NULL, false },
	{ "OCSP: by one who is no delegate", OCSP_BY "unasked", REVOCATION_UNKNOWN, false, "signed neither", NULL, NULL, false },
	{ "OCSP: by another authority's delegate", OCSP_BY "foreign", REVOCATION_UNKNOWN, false, "signed neither", NULL, NULL, false },
	{ "OCSP: by a delegate out of date", OCSP_BY "late", REVOCATION_UNKNOWN, false, "out of its dates", NULL, NULL, false },
	{ "OCSP: by a delegate with RSA-1024", OCSP_BY "small", REVOCATION_UNKNOWN, false, "too weak", NULL, NULL, false },
	{ "OCSP: by a delegate whose certificate is signed over SHA-1", OCSP_BY "olddigest", REVOCATION_UNKNOWN, false, "too weak", NULL, NULL, false },
	{ "OCSP: by a delegate with RSA-1024 where strength does not matter", OCSP_BY "small", REVOCATION_GOOD, false, "", NULL, NULL, true },
	{ "OCSP: by a delegate who must be looked up", OCSP_BY "checked", REVOCATION_UNKNOWN, false, "responder's own", NULL, NULL, false },
	{ "OCSP: SHA-1", OCSP "--digest sha1", REVOCATION_UNKNOWN, false, "SHA-1", NULL, NULL, false },
	{ "OCSP: SHA-1 where strength does not matter", OCSP "--digest sha1", REVOCATION_GOOD, false, "", NULL, NULL, true },
	{ "OCSP: unknown critical extension", OCSP "--ext 1.2.3.4=critical,DER:0500", REVOCATION_UNKNOWN, false, "no OCSP answer", NULL, NULL, false },
	{ "OCSP: within grace", OCSP "--from -1d --to -1h", REVOCATION_GOOD, true, "past its nextUpdate", NULL, NULL, false },
	{ "OCSP: replayed", OCSP "--from -9d --to -8d", REVOCATION_UNKNOWN, false, "too old", NULL, NULL, false },
	{ "OCSP: revoked, replayed", OCSP "--from -9d --to -8d --status revoked", REVOCATION_REVOKED, false, "", NULL, NULL, false },
	{ "OCSP: no nextUpdate", OCSP "--from -1h --to none", REVOCATION_GOOD, false, "", NULL, NULL, false },
	{ "OCSP: no nextUpdate, of last week", OCSP "--from -7d --to none", REVOCATION_UNKNOWN, false, "too old", NULL, NULL, false },
	{ "OCSP: of the next hour", OCSP "--from +1h", REVOCATION_UNKNOWN, false, "has not come", NULL, NULL, false },
	{ "OCSP: the newer says revoked", OCSP "--from -2h" OCSP_B "--from -1h --status revoked", REVOCATION_REVOKED, false, "", NULL, NULL, false },
	{ "OCSP: the older says on hold", OCSP "--from -2h --status hold" OCSP_B "--from -1h", REVOCATION_GOOD, false, "", NULL, NULL, false },
	{ "OCSP: an older good one comes back", OCSP "--from -3h" OCSP_B "--from -2h --status revoked", REVOCATION_REVOKED, false, "", NULL, NULL, false },

	/* Both */
	{ "OCSP good, CRL dead", OCSP "; " CRL "--from -9d --to -2d", REVOCATION_GOOD, false, "OCSP", NULL, NULL, false },
	{ "OCSP good, CRL lists it", OCSP "; " CRL "--revoke $SERIAL", REVOCATION_REVOKED, false, "CRL", NULL, NULL, false },
	{ "OCSP revoked, CRL does not list it", OCSP "--status revoked; " CRL, REVOCATION_REVOKED, false, "OCSP", NULL, NULL, false },
	{ "OCSP unknown, CRL does not list it", OCSP "--status unknown; " CRL, REVOCATION_GOOD, false, "CRL", NULL, NULL, false },
	{ "delegate on the CRL's good side", OCSP_BY "checked; " CRL, REVOCATION_GOOD, false, "", NULL, NULL, false },
	{ "OCSP stale, CRL fresh", OCSP "--from -1d --to -1h; " CRL, REVOCATION_GOOD, false, "", NULL, NULL, false },
	{ "OCSP fresh, CRL stale", OCSP "; " CRL "--from -1d --to -1h", REVOCATION_GOOD, false, "", NULL, NULL, false },
};

static void
fill_row(const char *line)
{
	AUTO(xfree) char *all = xasprintf("SERIAL=%s; cp root.crt anchors/; mkx509 crl --ca root --out crls/root.crl; %s", serial_of_leaf, line);

	fill(all);
}

static void
test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
		AUTO(trust_free) struct trust *trust = NULL;
		struct chain_facts facts;

		fill_row(rows[i].line);
		trust = load_trust(NULL);
		judge(trust, rows[i].leaf ? rows[i].leaf : "leaf.crt", rows[i].untrusted ? rows[i].untrusted : "ica.crt", time(NULL),
		    rows[i].any_strength, &facts);
		assert_int_equal(facts.state, CHAIN_GOOD);
		if (facts.revocation != rows[i].want || facts.revocation_stale != rows[i].want_stale
		    || !strstr(facts.revocation_why, rows[i].want_why))
			fail_msg("%s: %s%s (%s), want %s%s (%s)", rows[i].name, revocation_state_name(facts.revocation),
			    facts.revocation_stale ? ", stale" : "", facts.revocation_why, revocation_state_name(rows[i].want),
			    rows[i].want_stale ? ", stale" : "", rows[i].want_why);
		assert_true((facts.revoked_at != 0) == (facts.revocation == REVOCATION_REVOKED));
		/* The second time the signatures are remembered. */
		judge(trust, rows[i].leaf ? rows[i].leaf : "leaf.crt", rows[i].untrusted ? rows[i].untrusted : "ica.crt", time(NULL),
		    rows[i].any_strength, &facts);
		assert_int_equal(facts.revocation, rows[i].want);
	}
}

/* A list made by openssl's own ca, and its own verify over ours. */
static void
test_openssl(void **state)
{
	AUTO(trust_free) struct trust *trust = NULL;
	struct chain_facts facts;

	(void)state;
	fill("cp root.crt anchors/; mkx509 crl --ca root --out crls/root.crl"
	    "; cat >ca.cnf <<'E'\n[ca]\ndefault_ca=d\n[d]\ndatabase=index.txt\ncrlnumber=crlnumber\ndefault_md=sha256\ndefault_crl_days=1\n"
	    "crl_extensions=x\n[x]\nauthorityKeyIdentifier=keyid\nE\n"
	    ": >index.txt; echo 1000 >crlnumber; o() { openssl ca -config ca.cnf -cert ica.crt -keyfile ica.key \"$@\" >/dev/null 2>&1; }"
	    "; o -revoke leaf2.crt -crl_reason keyCompromise; o -gencrl -out crls/a.pem");
	trust = load_trust(NULL);
	judge(trust, "leaf.crt", "ica.crt", time(NULL), false, &facts);
	assert_int_equal(facts.revocation, REVOCATION_GOOD);
	assert_non_null(strstr(facts.revocation_why, "number 1000 "));
	judge(trust, "leaf2.crt", "ica.crt", time(NULL), false, &facts);
	assert_int_equal(facts.revocation, REVOCATION_REVOKED);
	/* And what we make, openssl reads the same way. */
	must_sh("rm crls/a.pem; mkx509 crl --ca ica --out crls/a.pem --pem --number 1001 --revoke-many 1000; openssl crl -in crls/a.pem -noout -CAfile ica.crt 2>&1"
	    " | grep -q 'verify OK'");
}

/* Requests and answers with openssl's own responder. */
static void
test_openssl_ocsp(void **state)
{
	static const struct {
		const char *cert;
		enum ocsp_status want;
	} asked[] = { { "leaf.crt", OCSP_STATUS_GOOD }, { "leaf2.crt", OCSP_STATUS_REVOKED }, { "pointed.crt", OCSP_STATUS_GOOD },
		{ "delegate.crt", OCSP_STATUS_UNKNOWN } };
	unsigned char nonce[OCSP_NONCE_SIZE], other_nonce[OCSP_NONCE_SIZE];
	struct slice authority = read_der("ica.crt"), stranger = read_der("other.crt");

	(void)state;
	memset(nonce, 7, sizeof(nonce));
	memset(other_nonce, 8, sizeof(other_nonce));
	must_sh("s() { openssl x509 -noout -serial -in $1 | cut -d= -f2; }; printf 'V\\t391231235959Z\\t\\t%s\\tunknown\\t/CN=a\\n' $(s leaf.crt) >index.txt"
	    "; printf 'R\\t391231235959Z\\t260101000000Z,keyCompromise\\t%s\\tunknown\\t/CN=b\\n' $(s leaf2.crt) >>index.txt");
	for (size_t i = 0; i < N_ELEMENTS(asked); i++) {
		struct slice cert = read_der(asked[i].cert), answer;
		AUTO_BUF struct buf request = { 0 };
		struct ocsp_facts facts;
		struct err err = { 0 };

		assert_int_equal(ocsp_request(cert, authority, nonce, &request, &err), 0);
		write_file("request.der", request.at, request.len);
		must_sh("openssl ocsp -index index.txt -CA ica.crt -rsigner delegate.crt -rkey delegate.key -rmd sha256 -reqin request.der"
		    " -respout answer.der -ndays 1 >ocsp.out 2>&1; openssl ocsp -reqin request.der -req_text -noverify >req.txt 2>&1; grep -q Nonce req.txt");
		answer = read_file("answer.der");
		if (ocsp_check(answer, cert, authority, nonce, time(NULL), &facts, &err) == -1)
			fail_msg("%s: %s", asked[i].cert, err.text);
		assert_int_equal(facts.status, asked[i].want);
		assert_true(facts.nonce);
		assert_true((facts.revoked_at != 0) == (asked[i].want == OCSP_STATUS_REVOKED));
		assert_int_equal(ocsp_check(answer, cert, authority, other_nonce, time(NULL), &facts, &err), -1);
		assert_non_null(strstr(err.text, "nonce"));
		assert_int_equal(ocsp_check(answer, cert, stranger, nonce, time(NULL), &facts, &err), -1);
		assert_int_equal(ocsp_check(answer, authority, authority, nonce, time(NULL), &facts, &err), -1);
		heap_free(answer);
		heap_free(cert);
	}
	heap_free(authority);
	heap_free(stranger);
}

static void
test_crl_check(void **state)
{
	static const struct {
		const char *line;
		const char *want; /* NULL = taken */
	} checks[] = {
		{ "mkx509 crl --ca ica --out x --number 0ff --revoke 12", NULL },
		{ "mkx509 crl --ca ica --out x --pem", NULL },
		{ "mkx509 crl --ca ica --out x --damage", "signature" },
		{ "mkx509 crl --ca other --out x", "another authority" },
		{ "mkx509 crl --ca ica --out x --digest sha1", "SHA-1" },
		{ "mkx509 crl --ca ica --out x --ext 2.5.29.27=critical,DER:020101", "delta" },
		{ "mkx509 crl --ca ica --out x --ext issuingDistributionPoint=critical,indirectCRL:TRUE", "indirect" },
		{ "mkx509 crl --ca ica --out x --ext 1.2.3.4=critical,DER:0500", "critical" },
		{ "mkx509 crl --ca ica --out x; echo >>x", "behind" },
		{ "mkx509 crl --ca ica --out x; truncate -s -1 x", "no CRL" },
		{ "cp ica.der x", "CRL" },
		{ "cp ica.crt x", "CERTIFICATE" },
		{ ": >x", "0 bytes" },
	};
	struct slice authority = read_der("ica.crt");

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(checks); i++) {
		struct crl_facts facts = { .n_revoked = 0 };
		struct err err = { 0 };
		struct slice file;
		int result;

		must_sh(checks[i].line);
		file = read_file("x");
		result = crl_check(file, authority, &facts, &err);
		heap_free(file);
		if ((result == 0) != (checks[i].want == NULL) || (checks[i].want && !strstr(err.text, checks[i].want)))
			fail_msg("%s: %d %s", checks[i].line, result, err.text);
		if (i == 0) {
			assert_string_equal(facts.number, "ff");
			assert_int_equal(facts.n_revoked, 1);
			assert_true(facts.next_update > facts.this_update);
		}
	}
	heap_free(authority);
	assert_true(crl_number_compare("", "0") < 0 && crl_number_compare("9", "a") < 0 && crl_number_compare("ff", "100") < 0
	    && crl_number_compare("1a", "1a") == 0);
}

static double
seconds_since(const struct timespec *start)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - start->tv_sec) + (double)(now.tv_nsec - start->tv_nsec) / 1e9;
}

static double
seconds_per_judgement(void)
{
	AUTO(trust_free) struct trust *trust = load_trust(NULL);
	struct chain_facts facts;
	struct timespec start;
	enum { TIMES = 100 };

	judge(trust, "leaf.crt", "ica.crt", time(NULL), false, &facts);
	clock_gettime(CLOCK_MONOTONIC, &start);
	for (int i = 0; i < TIMES; i++)
		judge(trust, "leaf.crt", "ica.crt", time(NULL), false, &facts);
	assert_int_equal(facts.revocation, REVOCATION_GOOD);
	return seconds_since(&start) / TIMES;
}

/* A long list costs when it is loaded, and nothing a message would notice. */
static void
test_long_list(void **state)
{
	struct timespec start;
	double one, many;

	(void)state;
	fill_row(CRL);
	one = seconds_per_judgement();
	fill_row(CRL "--revoke-many 100000");
	clock_gettime(CLOCK_MONOTONIC, &start);
	trust_free(load_trust(NULL));
	print_message("100,000 entries: loaded in %.0f ms", seconds_since(&start) * 1e3);
	many = seconds_per_judgement();
	print_message(", a judgement takes %.0f microseconds (%.0f with none)\n", many * 1e6, one * 1e6);
	assert_true(many < 2 * one + 0.0005);
	/* Every one of them is found. */
	must_sh("mkx509 crl --ca ica --out crls/a.crl --number 2 --revoke-many 100000 --revoke $(openssl x509 -noout -serial -in leaf.crt | cut -d= -f2)");
	{
		AUTO(trust_free) struct trust *trust = load_trust(NULL);
		struct chain_facts facts;

		judge(trust, "leaf.crt", "ica.crt", time(NULL), false, &facts);
		assert_int_equal(facts.revocation, REVOCATION_REVOKED);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_openssl),
		cmocka_unit_test(test_openssl_ocsp),
		cmocka_unit_test(test_crl_check),
		cmocka_unit_test(test_long_list),
	};

	return cmocka_run_group_tests_name("revoke", tests, setup, teardown);
}
