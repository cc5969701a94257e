/*
 * envelope [ROUNDS]: CPU of encrypting a message to N certificates, and of decrypting one, against bare CMS_encrypt and CMS_decrypt of the
 * same bytes with the same certificates and keys in the process. Both begin with DER certificates and end with a body in base64, or begin
 * with that body and end with the plaintext. What is decrypted from CBC is signed inside, and bare is CMS_decrypt and CMS_verify of content
 * and signature that lie ready, without the chain. Rounds take turns; medians. First the memory above idle while 30 MB are
 * encrypted and decrypted, the message in memory included, each in a process of its own.
 *
 *     encrypt CIPHER BYTES RECIPIENTS bare MICROSECONDS ours MICROSECONDS ratio R
 *     decrypt CIPHER BYTES RECIPIENTS bare MICROSECONDS ours MICROSECONDS ratio R
 *     memory encrypt bytes 31457280 above KILOBYTES ratio R
 *     memory decrypt bytes 31457280 above KILOBYTES ratio R
 */
#include <openssl/cms.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "milter/filter/parked.h"
#include "smime/decrypt.h"
#include "smime/encrypt.h"
#include "smime/inspect.h"
#include "smime/verify.h"
#include "tests/bench/bench.h"
#include "tests/support/forge.h"

enum { MAX_ROUNDS = 101, MAX_RECIPIENTS = 100, MEMORY_BYTES = 30 * 1024 * 1024 };

#define HEAD "From: a@kota.example\r\nTo: b@kota.example\r\nSubject: Surat\r\nMIME-Version: 1.0\r\n"

struct desk {
	struct buf certs[MAX_RECIPIENTS];
	EVP_PKEY *pkey;
	struct key *key; /* of the last */
	struct buf content;      /* an entity */
	struct buf cms, sealed;  /* its signature, and both as a multipart/signed */
	struct buf *plain;       /* which of the two is encrypted */
	struct buf mail, body;
	struct message_facts facts;
	size_t n;
	enum encrypt_cipher cipher;
};

static void
mkpki(const char *options)
{
	char self[512] = "", command[2048];

	must(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0, "readlink");
	*strrchr(self, '/') = '\0';
	snprintf(command, sizeof(command), "'%s/../pki/mkpki' --from -1d --to +1y --key rsa2048 %s >/dev/null", self, options);
	must(system(command) == 0, "mkpki");
}

static void
read_file(const char *file, struct buf *ret)
{
	unsigned char room[LIMIT_CERT_BYTES];
	FILE *in = fopen(file, "re");

	must(in != NULL, file);
	buf_init(ret, sizeof(room));
	buf_add(ret, room, fread(room, 1, sizeof(room), in));
	fclose(in);
}

static void
make_desk(struct desk *desk)
{
	struct err err = { .text = "" };
	FILE *pem;

	mkpki("--self --ca --out root --cn Root");
	for (int i = 0; i < MAX_RECIPIENTS; i++) {
		char options[128], file[32];

		snprintf(options, sizeof(options), "--ca-of root --out r%d --cn R%d --email r%d@kota.example --usage encrypt", i, i, i);
		mkpki(options);
		snprintf(file, sizeof(file), "r%d.der", i);
		read_file(file, &desk->certs[i]);
	}
	mkpki("--ca-of root --out signer --cn Kantor --email a@kota.example --usage sign");
	must(key_load("r0.key", NULL, true, &desk->key, &err) == 0, err.text);
	pem = fopen("r0.key", "re");
	desk->pkey = pem ? PEM_read_PrivateKey(pem, NULL, NULL, NULL) : NULL;
	must(desk->pkey != NULL, "r0.key");
	fclose(pem);
}

static void
set_content(struct desk *desk, size_t bytes)
{
	struct forge forge = { .signer = "signer" };

	buf_done(&desk->content);
	buf_done(&desk->cms);
	buf_done(&desk->sealed);
	buf_init(&desk->content, LIMIT_MESSAGE_BYTES);
	buf_add_text(&desk->content, "Content-Type: text/plain; charset=us-ascii\r\n\r\n");
	while (desk->content.len < bytes)
		buf_add_text(&desk->content, "Isi surat dinas ini ada enam puluh dua huruf dan tidak lebih..\r\n");
	forge.content = buf_slice(&desk->content);
	forge_cms(&forge, &desk->cms);
	buf_init(&desk->sealed, LIMIT_MESSAGE_BYTES);
	buf_add_text(&desk->sealed, "Content-Type: multipart/signed; protocol=\"application/pkcs7-signature\"; micalg=sha-256; boundary=batas\r\n\r\n--batas\r\n");
	buf_add_slice(&desk->sealed, forge.content);
	buf_add_text(&desk->sealed, "\r\n--batas\r\nContent-Type: application/pkcs7-signature; name=smime.p7s\r\nContent-Transfer-Encoding: base64\r\n\r\n");
	forge_base64(buf_slice(&desk->cms), &desk->sealed);
	buf_add_text(&desk->sealed, "--batas--\r\n");
}

static X509 *
open_cert(const struct buf *der)
{
	const unsigned char *at = der->at;
	X509 *cert = d2i_X509(NULL, &at, (long)der->len);

	must(cert != NULL, "d2i_X509");
	return cert;
}

static int
take(void *ctx, struct slice bytes, struct err *err)
{
	(void)err;
	buf_add_slice(ctx, bytes);
	return 0;
}

static double
encrypt_bare(struct desk *desk)
{
	double began = clock_now(CLOCK_PROCESS_CPUTIME_ID);
	STACK_OF(X509) *certs = sk_X509_new_null();
	BIO *in = BIO_new_mem_buf(desk->plain->at, (int)desk->plain->len);
	BIO *out = BIO_new(BIO_s_mem()), *base64 = BIO_new(BIO_f_base64());
	CMS_ContentInfo *cms;

	for (size_t i = 0; i < desk->n; i++)
		sk_X509_push(certs, open_cert(&desk->certs[i]));
	cms = CMS_encrypt(certs, in, desk->cipher == ENCRYPT_AES256_GCM ? EVP_aes_256_gcm() : EVP_aes_256_cbc(), CMS_BINARY);
	BIO_push(base64, out);
	must(cms && i2d_CMS_bio(base64, cms) == 1 && BIO_flush(base64) == 1, "CMS_encrypt");
	CMS_ContentInfo_free(cms);
	BIO_free_all(base64);
	BIO_free(in);
	sk_X509_pop_free(certs, X509_free);
	return clock_now(CLOCK_PROCESS_CPUTIME_ID) - began;
}

static double
encrypt_ours(struct desk *desk)
{
	double began = clock_now(CLOCK_PROCESS_CPUTIME_ID);
	struct encrypt_recipient recipients[MAX_RECIPIENTS];
	struct slice content = buf_slice(desk->plain);
	struct encrypt_request request = { .content = &content, .n_content = 1, .cipher = desk->cipher, .recipients = recipients,
		.n_recipients = desk->n, .now = time(NULL) };
	const struct box_sink sink = { take, &desk->body };
	AUTO(encrypt_free) struct encrypted *encrypted = NULL;
	struct err err = { .text = "" };

	for (size_t i = 0; i < desk->n; i++)
		recipients[i] = (struct encrypt_recipient){ .cert = buf_slice(&desk->certs[i]), .padding = KEY_PADDING_V15 };
	buf_done(&desk->body);
	buf_init(&desk->body, LIMIT_MESSAGE_BYTES);
	must(encrypt_new(&request, &encrypted, &err) == 0 && encrypted->fit == ENCRYPT_FIT && encrypt_write(encrypted, &sink, &err) == 0, err.text);
	return clock_now(CLOCK_PROCESS_CPUTIME_ID) - began;
}

/* What was encrypted last, as a message. */
static void
make_mail(struct desk *desk)
{
	struct err err = { .text = "" };

	buf_done(&desk->mail);
	buf_init(&desk->mail, LIMIT_MESSAGE_BYTES);
	buf_add_text(&desk->mail, HEAD "Content-Type: application/pkcs7-mime; smime-type=enveloped-data\r\nContent-Transfer-Encoding: base64\r\n\r\n");
	buf_add_slice(&desk->mail, buf_slice(&desk->body));
	must(smime_inspect(buf_slice(&desk->mail), &desk->facts, &err) == 0, err.text);
}

/* What signs it is read from `cms`, as if it had been found in the plaintext already. */
static void
verify_bare(const struct desk *desk)
{
	const unsigned char *at = desk->cms.at;
	CMS_ContentInfo *cms = d2i_CMS_ContentInfo(NULL, &at, (long)desk->cms.len);
	BIO *content = BIO_new_mem_buf(desk->content.at, (int)desk->content.len);

	must(cms && CMS_verify(cms, NULL, NULL, content, NULL, CMS_BINARY | CMS_NO_SIGNER_CERT_VERIFY) == 1, "CMS_verify");
	BIO_free(content);
	CMS_ContentInfo_free(cms);
}

static double
decrypt_bare(struct desk *desk)
{
	double began = clock_now(CLOCK_PROCESS_CPUTIME_ID);
	BIO *in = BIO_new_mem_buf(desk->body.at, (int)desk->body.len), *base64 = BIO_new(BIO_f_base64()), *out = BIO_new(BIO_s_mem());
	CMS_ContentInfo *cms;
	X509 *cert = open_cert(&desk->certs[0]);

	BIO_push(base64, in);
	cms = d2i_CMS_bio(base64, NULL);
	must(cms && CMS_decrypt(cms, desk->pkey, cert, NULL, out, CMS_BINARY) == 1, "CMS_decrypt");
	if (desk->plain == &desk->sealed)
		verify_bare(desk);
	CMS_ContentInfo_free(cms);
	X509_free(cert);
	BIO_free_all(base64);
	BIO_free(out);
	return clock_now(CLOCK_PROCESS_CPUTIME_ID) - began;
}

static double
decrypt_in(struct desk *desk, struct buf *spend)
{
	double began = clock_now(CLOCK_PROCESS_CPUTIME_ID);
	struct slice cert = buf_slice(&desk->certs[0]);
	const struct decrypt_request request = { .message = buf_slice(&desk->mail), .spend = spend, .facts = &desk->facts, .certs = &cert, .n_certs = 1,
		.opener = key_opener(desk->key), .at = time(NULL) };
	AUTO(decrypted_free) struct decrypted *decrypted = NULL;
	struct err err = { .text = "" };
	struct plain plain;

	must(smime_decrypt(&request, &decrypted, &err) == 0
	    && decrypted_plain(decrypted, desk->plain == &desk->sealed ? GROUND_SIGNATURE : GROUND_CIPHER, &plain),
	    decrypted ? decrypted_facts(decrypted)->why : err.text);
	return clock_now(CLOCK_PROCESS_CPUTIME_ID) - began;
}

static double
decrypt_ours(struct desk *desk)
{
	return decrypt_in(desk, NULL);
}

static void
measure(struct desk *desk, const char *what, double (*bare)(struct desk *desk), double (*ours)(struct desk *desk), int rounds)
{
	double bares[MAX_ROUNDS], mine[MAX_ROUNDS], ratios[MAX_ROUNDS];

	(void)bare(desk);
	(void)ours(desk);
	for (int i = 0; i < rounds; i++) {
		bares[i] = bare(desk);
		mine[i] = ours(desk);
		ratios[i] = mine[i] / bares[i];
	}
	printf("%s %s %zu %zu bare %.0f ours %.0f ratio %.2f\n", what, desk->cipher == ENCRYPT_AES256_GCM ? "gcm" : "cbc", desk->content.len, desk->n,
	    percentile(bares, (size_t)rounds, 0.5), percentile(mine, (size_t)rounds, 0.5), percentile(ratios, (size_t)rounds, 0.5));
	fflush(stdout);
}

/* ---- memory ---- */

static int
drop(void *ctx, struct slice bytes, struct err *err)
{
	(void)err;
	*(size_t *)ctx += bytes.len;
	return 0;
}

static long
peak(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_maxrss;
}

/* The message in memory, as the filter holds it, and encrypting it beside. */
static void
encrypt_large(struct desk *desk)
{
	const struct encrypt_recipient recipient = { .cert = buf_slice(&desk->certs[0]), .padding = KEY_PADDING_V15 };
	AUTO(encrypt_free) struct encrypted *encrypted = NULL;
	struct encrypt_request request = { .n_content = 1, .cipher = ENCRYPT_AES256_CBC, .recipients = &recipient, .n_recipients = 1, .now = time(NULL) };
	struct slice content;
	struct err err = { .text = "" };
	size_t written = 0;
	const struct box_sink sink = { drop, &written };
	char *message = malloc(MEMORY_BYTES);

	must(message != NULL, "malloc");
	memset(message, 'x', MEMORY_BYTES);
	content = (struct slice){ (unsigned char *)message, MEMORY_BYTES };
	request.content = &content;
	must(encrypt_new(&request, &encrypted, &err) == 0 && encrypt_write(encrypted, &sink, &err) == 0 && written == encrypted->body_len, err.text);
	free(message);
}

/* An encrypted message of that size, written by another process; here it is read, inspected, parked and decrypted, as in the filter. */
static void
decrypt_large(struct desk *desk)
{
	FILE *in = fopen("large.eml", "re");
	struct verify_request verify = { .facts = &desk->facts, .at = time(NULL) };
	AUTO(parked_free) struct parked *parked = NULL;
	struct signature_facts signature;
	struct err err = { .text = "" };

	must(in != NULL, "large.eml");
	buf_init(&desk->mail, LIMIT_MESSAGE_BYTES);
	desk->mail.at = malloc(MEMORY_BYTES);
	must(desk->mail.at != NULL, "malloc");
	desk->mail.room = MEMORY_BYTES;
	desk->mail.len = fread(desk->mail.at, 1, MEMORY_BYTES, in);
	fclose(in);
	verify.message = buf_slice(&desk->mail);
	must(smime_inspect(buf_slice(&desk->mail), &desk->facts, &err) == 0 && smime_verify(&verify, &signature, &err) == 0 && signature.encrypted, err.text);
	must(parked_new(".", buf_slice(&desk->mail), &parked, &err) == 0, err.text);
	(void)decrypt_in(desk, &desk->mail);
	must(desk->mail.at == NULL, "decrypted beside the message");
}

static void
write_large(struct desk *desk)
{
	FILE *out = fopen("large.eml", "we");

	must(out != NULL, "large.eml");
	set_content(desk, MEMORY_BYTES / 78 * 57 - 1024 * 4); /* lines of 76 digits and CRLF carry 57 bytes */
	(void)encrypt_ours(desk);
	make_mail(desk);
	must(fwrite(desk->mail.at, 1, desk->mail.len, out) == desk->mail.len && fclose(out) == 0, "large.eml");
	must(desk->mail.len <= MEMORY_BYTES && desk->mail.len > MEMORY_BYTES / 100 * 99, "the large message is of another size");
}

/* What the libraries take once is idle. */
static void
warm_up(struct desk *desk)
{
	set_content(desk, 4096);
	(void)encrypt_ours(desk);
	make_mail(desk);
	(void)decrypt_ours(desk);
	buf_done(&desk->mail);
}

/* In a process of its own, with what is printed if anything. */
static void
apart(struct desk *desk, const char *what, void (*work)(struct desk *desk))
{
	const pid_t pid = fork();
	int status = 0;

	if (pid == 0) {
		long before;

		warm_up(desk);
		before = peak();
		work(desk);
		if (what) {
			printf("memory %s bytes %d above %ld ratio %.2f\n", what, MEMORY_BYTES, peak() - before, (double)(peak() - before) * 1024 / MEMORY_BYTES);
			fflush(stdout);
		}
		_exit(0);
	}
	must(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0, "a process of its own");
}

static void
measure_memory(struct desk *desk)
{
	desk->cipher = ENCRYPT_AES256_GCM;
	desk->plain = &desk->content;
	desk->n = 1;
	apart(desk, "encrypt", encrypt_large);
	apart(desk, NULL, write_large);
	apart(desk, "decrypt", decrypt_large);
}

int
main(int argc, char **argv)
{
	static const size_t sizes[] = { 4096, 10 * 1024 * 1024 }, recipients[] = { 1, 10, 100 };
	static struct desk desk;
	int rounds = argc > 1 ? atoi(argv[1]) : 11;
	char folder[] = "/tmp/segel-bench-XXXXXX", command[64];

	must(rounds > 0 && rounds <= MAX_ROUNDS, "1 to 101 rounds");
	must(mkdtemp(folder) && chdir(folder) == 0, folder);
	make_desk(&desk);
	measure_memory(&desk);
	for (int c = ENCRYPT_AES256_CBC; c <= ENCRYPT_AES256_GCM; c++) {
		for (size_t s = 0; s < 2; s++) {
			desk.cipher = (enum encrypt_cipher)c;
			set_content(&desk, sizes[s]);
			desk.plain = &desk.content;
			for (size_t r = 0; r < 3; r++) {
				desk.n = recipients[r];
				desk.plain = &desk.content;
				measure(&desk, "encrypt", encrypt_bare, encrypt_ours, rounds);
				if (desk.cipher == ENCRYPT_AES256_CBC) { /* what is not signed inside opens only where the cipher authenticates it */
					desk.plain = &desk.sealed;
					(void)encrypt_ours(&desk);
				}
				make_mail(&desk);
				measure(&desk, "decrypt", decrypt_bare, decrypt_ours, rounds);
			}
		}
	}
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return system(command) == 0 ? 0 : EXIT_FAILURE;
}
