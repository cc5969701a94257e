/*
 * load PORT LOGIN PASSWORD RECIPIENT MESSAGES CONNECTIONS BYTES [8bit]: sends mail as a mail program does:
 * STARTTLS, AUTH PLAIN, then one message after the other on each connection, every reply awaited.
 * From and envelope sender are the login. Prints
 * "messages N seconds S rate R p50 MS p99 MS refused N"; connecting is not counted.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/bench/bench.h"

enum { MAX_CONNECTIONS = 64, LINE = 1024 };

struct job {
	int port;
	const char *login, *password, *recipient;
	SSL_CTX *tls;
	char *message;       /* with its final dot */
	size_t len;
	int messages;        /* of this connection */
	double *latencies;   /* one a message, microseconds */
	int refused;
	pthread_barrier_t *ready;
	int fd;
	SSL *ssl;
};

static void
put(struct job *job, const char *bytes, size_t len)
{
	while (len > 0) {
		size_t most = len < 65536 ? len : 65536;
		ssize_t done = job->ssl ? SSL_write(job->ssl, bytes, (int)most) : write(job->fd, bytes, most);

		must(done > 0, "the server goes on reading");
		bytes += done;
		len -= (size_t)done;
	}
}

static ssize_t
get(struct job *job, char *bytes, size_t room)
{
	return job->ssl ? SSL_read(job->ssl, bytes, (int)room) : read(job->fd, bytes, room);
}

/* A whole reply, its last line "NNN text"; returns its code. */
static int
reply(struct job *job)
{
	char text[4 * LINE];
	size_t len = 0, line = 0;

	for (;;) {
		ssize_t got = get(job, text + len, sizeof(text) - 1 - len);

		must(got > 0, "a reply of the server");
		len += (size_t)got;
		text[len] = '\0';
		for (char *end; (end = strchr(text + line, '\n')); line = (size_t)(end - text) + 1) {
			if (text[line + 3] == ' ' && (size_t)(end - text) + 1 == len)
				return atoi(text + line);
		}
	}
}

static int __attribute__((format(printf, 2, 3)))
say(struct job *job, const char *fmt, ...)
{
	char line[LINE];
	va_list args;
	int len;

	va_start(args, fmt);
	len = vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	must(len > 0 && len < LINE, "a command fits");
	put(job, line, (size_t)len);
	return reply(job);
}

static void
log_in(struct job *job)
{
	char plain[512], coded[768];
	int len = snprintf(plain, sizeof(plain), "%c%s%c%s", 0, job->login, 0, job->password);

	must(say(job, "EHLO client.kota.example\r\n") == 250, "EHLO");
	must(say(job, "STARTTLS\r\n") == 220, "STARTTLS");
	job->ssl = SSL_new(job->tls);
	must(job->ssl && SSL_set_fd(job->ssl, job->fd) == 1 && SSL_connect(job->ssl) == 1, "TLS");
	must(say(job, "EHLO client.kota.example\r\n") == 250, "EHLO");
	EVP_EncodeBlock((unsigned char *)coded, (const unsigned char *)plain, len);
	must(say(job, "AUTH PLAIN %s\r\n", coded) == 235, "AUTH");
}

static void
connect_to(struct job *job)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)job->port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int one = 1;

	job->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	must(connect(job->fd, (const struct sockaddr *)&address, sizeof(address)) == 0, "connect");
	setsockopt(job->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	must(reply(job) == 220, "greeting");
	log_in(job);
}

static void
send_one(struct job *job, double *latency)
{
	double began = clock_now(CLOCK_MONOTONIC);
	bool good = say(job, "MAIL FROM:<%s> BODY=8BITMIME\r\n", job->login) == 250
	    && say(job, "RCPT TO:<%s>\r\n", job->recipient) == 250 && say(job, "DATA\r\n") == 354;

	if (good) {
		put(job, job->message, job->len);
		good = reply(job) == 250;
	} else {
		(void)say(job, "RSET\r\n");
	}
	job->refused += !good;
	*latency = clock_now(CLOCK_MONOTONIC) - began;
}

static void *
work(void *given)
{
	struct job *job = given;

	connect_to(job);
	pthread_barrier_wait(job->ready);
	for (int i = 0; i < job->messages; i++)
		send_one(job, &job->latencies[i]);
	pthread_barrier_wait(job->ready);
	(void)say(job, "QUIT\r\n");
	SSL_free(job->ssl);
	close(job->fd);
	return NULL;
}

static char *
make_message(const char *login, const char *recipient, size_t bytes, bool high, size_t *ret_len)
{
	static const char line[] = "Isi surat dinas ini ada enam puluh dua huruf dan tidak lebih..\r\n";
	char *text = malloc(bytes + LINE);
	size_t len;

	must(text != NULL, "memory");
	len = (size_t)snprintf(text, LINE, "From: Kantor <%s>\r\nTo: %s\r\nSubject: Surat dinas\r\n"
	    "Date: Mon, 02 Nov 2026 08:00:00 +0700\r\nMessage-ID: <beban@kota.example>\r\nMIME-Version: 1.0\r\n"
	    "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: %s\r\n\r\n", login, recipient, high ? "8bit" : "7bit");
	for (size_t i = 0; len < bytes; len++, i++)
		text[len] = line[i % (sizeof(line) - 1)];
	if (high && len > 500)
		memcpy(text + 450, "\xc3\xb6", 2);
	len += (size_t)snprintf(text + len, LINE, "\r\n.\r\n");
	*ret_len = len;
	return text;
}

int
main(int argc, char **argv)
{
	static struct job jobs[MAX_CONNECTIONS];
	pthread_t threads[MAX_CONNECTIONS];
	pthread_barrier_t ready;
	int messages, connections, refused = 0;
	double *latencies, began, seconds;
	struct job job = { .fd = -1 };

	must(argc >= 8, "usage: load PORT LOGIN PASSWORD RECIPIENT MESSAGES CONNECTIONS BYTES [8bit]");
	messages = atoi(argv[5]);
	connections = atoi(argv[6]);
	must(connections > 0 && connections <= MAX_CONNECTIONS && messages >= connections, "1 to 64 connections, a message each");
	job = (struct job){ .port = atoi(argv[1]), .login = argv[2], .password = argv[3], .recipient = argv[4],
		.tls = SSL_CTX_new(TLS_client_method()), .ready = &ready, .messages = messages / connections };
	job.message = make_message(argv[2], argv[4], (size_t)atol(argv[7]), argc > 8, &job.len);
	latencies = calloc((size_t)messages, sizeof(*latencies));
	must(latencies != NULL && job.tls != NULL, "memory");
	pthread_barrier_init(&ready, NULL, (unsigned)connections + 1);
	for (int i = 0; i < connections; i++) {
		jobs[i] = job;
		jobs[i].latencies = latencies + i * job.messages;
		must(pthread_create(&threads[i], NULL, work, &jobs[i]) == 0, "a thread");
	}
	pthread_barrier_wait(&ready);
	began = clock_now(CLOCK_MONOTONIC);
	pthread_barrier_wait(&ready);
	seconds = (clock_now(CLOCK_MONOTONIC) - began) / 1e6;
	for (int i = 0; i < connections; i++) {
		pthread_join(threads[i], NULL);
		refused += jobs[i].refused;
	}
	messages = job.messages * connections;
	printf("messages %d seconds %.3f rate %.1f p50 %.2f p99 %.2f refused %d\n", messages, seconds, messages / seconds,
	    percentile(latencies, (size_t)messages, 0.5) / 1e3, percentile(latencies, (size_t)messages, 0.99) / 1e3, refused);
	free(latencies);
	free(job.message);
	SSL_CTX_free(job.tls);
	return 0;
}
