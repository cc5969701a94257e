#include "milter/preflight/link.h"

#include <errno.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BLOCK_BYTES = 4096, DRAIN_BYTES = 1024 * 1024 };

struct link {
	int fd;
	int timeout_ms;
	int64_t until;
	SSL_CTX *ctx; /* NULL: in clear */
	SSL *ssl;
	BIO *in, *out; /* of ssl, which owns them: what came from the server, what goes there */
};

/* --- time --- */

void
link_deadline(struct link *link)
{
	link->until = monotonic_ms() + link->timeout_ms;
}

static int
wait_for(const struct link *link, short events, struct err *err)
{
	struct pollfd one = { .fd = link->fd, .events = events };

	for (;;) {
		const int64_t left = link->until - monotonic_ms();
		const int n = left > 0 ? poll(&one, 1, (int)left) : 0;

		if (n > 0)
			return 0;
		if (n == 0)
			return err_set(err, ERR_TEMP, "no whole answer within %d ms", link->timeout_ms);
		if (errno != EINTR)
			return err_set(err, ERR_TEMP, "waiting for the server: %s", strerror(errno));
	}
}

/* --- bytes in clear --- */

static int
send_raw(const struct link *link, const unsigned char *at, size_t len, struct err *err)
{
	while (len > 0) {
		const ssize_t n = send(link->fd, at, len, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n == -1 && (errno == EAGAIN || errno == EINTR)) {
			if (wait_for(link, POLLOUT, err) == -1)
				return -1;
			continue;
		}
		if (n == -1)
			return err_set(err, ERR_TEMP, "sending to the server: %s", strerror(errno));
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

/* At least a byte; -1: none. */
static ssize_t
receive_raw(const struct link *link, unsigned char block[BLOCK_BYTES], struct err *err)
{
	for (;;) {
		ssize_t n;

		if (wait_for(link, POLLIN, err) == -1)
			return -1;
		n = recv(link->fd, block, BLOCK_BYTES, MSG_DONTWAIT);
		if (n > 0)
			return n;
		if (n == 0)
			return err_set(err, ERR_TEMP, "the server closed the connection");
		if (errno != EAGAIN && errno != EINTR)
			return err_set(err, ERR_TEMP, "receiving from the server: %s", strerror(errno));
	}
}

size_t
link_drain(struct link *link, int wait_ms)
{
	const int64_t until = monotonic_ms() + wait_ms;
	unsigned char block[BLOCK_BYTES];
	size_t all = 0;

	for (int64_t left = wait_ms; left > 0 && all < DRAIN_BYTES; left = until - monotonic_ms()) {
		struct pollfd one = { .fd = link->fd, .events = POLLIN };
		const ssize_t n = poll(&one, 1, (int)left) > 0 ? recv(link->fd, block, sizeof(block), MSG_DONTWAIT) : 0;

		if (n <= 0)
			break;
		all += (size_t)n;
	}
	return all;
}

/* --- in TLS --- */

static int
flush_out(const struct link *link, struct err *err)
{
	unsigned char *at;
	const long len = BIO_get_mem_data(link->out, &at);

	if (len > 0 && send_raw(link, at, (size_t)len, err) == -1)
		return -1;
	(void)BIO_reset(link->out);
	return 0;
}

static int
feed_in(const struct link *link, struct err *err)
{
	unsigned char block[BLOCK_BYTES];
	const ssize_t n = receive_raw(link, block, err);

	if (n == -1)
		return -1;
	return BIO_write(link->in, block, (int)n) == n ? 0 : err_set(err, ERR_TEMP, "no memory for what the server says in TLS");
}

/* Empties the thread's queue, so that no old error is read as a new one. */
static int
tls_err(struct err *err, const char *what)
{
	const unsigned long code = ERR_peek_error();
	const char *reason = code ? ERR_reason_error_string(code) : NULL;

	ERR_clear_error();
	return err_set(err, ERR_TEMP, "%s: %s", what, reason ? reason : "the session was ended");
}

/* After a call on the session that did not do it: what it wants, so that it can be called again. */
static int
step(const struct link *link, int result, const char *what, struct err *err)
{
	const int why = SSL_get_error(link->ssl, result);

	if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE) {
		(void)flush_out(link, NULL); /* an alert for the server */
		return tls_err(err, what);
	}
	if (flush_out(link, err) == -1)
		return -1;
	return why == SSL_ERROR_WANT_READ ? feed_in(link, err) : 0;
}

int
link_send(struct link *link, struct slice bytes, struct err *err)
{
	size_t done = 0;

	if (!link->ssl)
		return send_raw(link, bytes.at, bytes.len, err);
	ERR_clear_error();
	while (bytes.len > 0) {
		const int result = SSL_write_ex(link->ssl, bytes.at, bytes.len, &done);

		if (result == 1)
			break;
		if (step(link, result, "sending in TLS", err) == -1)
			return -1;
	}
	return flush_out(link, err);
}

int
link_receive(struct link *link, struct buf *ret, struct err *err)
{
	unsigned char block[BLOCK_BYTES];
	size_t got = 0;
	ssize_t n;

	if (!link->ssl) {
		n = receive_raw(link, block, err);
		if (n == -1)
			return -1;
		buf_add(ret, block, (size_t)n);
		return 0;
	}
	ERR_clear_error();
	while (got == 0) {
		const int result = SSL_read_ex(link->ssl, block, sizeof(block), &got);

		if (result != 1 && step(link, result, "receiving in TLS", err) == -1)
			return -1;
	}
	buf_add(ret, block, got);
	return 0;
}

/* --- the handshake --- */

/* What an administrator forbids this machine's own programs is not what the server takes: so it is set here. */
static bool
set_offer(SSL_CTX *ctx, enum tls_offer offer)
{
	SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
	if (offer == OFFER_MODERN)
		return SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1;
	SSL_CTX_set_security_level(ctx, 0);
	return SSL_CTX_set_min_proto_version(ctx, TLS1_VERSION) == 1 && SSL_CTX_set_max_proto_version(ctx, TLS1_1_VERSION) == 1
	    && SSL_CTX_set_cipher_list(ctx, "ALL:@SECLEVEL=0") == 1;
}

static bool
make_session(struct link *link, enum tls_offer offer)
{
	link->ctx = SSL_CTX_new(TLS_client_method());
	if (!link->ctx || !set_offer(link->ctx, offer))
		return false;
	link->ssl = SSL_new(link->ctx);
	link->in = BIO_new(BIO_s_mem());
	link->out = BIO_new(BIO_s_mem());
	if (!link->ssl || !link->in || !link->out) {
		BIO_free(link->in);
		BIO_free(link->out);
		link->in = link->out = NULL;
		return false;
	}
	/* An empty memory is not an end. */
	(void)BIO_set_mem_eof_return(link->in, -1);
	SSL_set_bio(link->ssl, link->in, link->out); /* the session's now */
	SSL_set_connect_state(link->ssl);
	return true;
}

/* Before the first byte went out the fault is ours. */
static enum tls_outcome
outcome_of(bool sent, bool alert, bool closed)
{
	if (!sent)
		return TLS_OUTCOME_CANNOT;
	return alert || closed ? TLS_OUTCOME_REFUSED : TLS_OUTCOME_UNKNOWN;
}

/* OpenSSL files the alerts of the other side from this number on. */
static bool
is_alert(unsigned long code)
{
	return ERR_GET_LIB(code) == ERR_LIB_SSL && ERR_GET_REASON(code) >= SSL_AD_REASON_OFFSET;
}

/* Does the server's last word stand in a closed connection? Asked without waiting. */
static bool
is_closed(const struct link *link)
{
	unsigned char byte;

	return recv(link->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

enum tls_outcome
link_tls(struct link *link, enum tls_offer offer, struct err *err)
{
	bool sent = false;

	ERR_clear_error();
	if (!make_session(link, offer)) {
		(void)tls_err(err, "this machine's OpenSSL cannot offer it");
		return TLS_OUTCOME_CANNOT;
	}
	for (;;) {
		const int result = SSL_do_handshake(link->ssl);
		bool alert;

		if (result == 1)
			break;
		alert = is_alert(ERR_peek_error());
		sent |= BIO_ctrl_pending(link->out) > 0 && SSL_want_read(link->ssl);
		if (step(link, result, "TLS", err) == -1)
			return outcome_of(sent, alert, is_closed(link));
	}
	return flush_out(link, err) == 0 ? TLS_OUTCOME_AGREED : TLS_OUTCOME_UNKNOWN;
}

const char *
link_tls_version(const struct link *link)
{
	return link->ssl ? SSL_get_version(link->ssl) : "";
}

const char *
link_tls_cipher(const struct link *link)
{
	return link->ssl ? SSL_get_cipher_name(link->ssl) : "";
}

/* --- connecting --- */

static int
connect_one(struct link *link, const struct addrinfo *address, struct err *err)
{
	int failure = 0;
	socklen_t size = sizeof(failure);
	AUTO_FD int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd == -1)
		return err_set(err, ERR_TEMP, "socket: %s", strerror(errno));
	link->fd = fd;
	if (connect(fd, address->ai_addr, address->ai_addrlen) == -1) {
		if (errno != EINPROGRESS)
			failure = errno;
		else if (wait_for(link, POLLOUT, err) == -1)
			return -1;
		else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &size) == -1)
			failure = errno;
	}
	if (failure)
		return err_set(err, ERR_TEMP, "no connection: %s", strerror(failure));
	link->fd = TAKE_FD(fd);
	return 0;
}

int
link_open(const char *host, const char *port, int timeout_ms, struct link **ret, struct err *err)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	AUTO(link_close) struct link *link = xcalloc(1, sizeof(*link));
	struct addrinfo *list = NULL;
	int code = getaddrinfo(host, port, &hints, &list), result = -1;

	link->fd = -1;
	link->timeout_ms = timeout_ms;
	if (code != 0)
		return err_set(err, ERR_CONFIG, "'%s', port '%s': %s", host, port, gai_strerror(code));
	link_deadline(link);
	for (const struct addrinfo *one = list; one && result == -1; one = one->ai_next) {
		result = connect_one(link, one, err);
		if (result == -1)
			link->fd = -1; /* closed */
	}
	freeaddrinfo(list);
	if (result == 0)
		*ret = TAKE(link);
	return result;
}

void
link_close(struct link *link)
{
	if (!link)
		return;
	SSL_free(link->ssl);
	SSL_CTX_free(link->ctx);
	if (link->fd != -1)
		(void)close(link->fd);
	xfree(link);
}
