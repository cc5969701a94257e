#include "milter/filter/exporter.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "milter/filter/metrics.h"
#include "milter/priv.h"
#include "policy/endpoint.h"

enum {
	CONNECTIONS = 8,
	SILENT_SECONDS = 5,      /* a connection may say nothing this long */
	CONNECTION_BYTES = 8192, /* request line and fields; more is refused */
	BACKLOG = 16,
};

struct exporter {
	struct MHD_Daemon *http;
	void (*render)(void *ctx, struct buf *ret);
	void *ctx;
};

/* --- listening --- */

static int
clear_path(const char *path, struct err *err)
{
	struct stat st;
	int alive;

	if (lstat(path, &st) == -1 && errno == ENOENT)
		return 0;
	if (!S_ISSOCK(st.st_mode))
		return err_set(err, ERR_CONFIG, "'%s' is there and is no socket; remove it or name another path", path);
	alive = priv_socket_alive(path, err);
	if (alive == -1)
		return -1;
	if (alive)
		return err_set(err, ERR_CONFIG, "another process serves '%s'; stop it first", path);
	if (unlink(path) == -1)
		return err_set(err, ERR_CONFIG, "cannot remove the old socket '%s': %s", path, strerror(errno));
	return 0;
}

int
exporter_listen(const char *text, int *ret, struct err *err)
{
	const int one = 1;
	struct endpoint endpoint;
	AUTO_FD int fd = -1;

	if (endpoint_from(text, &endpoint, err) == -1)
		return -1;
	if (endpoint.path && clear_path(endpoint.path, err) == -1)
		return -1;
	fd = socket(endpoint.address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd == -1)
		return err_set(err, ERR_TEMP, "socket: %s", strerror(errno));
	if (!endpoint.path)
		(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (const struct sockaddr *)&endpoint.address, endpoint.len) == -1 || listen(fd, BACKLOG) == -1)
		return err_set(err, ERR_CONFIG, "cannot listen on '%s': %s", text, strerror(errno));
	if (endpoint.path && chmod(endpoint.path, 0660) == -1)
		return err_set(err, ERR_CONFIG, "cannot close '%s' to others: %s", text, strerror(errno));
	*ret = TAKE_FD(fd);
	return 0;
}

/* --- answering --- */

static enum MHD_Result
reply(struct MHD_Connection *connection, unsigned status, const char *type, const char *text, size_t len)
{
	struct MHD_Response *response = MHD_create_response_from_buffer(len, (void *)(uintptr_t)text, MHD_RESPMEM_MUST_COPY);
	enum MHD_Result result;

	if (!response)
		return MHD_NO;
	(void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	/* One question a connection: nobody keeps one for free. */
	(void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		(void)MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	result = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return result;
}

static enum MHD_Result
refuse(struct MHD_Connection *connection, unsigned status, const char *text)
{
	return reply(connection, status, "text/plain", text, strlen(text));
}

static enum MHD_Result
answer(void *ctx, struct MHD_Connection *connection, const char *url, const char *method, const char *version,
    const char *body, size_t *body_len, void **unused)
{
	const struct exporter *exporter = ctx;
	AUTO_BUF struct buf text = { 0 };

	(void)version;
	(void)body;
	(void)body_len;
	(void)unused;
	if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
		return refuse(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET\n");
	if (strcmp(url, "/metrics") != 0)
		return refuse(connection, MHD_HTTP_NOT_FOUND, "only /metrics\n");
	buf_init(&text, METRICS_BYTES);
	exporter->render(exporter->ctx, &text);
	return reply(connection, MHD_HTTP_OK, "text/plain; version=0.0.4; charset=utf-8", buf_text(&text), text.len);
}

int
exporter_start(int *listen_fd, void (*render)(void *ctx, struct buf *ret), void *ctx, struct exporter **ret,
    struct err *err)
{
	struct exporter *exporter = xcalloc(1, sizeof(*exporter));

	exporter->render = render;
	exporter->ctx = ctx;
	exporter->http = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL | MHD_USE_ITC, 0, NULL, NULL,
	    answer, exporter, MHD_OPTION_LISTEN_SOCKET, *listen_fd, MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS,
	    MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)SILENT_SECONDS, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
	    (size_t)CONNECTION_BYTES, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END);
	if (!exporter->http) {
		free(exporter);
		return err_set(err, ERR_TEMP, "the metrics' thread does not start");
	}
	*listen_fd = -1;
	*ret = exporter;
	return 0;
}

void
exporter_stop(struct exporter *exporter)
{
	if (!exporter)
		return;
	MHD_stop_daemon(exporter->http);
	free(exporter);
}
