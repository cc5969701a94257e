/*
 * signers SOCKET MESSAGES CONNECTIONS LOGIN=CERT.pem...: speaks the milter protocol to a running filter as
 * an MTA would, over many connections, each message under another of the logins, with aborted messages
 * mixed in, connections cut in the middle of one, and new ones begun. Each sealed result is judged by
 * OpenSSL, and its signer's certificate compared with the login's. Prints
 * "sealed N wrong N unsealed N aborted N cut N seconds S"; `wrong` must be 0.
 */
#include <arpa/inet.h>
#include <openssl/cms.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "smime/buf.h"
#include "tests/bench/bench.h"

enum { MAX_LOGINS = 64, MAX_CONNECTIONS = 64, FRAME = 128 * 1024 };

/* Postfix's offer: all edits, all steps (milter protocol 6). */
enum { VERSION = 6, ACTIONS = 0x1ff, STEPS = 0x1fffff };

struct login {
	char name[128];
	unsigned char sha256[32];
};

struct totals {
	atomic_long left, sealed, wrong, unsealed, aborted, cut;
};

struct mta {
	const char *socket;
	const struct login *logins;
	size_t n_logins;
	struct totals *totals;
	uint64_t random;
	int fd;
	unsigned char frame[FRAME];
	size_t len; /* of the frame at hand, with its command */
};

static unsigned
dice(struct mta *mta, unsigned sides)
{
	mta->random ^= mta->random << 13;
	mta->random ^= mta->random >> 7;
	mta->random ^= mta->random << 17;
	return (unsigned)(mta->random >> 33) % sides;
}

static void
send_frame(struct mta *mta, char command, const void *bytes, size_t len)
{
	unsigned char out[4 + 1 + 4096];
	uint32_t size = htonl((uint32_t)(len + 1));

	must(len <= 4096, "a frame fits");
	memcpy(out, &size, 4);
	out[4] = (unsigned char)command;
	if (len)
		memcpy(out + 5, bytes, len);
	must(write(mta->fd, out, 5 + len) == (ssize_t)(5 + len), "the filter goes on reading");
}

static void
read_all(struct mta *mta, void *ret, size_t len)
{
	for (size_t have = 0; have < len;) {
		ssize_t got = read(mta->fd, (char *)ret + have, len - have);

		must(got > 0, "an answer of the filter");
		have += (size_t)got;
	}
}

static char
read_frame(struct mta *mta)
{
	uint32_t size;

	read_all(mta, &size, 4);
	mta->len = ntohl(size);
	must(mta->len > 0 && mta->len < FRAME, "a frame's length");
	read_all(mta, mta->frame, mta->len);
	mta->frame[mta->len] = '\0';
	return (char)mta->frame[0];
}

/* Texts, each with its NUL; `texts` ends with NULL. */
static void
send_texts(struct mta *mta, char command, const char *prefix, const char *const *texts)
{
	char bytes[4096];
	size_t len = strlen(prefix);

	memcpy(bytes, prefix, len);
	for (; *texts; texts++) {
		size_t more = strlen(*texts) + 1;

		must(len + more <= sizeof(bytes), "texts fit");
		memcpy(bytes + len, *texts, more);
		len += more;
	}
	send_frame(mta, command, bytes, len);
}

static void
begin(struct mta *mta)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const uint32_t offer[] = { htonl(VERSION), htonl(ACTIONS), htonl(STEPS) };
	static const char client[] = "klien\0" "4\x30\x39" "192.0.2.7"; /* name, family, port, address */

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", mta->socket);
	mta->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	must(connect(mta->fd, (const struct sockaddr *)&address, sizeof(address)) == 0, mta->socket);
	send_frame(mta, 'O', offer, sizeof(offer));
	must(read_frame(mta) == 'O', "negotiation");
	send_frame(mta, 'C', client, sizeof(client)); /* its NUL too */
}

static void
cut(struct mta *mta)
{
	close(mta->fd);
	atomic_fetch_add(&mta->totals->cut, 1);
	begin(mta);
}

static void
abort_message(struct mta *mta)
{
	send_frame(mta, 'A', "", 0);
	atomic_fetch_add(&mta->totals->aborted, 1);
}

static void
mail(struct mta *mta, const struct login *login)
{
	char path[160];

	snprintf(path, sizeof(path), "<%s>", login->name);
	send_texts(mta, 'D', "M", (const char *const[]){ "{tls_version}", "TLSv1.3", "{cipher}", "TLS_AES_256_GCM_SHA384", "{auth_type}", "PLAIN",
	    "{auth_authen}", login->name, NULL });
	send_texts(mta, 'M', "", (const char *const[]){ path, NULL });
	must(read_frame(mta) == 'c', "MAIL goes on");
	send_texts(mta, 'R', "", (const char *const[]){ "<warga@example.org>", NULL });
}

static void
content(struct mta *mta, const struct login *login)
{
	char from[160], body[200];
	int len = snprintf(body, sizeof(body), "Surat dari %s.\r\n", login->name);

	snprintf(from, sizeof(from), " Kantor <%s>", login->name);
	send_texts(mta, 'L', "", (const char *const[]){ "From", from, NULL });
	send_texts(mta, 'L', "", (const char *const[]){ "Subject", " Surat dinas", NULL });
	send_frame(mta, 'B', body, (size_t)len);
}

static bool
signed_by(const struct login *login, const char *type, const struct buf *body)
{
	AUTO_BUF struct buf text = { 0 };
	unsigned char hash[32];
	unsigned len = 0;
	BIO *in, *inner = NULL;
	CMS_ContentInfo *cms;
	STACK_OF(X509) *signers = NULL;
	bool good;

	buf_init(&text, 1024 * 1024);
	buf_printf(&text, "MIME-Version: 1.0\r\nContent-Type: %s\r\n\r\n", type);
	buf_add_slice(&text, buf_slice(body));
	in = BIO_new_mem_buf(text.at, (int)text.len);
	cms = SMIME_read_CMS(in, &inner);
	good = cms && CMS_verify(cms, NULL, NULL, inner, NULL, CMS_NO_SIGNER_CERT_VERIFY | CMS_BINARY) == 1
	    && (signers = CMS_get0_signers(cms)) && sk_X509_num(signers) == 1
	    && X509_digest(sk_X509_value(signers, 0), EVP_sha256(), hash, &len) == 1 && memcmp(hash, login->sha256, 32) == 0
	    && memmem(body->at, body->len, login->name, strlen(login->name)) != NULL;
	sk_X509_free(signers);
	CMS_ContentInfo_free(cms);
	BIO_free(inner);
	BIO_free(in);
	ERR_clear_error();
	return good;
}

static void
end(struct mta *mta, const struct login *login)
{
	AUTO_BUF struct buf body = { 0 };
	char type[512] = "", answer;

	buf_init(&body, 1024 * 1024);
	send_texts(mta, 'D', "E", (const char *const[]){ "i", "4BENCH", NULL });
	send_frame(mta, 'E', "", 0);
	while ((answer = read_frame(mta)) == 'h' || answer == 'i' || answer == 'm' || answer == 'b') {
		const char *name = (const char *)mta->frame + (answer == 'i' || answer == 'm' ? 5 : 1);

		if (answer == 'b')
			buf_add(&body, mta->frame + 1, mta->len - 1);
		else if (strcmp(name, "Content-Type") == 0)
			snprintf(type, sizeof(type), "%s", name + sizeof("Content-Type"));
	}
	if (answer != 'a' || body.len == 0)
		atomic_fetch_add(&mta->totals->unsealed, 1);
	else if (signed_by(login, type, &body))
		atomic_fetch_add(&mta->totals->sealed, 1);
	else
		atomic_fetch_add(&mta->totals->wrong, 1);
}

static void
one(struct mta *mta)
{
	const struct login *login = &mta->logins[dice(mta, (unsigned)mta->n_logins)];
	unsigned fate = dice(mta, 16);

	mail(mta, login);
	if (fate == 0) {
		abort_message(mta);
		return;
	}
	if (fate == 1) {
		cut(mta);
		return;
	}
	content(mta, login);
	if (fate == 2) {
		abort_message(mta);
		return;
	}
	if (fate == 3) {
		cut(mta);
		return;
	}
	end(mta, login);
	atomic_fetch_sub(&mta->totals->left, 1);
}

static void *
work(void *given)
{
	struct mta *mta = given;

	begin(mta);
	while (atomic_load(&mta->totals->left) > 0)
		one(mta);
	send_frame(mta, 'Q', "", 0);
	close(mta->fd);
	return NULL;
}

static void
read_login(char *given, struct login *ret)
{
	char *path = strrchr(given, '=');
	FILE *pem = path ? fopen(path + 1, "re") : NULL;
	X509 *cert = pem ? PEM_read_X509(pem, NULL, NULL, NULL) : NULL;
	unsigned len;

	must(cert != NULL && X509_digest(cert, EVP_sha256(), ret->sha256, &len) == 1, given);
	*path = '\0';
	snprintf(ret->name, sizeof(ret->name), "%s", given);
	X509_free(cert);
	fclose(pem);
}

int
main(int argc, char **argv)
{
	static struct login logins[MAX_LOGINS];
	static struct mta mtas[MAX_CONNECTIONS];
	pthread_t threads[MAX_CONNECTIONS];
	struct totals totals = { .left = argc > 2 ? atol(argv[2]) : 0 };
	int connections = argc > 3 ? atoi(argv[3]) : 0;
	double began;

	must(argc > 4 && argc - 4 <= MAX_LOGINS && connections > 0 && connections <= MAX_CONNECTIONS,
	    "usage: signers SOCKET MESSAGES CONNECTIONS LOGIN=CERT.pem...");
	for (int i = 4; i < argc; i++)
		read_login(argv[i], &logins[i - 4]);
	began = clock_now(CLOCK_MONOTONIC);
	for (int i = 0; i < connections; i++) {
		mtas[i] = (struct mta){ .socket = argv[1], .logins = logins, .n_logins = (size_t)argc - 4, .totals = &totals,
			.random = 0x9e3779b97f4a7c15u * (uint64_t)(i + 1) };
		must(pthread_create(&threads[i], NULL, work, &mtas[i]) == 0, "a thread");
	}
	for (int i = 0; i < connections; i++)
		pthread_join(threads[i], NULL);
	printf("sealed %ld wrong %ld unsealed %ld aborted %ld cut %ld seconds %.1f\n", totals.sealed, totals.wrong, totals.unsealed,
	    totals.aborted, totals.cut, (clock_now(CLOCK_MONOTONIC) - began) / 1e6);
	return totals.wrong == 0 && totals.unsealed == 0 ? 0 : EXIT_FAILURE;
}
