/*
 * transform [ROUNDS]: CPU of smime_seal against bare CMS_sign of the same bytes with the same key,
 * certificate and issuing authority; 4 KB, the key in this process. Rounds take turns; medians.
 * One line a kind of key: "KIND bare MICROSECONDS seal MICROSECONDS ratio R".
 */
#include <openssl/cms.h>
#include <openssl/pem.h>
#include <unistd.h>

#include "smime/cert.h"
#include "smime/inspect.h"
#include "smime/issuers.h"
#include "smime/seal.h"
#include "tests/bench/bench.h"

enum { EACH = 100, MAX_ROUNDS = 201 };

struct office {
	struct key *key;
	EVP_PKEY *bare_key;
	X509 *bare_cert;
	STACK_OF(X509) *bare_chain;
	struct issuers *issuers;
	struct prepared_set *set;
	struct buf cert;
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
make_office(const char *kind, struct office *ret)
{
	struct err err = { .text = "" };
	unsigned char *der = NULL;
	FILE *pem;
	int len;

	mkpki("--self --ca --out root --cn Root", "p256");
	mkpki("--ca-of root --ca --out chain/issuing --cn Issuing", "p256");
	mkpki("--ca-of chain/issuing --out office --cn Kantor --email a@kota.example --usage sign --eku email", kind);
	must(key_load("office.key", NULL, true, &ret->key, &err) == 0, err.text);
	pem = fopen("office.key", "re");
	ret->bare_key = pem ? PEM_read_PrivateKey(pem, NULL, NULL, NULL) : NULL;
	must(ret->bare_key != NULL, "office.key");
	fclose(pem);
	ret->bare_cert = read_cert("office.crt");
	ret->bare_chain = sk_X509_new_null();
	sk_X509_push(ret->bare_chain, read_cert("chain/issuing.crt"));
	must(issuers_load("chain", &ret->issuers, &err) == 0, err.text);
	ret->set = prepared_set_new(ret->issuers);
	len = i2d_X509(ret->bare_cert, &der);
	buf_init(&ret->cert, LIMIT_CERT_BYTES);
	buf_add(&ret->cert, der, (size_t)len);
	OPENSSL_free(der);
}

static struct slice
make_message(void)
{
	static char message[4096];
	int len = snprintf(message, sizeof(message), "From: Kantor <a@kota.example>\r\nTo: b@kota.example\r\nSubject: Surat\r\n"
	    "Date: Mon, 02 Nov 2026 08:00:00 +0700\r\nMessage-ID: <1@kota.example>\r\nMIME-Version: 1.0\r\n"
	    "Content-Type: text/plain; charset=us-ascii\r\n\r\n");

	for (size_t at = (size_t)len; at < sizeof(message); at++)
		message[at] = "Isi surat dinas ini ada enam puluh dua huruf dan tidak lebih..\r\n"[(at - (size_t)len) % 64];
	return (struct slice){ (const unsigned char *)message, sizeof(message) };
}

static double
bare(const struct office *office, struct slice message)
{
	double began = clock_now(CLOCK_PROCESS_CPUTIME_ID);

	for (int i = 0; i < EACH; i++) {
		BIO *in = BIO_new_mem_buf(message.at, (int)message.len);
		CMS_ContentInfo *cms = CMS_sign(office->bare_cert, office->bare_key, office->bare_chain, in, CMS_DETACHED | CMS_BINARY);
		unsigned char *der = NULL;

		must(cms && i2d_CMS_ContentInfo(cms, &der) > 0, "CMS_sign");
		OPENSSL_free(der);
		CMS_ContentInfo_free(cms);
		BIO_free(in);
	}
	return (clock_now(CLOCK_PROCESS_CPUTIME_ID) - began) / EACH;
}

static double
seal(const struct office *office, struct slice message, const struct message_facts *facts)
{
	double began = clock_now(CLOCK_PROCESS_CPUTIME_ID);

	for (int i = 0; i < EACH; i++) {
		const struct prepared *prepared = NULL;
		struct err err = { .text = "" };
		bool found = prepared_get(office->set, buf_slice(&office->cert), &prepared, &err) == 0;
		struct seal_request request = {
			.message = message, .facts = facts, .cert = buf_slice(&office->cert), .prepared = prepared,
			.signer = key_signer(office->key), .form = SEAL_CLEAR, .now = time(NULL),
		};
		struct sealed *sealed = NULL;

		must(found && smime_seal(&request, &sealed, &err) == 0, err.text);
		seal_free(sealed);
		prepared_unref(prepared);
	}
	return (clock_now(CLOCK_PROCESS_CPUTIME_ID) - began) / EACH;
}

static void
measure(const char *kind, int rounds)
{
	const struct slice message = make_message();
	double bares[MAX_ROUNDS], seals[MAX_ROUNDS], ratios[MAX_ROUNDS];
	struct office office = { 0 };
	const size_t n = (size_t)rounds;
	struct message_facts facts;
	struct err err;

	make_office(kind, &office);
	must(smime_inspect(message, &facts, &err) == 0, "smime_inspect");
	(void)bare(&office, message);
	(void)seal(&office, message, &facts);
	for (int i = 0; i < rounds; i++) {
		bares[i] = bare(&office, message);
		seals[i] = seal(&office, message, &facts);
		ratios[i] = seals[i] / bares[i];
	}
	printf("%s bare %.1f seal %.1f ratio %.2f\n", kind, percentile(bares, n, 0.5), percentile(seals, n, 0.5), percentile(ratios, n, 0.5));
}

int
main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 21;
	char folder[] = "/tmp/segel-bench-XXXXXX", command[64];

	must(rounds > 0 && rounds <= MAX_ROUNDS, "1 to 201 rounds");
	must(mkdtemp(folder) && chdir(folder) == 0 && system("mkdir -m 700 chain") == 0, folder);
	measure("rsa2048", rounds);
	measure("p256", rounds);
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return system(command) == 0 ? 0 : EXIT_FAILURE;
}
