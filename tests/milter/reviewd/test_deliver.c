/* The released message's pieces, and an SMTP server that says what no good one says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "milter/reviewd/deliver.h"
#include "milter/reviewd/smtp.h"

#define OURS "mx.kota.example"

static const struct {
	const char *name, *message, *want;
} pieces_rows[] = {
	{ "nothing to remove", "From: a\r\n\r\nx\r\n", "From: a\r\n\r\nx\r\n" },
	{ "ours goes", "A: 1\r\nAuthentication-Results: " OURS "; smime=pass\r\nFrom: a\r\n\r\nx", "A: 1\r\nFrom: a\r\n\r\nx" },
	{ "a stranger's stays", "Authentication-Results: lain.example; spf=pass\r\n\r\nx", "Authentication-Results: lain.example; spf=pass\r\n\r\nx" },
	{ "our prefix, folded", "X-Segel-A: 1\r\n 2\r\nB: 1\r\n\r\n", "B: 1\r\n\r\n" },
	{ "two of ours around another", "X-Segel-A: 1\r\nB: 1\r\nx-segel-b: 2\r\n\r\n", "B: 1\r\n\r\n" },
	{ "in the body it stays", "B: 1\r\n\r\nX-Segel-A: 1\r\n", "B: 1\r\n\r\nX-Segel-A: 1\r\n" },
	{ "a line that is no field stays", "B: 1\r\nnonsense\r\nX-Segel-A: 1\r\n\r\nx", "B: 1\r\nnonsense\r\n\r\nx" },
	{ "a blank before the colon", "B: 1\r\nAuthentication-Results : " OURS "; smime=pass\r\n\r\n", "B: 1\r\n\r\n" },
	{ "empty", "", "" },
};

static void
pieces(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(pieces_rows); i++) {
		AUTO(xfree) char *message = xstrdup(pieces_rows[i].message);
		AUTO_BUF struct buf ours = { 0 };
		AUTO_BUF struct buf whole = { 0 };
		AUTO_BUF struct buf want = { 0 };
		size_t n = 0;
		AUTO(xfree) struct slice *list = deliver_pieces(slice_of(message), OURS, OURS ";\n\tsmime=none", &ours, &n);

		buf_init(&whole, 4096);
		buf_init(&want, 4096);
		for (size_t k = 0; k < n; k++)
			buf_add_slice(&whole, list[k]);
		buf_printf(&want, "Authentication-Results: " OURS ";\r\n\tsmime=none\r\n%s", pieces_rows[i].want);
		if (!slice_equal(buf_slice(&whole), buf_slice(&want)))
			fail_msg("%s:\n%s", pieces_rows[i].name, buf_text(&whole));
	}
}

/* What was held because of its head goes out with one that says no more than others: a forged field is found behind any limit. */
static void
pieces_beyond_limits(void **state)
{
	static const char forged[] = "Authentication-Results: " OURS "; smime=pass\r\nX-Segel-A: 1\r\n";
	const size_t lengths[] = { LIMIT_FIELD_BYTES, LIMIT_HEADER_BYTES };

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(lengths) + 1; i++) {
		AUTO_BUF struct buf message = { 0 };
		AUTO_BUF struct buf ours = { 0 };
		size_t n = 0, left = 0;
		AUTO(xfree) struct slice *list = NULL;

		buf_init(&message, 1024 * 1024);
		if (i < N_ELEMENTS(lengths)) {
			buf_add_text(&message, "To: ");
			while (message.len < lengths[i] + 100)
				buf_add_text(&message, "a@b.example,\r\n ");
			buf_add_text(&message, "c@d.example\r\n");
		}
		for (size_t k = 0; i == N_ELEMENTS(lengths) && k < LIMIT_HEADER_FIELDS + 10; k++)
			buf_add_text(&message, "A: 1\r\n");
		buf_add_text(&message, forged);
		buf_add_text(&message, "B: 1\r\n\r\nx\r\n");
		list = deliver_pieces(buf_slice(&message), OURS, OURS "; smime=none", &ours, &n);
		for (size_t k = 1; k < n; k++) {
			left += list[k].len;
			assert_null(memmem(list[k].at, list[k].len, "smime=pass", 10));
			assert_null(memmem(list[k].at, list[k].len, "X-Segel-A", 9));
		}
		assert_int_equal(left, message.len - strlen(forged));
	}
}

/* What was held on its way out goes on as it is. */
static void
pieces_without_results(void **state)
{
	static const char message[] = "Authentication-Results: " OURS "; smime=pass\r\nX-Segel-A: 1\r\nFrom: a@b.example\r\n\r\nx\r\n";
	AUTO_BUF struct buf ours = { 0 };
	AUTO(xfree) struct slice *list = NULL;
	size_t n = 0;

	(void)state;
	list = deliver_pieces(slice_of(message), OURS, NULL, &ours, &n);
	assert_int_equal(n, 1);
	assert_true(slice_equal(list[0], slice_of(message)));
	assert_int_equal(ours.len, 0);
}

/* A server with a script: what it says at once, and then to each line that comes; NULL = it closes. */
struct server {
	int fd;
	const char *const *says;
	char heard[4096];
};

static void
hear(struct server *server, const char *bytes, size_t len)
{
	const size_t have = strlen(server->heard);

	if (have + len < sizeof(server->heard))
		memcpy(server->heard + have, bytes, len);
}

/* Lines up to DATA one by one; behind 354 all up to the lone dot. */
static void *
serve(void *arg)
{
	struct server *server = arg;
	AUTO_FD int fd = accept(server->fd, NULL, NULL);
	bool in_data = false;

	for (size_t i = 0; server->says[i]; i++) {
		size_t began = strlen(server->heard);
		char c;

		if (send(fd, server->says[i], strlen(server->says[i]), MSG_NOSIGNAL) == -1)
			break;
		in_data = strncmp(server->says[i], "354", 3) == 0;
		while (recv(fd, &c, 1, 0) == 1) {
			hear(server, &c, 1);
			if (in_data ? strstr(server->heard + began, "\r\n.\r\n") != NULL : c == '\n')
				break;
		}
	}
	return NULL;
}

static enum smtp_outcome
talk(const char *const *says, const struct smtp_letter *letter, char heard[4096], struct err *err)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(address);
	struct server server = { .says = says };
	char endpoint[64];
	pthread_t thread;
	enum smtp_outcome outcome;

	server.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(server.fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(server.fd, 1), 0);
	assert_int_equal(getsockname(server.fd, (struct sockaddr *)&address, &len), 0);
	assert_int_equal(pthread_create(&thread, NULL, serve, &server), 0);
	snprintf(endpoint, sizeof(endpoint), "127.0.0.1:%u", ntohs(address.sin_port));
	outcome = smtp_send(endpoint, letter, 2000, err);
	pthread_join(thread, NULL);
	close(server.fd);
	memcpy(heard, server.heard, sizeof(server.heard));
	return outcome;
}

#define EHLO "250-x\r\n250-8BITMIME\r\n250-DSN\r\n250-SMTPUTF8\r\n250 SIZE 1000000\r\n"

static const struct {
	const char *name;
	const char *says[10];
	const char *sender_parameters, *message, *recipient;
	enum smtp_outcome want;
	const char *want_heard; /* NULL = not looked at */
} talks[] = {
	{ "all good", { "220 x\r\n", EHLO, "250 ok\r\n", "250 ok\r\n", "354 go\r\n", "250 taken\r\n" }, "BODY=8BITMIME RET=HDRS AUTH=<> SIZE=7",
	  "A: b\r\n\r\n.\r\n..x\r\n", "t@kota.example", SMTP_TAKEN,
	  "MAIL FROM:<s@mitra.example> SIZE=16 BODY=8BITMIME RET=HDRS\r\nRCPT TO:<t@kota.example> NOTIFY=NEVER\r\nDATA\r\nA: b\r\n\r\n..\r\n...x\r\n.\r\n" },
	{ "no extensions: no parameters", { "220 x\r\n", "250 x\r\n", "250 ok\r\n", "250 ok\r\n", "354 go\r\n", "250 taken\r\n" }, "BODY=8BITMIME RET=HDRS",
	  "x\r\n", "t@kota.example", SMTP_TAKEN, "MAIL FROM:<s@mitra.example>\r\nRCPT TO:<t@kota.example>\r\nDATA\r\nx\r\n.\r\n" },
	{ "without a last line end", { "220 x\r\n", EHLO, "250 ok\r\n", "250 ok\r\n", "354 go\r\n", "250 taken\r\n" }, "", "x", "t@kota.example", SMTP_TAKEN,
	  "DATA\r\nx\r\n.\r\n" },
	{ "needs SMTPUTF8", { "220 x\r\n", "250 x\r\n" }, "SMTPUTF8", "x\r\n", "t@kota.example", SMTP_REFUSED, NULL },
	{ "sender refused", { "220 x\r\n", EHLO, "550 no\r\n" }, "", "x\r\n", "t@kota.example", SMTP_REFUSED, NULL },
	{ "recipient refused", { "220 x\r\n", EHLO, "250 ok\r\n", "550 no\r\n" }, "", "x\r\n", "t@kota.example", SMTP_REFUSED, NULL },
	{ "recipient later", { "220 x\r\n", EHLO, "250 ok\r\n", "450 later\r\n" }, "", "x\r\n", "t@kota.example", SMTP_LATER, NULL },
	{ "the whole of it later", { "220 x\r\n", EHLO, "250 ok\r\n", "250 ok\r\n", "354 go\r\n", "451 later\r\n" }, "", "x\r\n", "t@kota.example", SMTP_LATER, NULL },
	{ "message refused", { "220 x\r\n", EHLO, "250 ok\r\n", "250 ok\r\n", "354 go\r\n", "554 no\r\n" }, "", "x\r\n", "t@kota.example", SMTP_REFUSED, NULL },
	{ "closes behind the last byte", { "220 x\r\n", EHLO, "250 ok\r\n", "250 ok\r\n", "354 go\r\n" }, "", "x\r\n", "t@kota.example", SMTP_UNKNOWN, NULL },
	{ "closes at once", { NULL }, "", "x\r\n", "t@kota.example", SMTP_AWAY, NULL },
	{ "greets with a refusal", { "554 go away\r\n" }, "", "x\r\n", "t@kota.example", SMTP_AWAY, NULL },
	{ "no reply at all", { "220 x\r\n", "hello\r\n" }, "", "x\r\n", "t@kota.example", SMTP_AWAY, NULL },
	{ "another 2xx is no 250", { "220 x\r\n", EHLO, "250 ok\r\n", "250 ok\r\n", "354 go\r\n", "299 hm\r\n" }, "", "x\r\n", "t@kota.example", SMTP_UNKNOWN, NULL },
	{ "line end in an address", { "220 x\r\n", EHLO, "250 ok\r\n" }, "", "x\r\n", "t@kota.example>\r\nRCPT TO:<u@kota.example", SMTP_REFUSED, NULL },
	{ "sign that ends an address", { "220 x\r\n", EHLO, "250 ok\r\n" }, "", "x\r\n", "t@kota.example> NOTIFY=NEVER", SMTP_REFUSED, NULL },
};

static void
servers(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(talks); i++) {
		AUTO(xfree) char *message = xstrdup(talks[i].message);
		const struct slice piece = slice_of(message);
		const struct smtp_recipient to = { talks[i].recipient, "NOTIFY=NEVER XTRA=1" };
		const struct smtp_letter letter = { "s@mitra.example", talks[i].sender_parameters, &to, 1, &piece, 1 };
		struct err err = { ERR_NONE, "" };
		char heard[4096];
		enum smtp_outcome outcome = talk(talks[i].says, &letter, heard, &err);

		if (outcome != talks[i].want || (talks[i].want_heard && !strstr(heard, talks[i].want_heard)))
			fail_msg("%s: %d %s\n%s", talks[i].name, outcome, err.text, heard);
		if (outcome != SMTP_TAKEN && (err.kind == ERR_NONE || !*err.text))
			fail_msg("%s: no reason is given", talks[i].name);
	}
}

/* Nothing listens: the text says what to look at. A lone line feed is never sent. */
static void
cannot_be_sent(void **state)
{
	const struct smtp_recipient to = { "t@kota.example", "" };
	const struct slice lone = slice_of("a\r\n\r\nx\n.\r\ny\r\n"), split[] = { slice_of("x\r"), slice_of("\ny\r\n") };
	const struct smtp_letter bad = { "", "", &to, 1, &lone, 1 }, good = { "", "", &to, 1, split, 2 };
	struct err err = { ERR_NONE, "" };

	(void)state;
	assert_int_equal(smtp_send("127.0.0.1:1", &bad, 1000, &err), SMTP_REFUSED);
	assert_non_null(strstr(err.text, "line feed"));
	assert_int_equal(smtp_send("127.0.0.1:1", &good, 1000, &err), SMTP_AWAY);
	assert_non_null(strstr(err.text, "does not answer"));
	assert_int_equal(smtp_send("192.0.2.1:25", &good, 1000, &err), SMTP_AWAY);
	assert_int_equal(err.kind, ERR_CONFIG);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pieces),
		cmocka_unit_test(pieces_beyond_limits), cmocka_unit_test(pieces_without_results),
		cmocka_unit_test(servers),
		cmocka_unit_test(cannot_be_sent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
