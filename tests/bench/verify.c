/*
 * verify [ROUNDS [ENTRIES]]: CPU of smime_verify (chain, a CRL of 100,000 entries in the snapshot) against
 * bare CMS_verify of the same object and content with the same anchor and no CRL; 4 KB. Rounds take
 * turns; medians. One line a kind of key: "KIND bare MICROSECONDS verify MICROSECONDS ratio R inspect MICROSECONDS".
 */
#include <openssl/cms.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <sys/stat.h>
#include <unistd.h>

#include "smime/inspect.h"
#include "smime/verify.h"
#include "tests/bench/bench.h"
#include "tests/support/forge.h"

enum { EACH = 100, MAX_ROUNDS = 201, DAY = 24 * 3600 };

#define HEAD "From: Kantor <a@kota.example>\r\nTo: b@kota.example\r\nSubject: Surat\r\n"

struct office {
	struct buf entity, cms, mail;
	struct message_facts facts;
	struct trust *trust;
	X509_STORE *store;
	time_t now;
};

static void
mkpki(const char *options, const char *kind)
{
	char self[512] = "", command[2048];

	must(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0, "readlink");
	*strrchr(self, '/') = '\0';
	snprintf(command, sizeof(command), "'%s/../pki/mkpki' --from -1d --to +1y --key %s %s >/dev/null", self, kind, options);
	must(system(command) == 0, "mkpki");
}

static X509 *
read_cert(const char *file)
{
	FILE *pem = fopen(file, "re");
	X509 *cert = pem ? PEM_read_X509(pem, NULL, NULL, NULL) : NULL;

	must(cert != NULL, file);
	fclose(pem);
	return cert;
}

static void
add_entries(X509_CRL *crl, int entries, time_t now)
{
	ASN1_TIME *date = ASN1_TIME_set(NULL, now - DAY);
	unsigned char serial[16];

	for (int i = 0; i < entries; i++) {
		X509_REVOKED *revoked = X509_REVOKED_new();
		BIGNUM *number;
		ASN1_INTEGER *value;

		must(RAND_bytes(serial, sizeof(serial)) == 1, "RAND_bytes");
		serial[0] &= 0x7f;
		number = BN_bin2bn(serial, sizeof(serial), NULL);
		value = BN_to_ASN1_INTEGER(number, NULL);
		must(X509_REVOKED_set_serialNumber(revoked, value) && X509_REVOKED_set_revocationDate(revoked, date)
		    && X509_CRL_add0_revoked(crl, revoked), "entry");
		ASN1_INTEGER_free(value);
		BN_free(number);
	}
	ASN1_TIME_free(date);
}

static void
make_crl(const char *file, int entries, time_t now)
{
	X509_CRL *crl = X509_CRL_new();
	X509 *ca = read_cert("root.crt");
	FILE *pem = fopen("root.key", "re");
	EVP_PKEY *key = pem ? PEM_read_PrivateKey(pem, NULL, NULL, NULL) : NULL;
	ASN1_TIME *time = ASN1_TIME_set(NULL, now - 3600);
	ASN1_INTEGER *number = ASN1_INTEGER_new();
	AUTHORITY_KEYID *authority = AUTHORITY_KEYID_new();
	FILE *out;

	must(key && ca && crl && number && authority, "CRL");
	fclose(pem);
	X509_CRL_set_version(crl, X509_CRL_VERSION_2);
	X509_CRL_set_issuer_name(crl, X509_get_subject_name(ca));
	X509_CRL_set1_lastUpdate(crl, time);
	X509_gmtime_adj(time, 30 * DAY);
	X509_CRL_set1_nextUpdate(crl, time);
	ASN1_INTEGER_set(number, 7);
	must(X509_CRL_add1_ext_i2d(crl, NID_crl_number, number, 0, 0) == 1, "CRL number");
	authority->keyid = ASN1_OCTET_STRING_dup(X509_get0_subject_key_id(ca));
	must(X509_CRL_add1_ext_i2d(crl, NID_authority_key_identifier, authority, 0, 0) == 1, "key identifier");
	add_entries(crl, entries, now);
	X509_CRL_sort(crl);
	must(X509_CRL_sign(crl, key, EVP_sha256()) > 0, "signing the CRL");
	out = fopen(file, "we");
	must(out && i2d_X509_CRL_fp(out, crl) == 1 && fclose(out) == 0, file);
	AUTHORITY_KEYID_free(authority);
	ASN1_INTEGER_free(number);
	ASN1_TIME_free(time);
	EVP_PKEY_free(key);
	X509_free(ca);
	X509_CRL_free(crl);
}

static void
load_trust(struct office *ret)
{
	const struct trust_folders folders = { .anchors = "anchors", .crls = "crls" };
	const struct trust_ages ages = { .grace = DAY, .ocsp_most = DAY, .skew = 300 };
	struct buf problems = { 0 };
	struct err err = { .text = "" };

	buf_init(&problems, 4096);
	must(trust_load(&folders, &ages, &ret->trust, &problems, &err) == 0, err.text);
	must(problems.len == 0, buf_text(&problems));
	buf_done(&problems);
}

static void
make_office(const char *kind, struct office *ret)
{
	struct forge forge = { .signer = "office" };
	struct err err = { .text = "" };

	ret->now = time(NULL);
	mkpki("--ca-of root --out office --cn Kantor --email a@kota.example --usage sign --eku email", kind);
	buf_init(&ret->entity, 8192);
	buf_add_text(&ret->entity, "Content-Type: text/plain; charset=us-ascii\r\n\r\n");
	while (ret->entity.len < 4096)
		buf_add_text(&ret->entity, "Isi surat dinas ini ada enam puluh dua huruf dan tidak lebih..\r\n");
	forge.content = buf_slice(&ret->entity);
	forge.signing_time = ret->now;
	forge_cms(&forge, &ret->cms);
	forge_clear_mail(HEAD, forge.content, buf_slice(&ret->cms), &ret->mail);
	must(smime_inspect(buf_slice(&ret->mail), &ret->facts, &err) == 0, err.text);
	load_trust(ret);
	ret->store = X509_STORE_new();
	must(X509_STORE_add_cert(ret->store, read_cert("root.crt")) == 1, "root");
}

static double
bare(const struct office *office)
{
	double began = clock_now(CLOCK_PROCESS_CPUTIME_ID);

	for (int i = 0; i < EACH; i++) {
		const unsigned char *at = office->cms.at;
		CMS_ContentInfo *cms = d2i_CMS_ContentInfo(NULL, &at, (long)office->cms.len);
		BIO *content = BIO_new_mem_buf(office->entity.at, (int)office->entity.len);

		must(CMS_verify(cms, NULL, office->store, content, NULL, CMS_BINARY | CMS_NOCRL) == 1, "CMS_verify");
		BIO_free(content);
		CMS_ContentInfo_free(cms);
	}
	return (clock_now(CLOCK_PROCESS_CPUTIME_ID) - began) / EACH;
}

static double
ours(const struct office *office)
{
	double began = clock_now(CLOCK_PROCESS_CPUTIME_ID);
	const struct verify_request request = { .message = buf_slice(&office->mail), .facts = &office->facts, .trust = office->trust, .at = office->now };

	for (int i = 0; i < EACH; i++) {
		struct signature_facts facts;
		struct err err = { .text = "" };

		must(smime_verify(&request, &facts, &err) == 0, err.text);
		must(facts.state == SIGNATURE_GOOD, facts.why);
		must(facts.chain.state == CHAIN_GOOD, facts.chain.why);
		must(facts.chain.revocation == REVOCATION_GOOD, facts.chain.revocation_why);
	}
	return (clock_now(CLOCK_PROCESS_CPUTIME_ID) - began) / EACH;
}

static double
inspect(const struct office *office)
{
	double began = clock_now(CLOCK_PROCESS_CPUTIME_ID);

	for (int i = 0; i < EACH; i++) {
		struct message_facts facts;
		struct err err;

		must(smime_inspect(buf_slice(&office->mail), &facts, &err) == 0, "smime_inspect");
	}
	return (clock_now(CLOCK_PROCESS_CPUTIME_ID) - began) / EACH;
}

static void
measure(const char *kind, int rounds)
{
	double bares[MAX_ROUNDS], verifies[MAX_ROUNDS], ratios[MAX_ROUNDS], inspects[MAX_ROUNDS];
	struct office office = { 0 };
	const size_t n = (size_t)rounds;

	make_office(kind, &office);
	(void)bare(&office);
	(void)ours(&office);
	for (int i = 0; i < rounds; i++) {
		bares[i] = bare(&office);
		verifies[i] = ours(&office);
		inspects[i] = inspect(&office);
		ratios[i] = verifies[i] / bares[i];
	}
	printf("%s bare %.1f verify %.1f ratio %.2f inspect %.1f\n", kind, percentile(bares, n, 0.5), percentile(verifies, n, 0.5),
	    percentile(ratios, n, 0.5), percentile(inspects, n, 0.5));
}

int
main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 21;
	int entries = argc > 2 ? atoi(argv[2]) : 100000;
	char folder[] = "/tmp/segel-bench-XXXXXX", command[64];

	must(rounds > 0 && rounds <= MAX_ROUNDS && entries > 0, "1 to 201 rounds, 1 entry and more");
	must(mkdtemp(folder) && chdir(folder) == 0 && mkdir("anchors", 0700) == 0 && mkdir("crls", 0700) == 0, folder);
	mkpki("--self --ca --out root --cn Root", "rsa2048");
	must(system("cp root.crt anchors") == 0, "cp");
	make_crl("crls/root.crl", entries, time(NULL));
	measure("rsa2048", rounds);
	measure("p256", rounds);
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return system(command) == 0 ? 0 : EXIT_FAILURE;
}
