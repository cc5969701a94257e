/* Paths to anchors: what RFC 5280 6 wants of them, caps, and the choice among several. */
#include "tests/smime/chain_world.h"

static int
setup(void **state)
{
	(void)state;
	world_open(&world);
	must_sh("mkpki --out root --ca --cn Root" DATES
	    "; mkpki --out other --ca --cn Other" DATES
	    "; mkpki --out twin --ca --cn Root" DATES /* the root's name, another key */
	    "; mkpki --out ica --ca-of root --ca --cn Authority" DATES
	    "; mkpki --out leaf --ca-of ica --cn Leaf --email a@a.example" DATES
	    "; mkpki --out direct --ca-of root --cn Direct --email a@a.example" DATES);
	/* A chain of authorities below one another. */
	must_sh("mkpki --out d1 --ca-of root --ca --cn D1" DATES "; mkpki --out d2 --ca-of d1 --ca --cn D2" DATES
	    "; mkpki --out d3 --ca-of d2 --ca --cn D3" DATES "; mkpki --out d4 --ca-of d3 --ca --cn D4" DATES
	    "; mkpki --out d5 --ca-of d4 --ca --cn D5" DATES "; mkpki --out deep4 --ca-of d4 --cn Deep --email a@a.example" DATES
	    "; mkpki --out deep5 --ca-of d5 --cn Deep --email a@a.example" DATES);
	/* The same authority and key, certified by another root; and its name with another key. */
	must_sh("mkx509 cert --in ica.crt --ca other --out ica-cross --ext authorityKeyIdentifier=keyid"
	    "; mkx509 cert --in ica.crt --ca root --out ica-old --serial 77; "
	    "mkpki --out ica-newkey --ca-of root --ca --cn Authority" DATES
	    "; for c in ica ica-newkey; do mkx509 cert --in $c.crt --ca root --out $c-noid --remove subjectKeyIdentifier; done"
	    "; mkx509 cert --in leaf.crt --ca ica --out leaf-noid --remove authorityKeyIdentifier");
	/* Constraints, each in an authority of its own that shares ica's key. */
	must_sh("cert() { mkx509 cert --in ica.crt --ca root --out $1 --ext \"$2\" ${3:+--ext \"$3\"}; }"
	    "; cert len0 basicConstraints=critical,CA:TRUE,pathlen:0; cert noca basicConstraints=critical,CA:FALSE"
	    "; cert nosign keyUsage=critical,cRLSign; cert permits 'nameConstraints=critical,permitted;email:a.example'"
	    "; cert permits-b 'nameConstraints=critical,permitted;email:b.example'; cert excludes 'nameConstraints=critical,excluded;email:a.example'"
	    "; cert permits-host 'nameConstraints=critical,permitted;email:a.example,permitted;DNS:a.example'"
	    "; cert explicit certificatePolicies=1.2.3.4 policyConstraints=critical,requireExplicitPolicy:0"
	    "; cert for-mail extendedKeyUsage=emailProtection; cert for-any extendedKeyUsage=anyExtendedKeyUsage; cert for-web extendedKeyUsage=serverAuth"
	    "; cert odd 1.2.3.4.5=critical,DER:0500; cert odd-harmless 1.2.3.4.5=DER:0500");
	must_sh("leaf() { mkx509 cert --in leaf.crt --ca ica --out $1 ${2:+--ext \"$2\"} ${3:+$3 $4}; }"
	    "; leaf policy4 certificatePolicies=1.2.3.4; leaf policy5 certificatePolicies=1.2.3.5; leaf leaf-odd 1.2.3.4.5=critical,DER:0500"
	    "; leaf leaf-sha1 '' --digest sha1"
	    "; many=$(for i in $(seq 51); do printf '%s1.2.3.4.%d' \"${sep}\" $i; sep=,; done); leaf policies51 certificatePolicies=$many"
	    "; names=$(for i in $(seq 260); do printf ',email:a%d@a.example' $i; done); leaf names260 subjectAltName=${names#,}");
	must_sh("mkpki --out sub --ca-of ica --ca --cn Sub" DATES "; mkpki --out subleaf --ca-of sub --cn Leaf --email a@a.example" DATES
	    "; mkpki --out weak --ca-of ica --cn Weak --email a@a.example --from -30d --to +30d --key rsa1024"
	    "; mkpki --out dated --ca-of ica --cn Dated --email a@a.example --key p256 --from 2026-01-01T00:00:00Z --to 2026-06-01T00:00:00Z"
	    "; mkpki --out forger --ca --cn Authority" DATES
	    "; mkx509 cert --in dated.crt --ca forger --out forged");
	/* More strangers of the authority's name than there are tries; none says by an identifier whose key it is. */
	must_sh("mkpki --out stranger --ca --cn Root" DATES "; for i in 1 2 3 4 5 6 7 8 9; do mkpki --out t$i --ca-of stranger --ca --cn Authority" DATES
	    "; mkx509 cert --in t$i.crt --ca stranger --out t$i --remove authorityKeyIdentifier --remove subjectKeyIdentifier; done");
	/* A name that could be one of a host. */
	must_sh("mkpki --out dotted --ca-of ica --cn siti.rahma --email a@a.example" DATES
	    "; mkpki --out leaf-b --ca-of ica --cn siti.rahma --email a@b.example" DATES
	    "; mkx509 cert --in dotted.crt --ca ica --out dotted-host --ext 'subjectAltName=email:a@a.example,DNS:b.example'");
	/* For given times: a root and an authority that are valid through all of them. */
	must_sh("mkpki --out long --ca --cn Long --key p256 --from 2020-01-01T00:00:00Z --to 2039-01-01T00:00:00Z"
	    "; mkpki --out exact --ca-of long --cn Exact --email a@a.example --key p256 --from 2026-01-01T00:00:00Z --to 2026-06-01T00:00:00Z"
	    "; mkpki --out longtwin --ca --cn Long --key p256 --from 2020-01-01T00:00:00Z --to 2039-01-01T00:00:00Z"
	    "; mkx509 cert --in exact.crt --ca longtwin --out exact-forged");
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	world_close(&world);
	return 0;
}

static const struct {
	const char *name;
	const char *anchors; /* put there */
	const char *leaf;
	const char *untrusted;
	enum chain_state want;
	const char *want_why; /* in it */
	bool any_strength;
} rows[] = {
	{ "by the root", "root.crt", "direct.crt", "", CHAIN_GOOD, "", false },
	{ "no anchor at all", "", "direct.crt", "", CHAIN_UNTRUSTED, "no anchor", false },
	{ "another root", "other.crt", "direct.crt", "", CHAIN_UNTRUSTED, "issuer", false },
	{ "a root of that name with another key", "twin.crt", "direct.crt", "", CHAIN_UNTRUSTED, "", false },
	{ "both roots of that name", "root.crt twin.crt", "direct.crt", "", CHAIN_GOOD, "", false },

	{ "by an authority that the message brings", "root.crt", "leaf.crt", "ica.crt", CHAIN_GOOD, "", false },
	{ "by an authority that nobody brings", "root.crt", "leaf.crt", "", CHAIN_UNTRUSTED, "", false },
	{ "by an authority that we hold", "root.crt ica.crt", "leaf.crt", "", CHAIN_GOOD, "", false },
	{ "an authority is no anchor", "ica.crt", "leaf.crt", "", CHAIN_UNTRUSTED, "no anchor", false },
	{ "the message brings the root, too", "other.crt", "leaf.crt", "ica.crt root.crt", CHAIN_UNTRUSTED, "", false },
	{ "the root as a leaf", "root.crt", "root.crt", "", CHAIN_BAD, "anchor itself", false },

	{ "four authorities", "root.crt", "deep4.crt", "d1.crt d2.crt d3.crt d4.crt", CHAIN_GOOD, "", false },
	{ "five authorities", "root.crt", "deep5.crt", "d1.crt d2.crt d3.crt d4.crt d5.crt", CHAIN_LIMIT, "too long", false },
	{ "four authorities, one missing", "root.crt", "deep4.crt", "d1.crt d2.crt d4.crt", CHAIN_UNTRUSTED, "", false },

	{ "path length 0, and a leaf", "root.crt", "leaf.crt", "len0.crt", CHAIN_GOOD, "", false },
	{ "path length 0, and an authority", "root.crt", "subleaf.crt", "len0.crt sub.crt", CHAIN_BAD, "path length", false },
	{ "an authority below another", "root.crt", "subleaf.crt", "ica.crt sub.crt", CHAIN_GOOD, "", false },
	{ "by what is no authority", "root.crt", "leaf.crt", "noca.crt", CHAIN_BAD, "CA certificate", false },
	{ "by one that may not sign certificates", "root.crt", "leaf.crt", "nosign.crt", CHAIN_BAD, "", false },

	{ "name permitted", "root.crt", "leaf.crt", "permits.crt", CHAIN_GOOD, "", false },
	{ "another name permitted", "root.crt", "leaf.crt", "permits-b.crt", CHAIN_BAD, "permitted subtree", false },
	{ "hosts permitted, and a name of a mail's writer that looks like one", "root.crt", "dotted.crt", "permits-host.crt", CHAIN_GOOD, "", false },
	{ "hosts permitted, and an alternative name of another one", "root.crt", "dotted-host.crt", "permits-host.crt", CHAIN_BAD, "permitted subtree", false },
	{ "hosts permitted, and an address of another domain", "root.crt", "leaf-b.crt", "permits-host.crt", CHAIN_BAD, "permitted subtree", false },
	{ "name excluded", "root.crt", "leaf.crt", "excludes.crt", CHAIN_BAD, "excluded subtree", false },

	{ "policy demanded, and there", "root.crt", "policy4.crt", "explicit.crt", CHAIN_GOOD, "", false },
	{ "policy demanded, and another there", "root.crt", "policy5.crt", "explicit.crt", CHAIN_BAD, "policy", false },
	{ "policy demanded, and none there", "root.crt", "leaf.crt", "explicit.crt", CHAIN_BAD, "policy", false },
	{ "policy not demanded", "root.crt", "policy5.crt", "ica.crt", CHAIN_GOOD, "", false },

	{ "authority for mail", "root.crt", "leaf.crt", "for-mail.crt", CHAIN_GOOD, "", false },
	{ "authority for anything", "root.crt", "leaf.crt", "for-any.crt", CHAIN_GOOD, "", false },
	{ "authority for web servers", "root.crt", "leaf.crt", "for-web.crt", CHAIN_BAD, "leaves e-mail out", false },

	{ "unknown extension", "root.crt", "leaf.crt", "odd-harmless.crt", CHAIN_GOOD, "", false },
	{ "unknown critical extension in the authority", "root.crt", "leaf.crt", "odd.crt", CHAIN_BAD, "critical extension", false },
	{ "unknown critical extension in the leaf", "root.crt", "leaf-odd.crt", "ica.crt", CHAIN_BAD, "critical extension", false },

	{ "51 policies", "root.crt", "policies51.crt", "ica.crt", CHAIN_LIMIT, "policies", false },
	{ "260 names", "root.crt", "names260.crt", "ica.crt", CHAIN_LIMIT, "names", false },
	{ "SHA-1", "root.crt", "leaf-sha1.crt", "ica.crt", CHAIN_BAD, "weak", false },
	{ "SHA-1 where strength does not matter", "root.crt", "leaf-sha1.crt", "ica.crt", CHAIN_GOOD, "", true },
	{ "RSA-1024", "root.crt", "weak.crt", "ica.crt", CHAIN_BAD, "weak", false },
	{ "RSA-1024 where strength does not matter", "root.crt", "weak.crt", "ica.crt", CHAIN_GOOD, "", true },
	{ "expired", "root.crt", "dated.crt", "ica.crt", CHAIN_EXPIRED, "expired", false },
	{ "expired, and forged: not just old", "root.crt", "forged.crt", "ica.crt", CHAIN_BAD, "signature", false },

	{ "cross-certified by a root of ours, and by another", "root.crt", "leaf.crt", "ica-cross.crt ica.crt", CHAIN_GOOD, "", false },
	{ "the same in the other order", "root.crt", "leaf.crt", "ica.crt ica-cross.crt", CHAIN_GOOD, "", false },
	{ "cross-certified by another only", "root.crt", "leaf.crt", "ica-cross.crt", CHAIN_UNTRUSTED, "", false },
	{ "and that one is ours", "other.crt", "leaf.crt", "ica-cross.crt", CHAIN_GOOD, "", false },
	{ "both roots are ours, one path is bad", "root.crt other.crt", "leaf.crt", "excludes.crt ica-cross.crt", CHAIN_GOOD, "", false },
	{ "both paths are bad", "root.crt other.crt", "leaf.crt", "excludes.crt permits-b.crt", CHAIN_BAD, "subtree", false },
	{ "two keys of a name, no key identifiers", "root.crt", "leaf-noid.crt", "ica-newkey-noid.crt ica-noid.crt", CHAIN_GOOD, "", false },
	{ "the same in the other order", "root.crt", "leaf-noid.crt", "ica-noid.crt ica-newkey-noid.crt", CHAIN_GOOD, "", false },
	{ "only the other key", "root.crt", "leaf-noid.crt", "ica-newkey-noid.crt", CHAIN_BAD, "signature", false },
	{ "a good authority beside many bad ones", "root.crt", "leaf.crt", "excludes.crt permits-b.crt nosign.crt noca.crt for-web.crt ica.crt",
	  CHAIN_GOOD, "", false },
	{ "an authority that we hold, beside many strangers of its name", "root.crt ica.crt", "leaf.crt",
	  "t1.crt t2.crt t3.crt t4.crt t5.crt t6.crt t7.crt t8.crt t9.crt", CHAIN_GOOD, "", false },
	{ "rubbish beside it", "root.crt", "leaf.crt", "root.key ica.crt", CHAIN_GOOD, "", false },
	{ "rubbish alone", "root.crt", "root.key", "", CHAIN_BAD, "", false },
};

static void
test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
		AUTO(trust_free) struct trust *trust = NULL;
		char line[512];
		struct chain_facts facts;

		snprintf(line, sizeof(line), "for c in %s; do cp $c anchors/; done", rows[i].anchors);
		fill(line);
		trust = load_trust(NULL);
		judge(trust, rows[i].leaf, rows[i].untrusted, time(NULL), rows[i].any_strength, &facts);
		if (facts.state != rows[i].want || !strstr(facts.why, rows[i].want_why))
			fail_msg("%s: %s (%s), want %s (%s)", rows[i].name, chain_state_name(facts.state), facts.why,
			    chain_state_name(rows[i].want), rows[i].want_why);
		assert_true((facts.anchor == ANCHOR_OFFICIAL) == (facts.state == CHAIN_GOOD));
		assert_int_equal(facts.revocation, REVOCATION_UNKNOWN); /* there is neither CRL nor answer */
	}
}

/* OpenSSL's own program over the same files says the same, where the rule is not our own. (u.pem must not be empty.) */
static void
test_openssl_agrees(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
		const bool own = strstr(rows[i].name, "mail") || strstr(rows[i].name, "web") || strstr(rows[i].name, "anchor")
		    || rows[i].want == CHAIN_LIMIT || strstr(rows[i].name, "root as a leaf") || strstr(rows[i].name, "rubbish");
		const bool choice = strstr(rows[i].untrusted, "crt ") != NULL && rows[i].want == CHAIN_GOOD; /* among several: ours */
		int result;

		if (own || choice || rows[i].anchors[0] == '\0')
			continue;
		result = run("cat %s >a.pem; cat root.crt %s >u.pem; openssl verify -no-CApath -no-CAstore -CAfile a.pem -untrusted u.pem"
		    " -policy_check -policy 2.5.29.32.0 -auth_level %d %s >out.txt 2>&1", rows[i].anchors, rows[i].untrusted,
		    rows[i].any_strength ? 0 : 2, rows[i].leaf);
		if ((result == 0) != (rows[i].want == CHAIN_GOOD))
			fail_msg("%s: openssl says %d", rows[i].name, result);
	}
}

static void
test_times(void **state)
{
	static const struct {
		const char *leaf;
		time_t at;
		enum chain_state want;
	} times[] = {
		{ "exact.crt", 1767225600, CHAIN_GOOD }, /* 2026-01-01, its first second */
		{ "exact.crt", 1767225599, CHAIN_NOT_YET },
		{ "exact.crt", 1780272000, CHAIN_GOOD }, /* 2026-06-01, its last */
		{ "exact.crt", 1780272001, CHAIN_EXPIRED },
		{ "exact.crt", 0, CHAIN_NOT_YET },
		{ "exact-forged.crt", 1780272001, CHAIN_BAD },
		{ "exact-forged.crt", 1767225599, CHAIN_BAD },
	};
	AUTO(trust_free) struct trust *trust = NULL;

	(void)state;
	fill("cp long.crt anchors/");
	must_sh("mkx509 cert --in exact-forged.crt --ca longtwin --out exact-forged --remove authorityKeyIdentifier");
	trust = load_trust(NULL);
	for (size_t i = 0; i < N_ELEMENTS(times); i++) {
		struct chain_facts facts;

		judge(trust, times[i].leaf, "", times[i].at, false, &facts);
		if (facts.state != times[i].want)
			fail_msg("row %zu: %s (%s)", i, chain_state_name(facts.state), facts.why);
	}
}

static void
test_purposes(void **state)
{
	AUTO(trust_free) struct trust *trust = NULL;
	struct chain_facts facts;

	(void)state;
	fill("mkdir anchors/official anchors/partner; cat other.crt >anchors/partner/a.pem; cp root.der anchors/official/b.der");
	trust = load_trust(NULL);
	assert_int_equal(trust_n_anchors(trust), 2);
	judge(trust, "leaf.crt", "ica.crt", time(NULL), false, &facts);
	assert_int_equal(facts.anchor, ANCHOR_OFFICIAL);
	assert_int_equal(facts.length, 3);
	judge(trust, "leaf.crt", "ica-cross.crt", time(NULL), false, &facts);
	assert_int_equal(facts.anchor, ANCHOR_PARTNER);
}

static void
test_files(void **state)
{
	AUTO(trust_free) struct trust *trust = NULL;
	AUTO_BUF struct buf problems = { 0 };
	const struct trust_ages ages = { 0 };
	struct err err = { 0 };

	(void)state;
	buf_init(&problems, 65536);
	fill("cat ica.crt root.crt leaf.crt other.crt >anchors/bundle.pem; cp root.key anchors/key.pem; : >anchors/empty; echo hello >anchors/README"
	    "; mkdir anchors/elsewhere; cp twin.crt anchors/.hidden; cp root.crt anchors/again.crt; cp root.crt crls/; echo x >ocsp/x"
	    "; ln -s /dev/zero anchors/zero; mkfifo ocsp/pipe; cp root.der crls/r.der");
	trust = load_trust(&problems);
	assert_int_equal(trust_n_anchors(trust), 2);
	for (const char *const *want = (const char *const[]){ "bundle.pem: part 3", "key.pem", "empty", "README", "elsewhere: a folder", "root.crt",
		 "ocsp/x", "zero: is no plain file", "pipe: is no plain file", "r.der", NULL }; *want; want++) {
		if (!strstr(buf_text(&problems), *want))
			fail_msg("nothing about '%s' in: %s", *want, buf_text(&problems));
	}
	assert_null(strstr(buf_text(&problems), "hidden"));
	assert_null(strstr(buf_text(&problems), "again"));

	for (int i = 0; i < 3; i++) {
		const struct trust_folders folders = { .anchors = i == 0 ? "none" : "anchors", .crls = i == 1 ? "none" : "crls",
			.ocsp = i == 2 ? "none" : NULL };
		struct trust *other = NULL;

		assert_int_equal(trust_load(&folders, &ages, &other, NULL, &err), -1);
		assert_int_equal(err.kind, ERR_CONFIG);
		assert_non_null(strstr(err.text, "none"));
		assert_null(other);
	}
}

static void
test_counts(void **state)
{
	AUTO(trust_free) struct trust *trust = NULL;
	struct chain_facts facts;

	(void)state;
	fill("cp root.crt anchors/");
	trust = load_trust(NULL);
	judge(trust, "leaf.crt", "ica.crt d1.crt d1.crt d1.crt d1.crt d1.crt d1.crt d1.crt d1.crt d1.crt d1.crt d1.crt d1.crt d1.crt d1.crt"
	    " d1.crt d1.crt d1.crt d1.crt d1.crt", time(NULL), false, &facts);
	assert_int_equal(facts.state, CHAIN_GOOD);
	judge(trust, "leaf.crt", "ica.crt d1.crt d1.crt d1.crt d1.crt d1.crt d1.crt d1.crt d1.crt d1.crt d1.crt d1.crt d1.crt d1.crt d1.crt"
	    " d1.crt d1.crt d1.crt d1.crt d1.crt d1.crt", time(NULL), false, &facts);
	assert_int_equal(facts.state, CHAIN_LIMIT);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_openssl_agrees),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_purposes),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_counts),
	};

	return cmocka_run_group_tests_name("chain", tests, setup, teardown);
}
