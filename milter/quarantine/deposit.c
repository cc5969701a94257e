#include "milter/quarantine/deposit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "milter/quarantine/frame.h"
#include "milter/quarantine/item_json.h"
#include "smime/box.h"
#include "smime/cert.h"

AUTO_DEFINE(json_t, json_decref);

enum { ANSWER_MS = 1000 }; /* for the reason of a refusal that came in the middle */

struct depot {
	char *socket;
	struct buf cert; /* DER */
	int timeout_ms;
};

void
depot_free(struct depot *depot)
{
	if (!depot)
		return;
	free(depot->socket);
	buf_done(&depot->cert);
	free(depot);
}

static int
read_file(const char *file, struct buf *ret, struct err *err)
{
	AUTO_FD int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	unsigned char block[4096];
	ssize_t got;

	if (fd == -1)
		return err_set(err, ERR_CONFIG, "cannot open quarantine.certificate '%s': %s", file, strerror(errno));
	while ((got = read(fd, block, sizeof(block))) > 0)
		buf_add(ret, block, (size_t)got);
	if (got == -1)
		return err_set(err, ERR_CONFIG, "cannot read quarantine.certificate '%s': %s", file, strerror(errno));
	if (buf_full(ret))
		return err_set(err, ERR_CONFIG, "quarantine.certificate '%s' is longer than a certificate", file);
	return 0;
}

static int
discard(void *ctx, struct slice bytes, struct err *err)
{
	(void)ctx;
	(void)bytes;
	(void)err;
	return 0;
}

/* Better said when the settings are read than when the first message is to be held. */
static int
try_cert(const struct depot *depot, const char *file, struct err *err)
{
	AUTO(box_writer_free) struct box_writer *writer = NULL;
	const struct box_sink nowhere = { discard, NULL };

	if (box_writer_new(buf_slice(&depot->cert), "", &nowhere, &writer, err) == -1)
		return err_wrap(err, "quarantine.certificate '%s'", file);
	return 0;
}

int
depot_new(const char *socket, const char *cert_file, int timeout_ms, struct depot **ret, struct err *err)
{
	AUTO(depot_free) struct depot *depot = NULL;
	AUTO_BUF struct buf file = { 0 };

	if (strlen(socket) >= sizeof(((struct sockaddr_un *)0)->sun_path))
		return err_set(err, ERR_CONFIG, "quarantine.hold_socket '%s' is too long for a socket's path", socket);
	depot = xcalloc(1, sizeof(*depot));
	depot->socket = xstrdup(socket);
	depot->timeout_ms = timeout_ms;
	buf_init(&depot->cert, LIMIT_CERT_BYTES);
	buf_init(&file, 4 * LIMIT_CERT_BYTES);
	if (read_file(cert_file, &file, err) == -1)
		return -1;
	if (cert_read(buf_slice(&file), &depot->cert, err) == -1)
		return err_wrap(err, "quarantine.certificate '%s'", cert_file);
	if (try_cert(depot, cert_file, err) == -1)
		return -1;
	*ret = TAKE(depot);
	return 0;
}

int
depot_spki(const struct depot *depot, unsigned char ret[32], struct err *err)
{
	struct cert_facts facts;

	if (cert_inspect(buf_slice(&depot->cert), &facts, err) == -1)
		return -1;
	memcpy(ret, facts.spki, sizeof(facts.spki));
	return 0;
}

/* One message on its way: all of it has to be over in time. */
struct passage {
	int fd;
	int64_t until;
	bool lost; /* the connection failed, not the encryption */
};

static int
left_of(const struct passage *passage)
{
	const int64_t left = passage->until - monotonic_ms();

	return left > 0 ? (int)left : 0;
}

/* connect() to a full backlog waits; the send timeout of the socket bounds that, and 0 would mean for ever. */
static int
reach(const struct depot *depot, int *ret, struct err *err)
{
	AUTO_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const int ms = depot->timeout_ms > 0 ? depot->timeout_ms : 1;
	const struct timeval most = { ms / 1000, ms % 1000 * 1000 };
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (fd == -1)
		return err_set(err, ERR_TEMP, "no socket for the quarantine: %s", strerror(errno));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &most, sizeof(most));
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", depot->socket);
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == -1)
		return err_set(err, ERR_TEMP, "segel-reviewd does not answer at '%s': %s; is it running?", depot->socket, strerror(errno));
	*ret = TAKE_FD(fd);
	return 0;
}

static int
send_data(void *ctx, struct slice bytes, struct err *err)
{
	struct passage *passage = ctx;

	if (frame_send(passage->fd, FRAME_DATA, bytes, left_of(passage), err) == 0)
		return 0;
	passage->lost = true;
	return -1;
}

static int
send_hold(struct passage *passage, const struct item *item, struct err *err)
{
	AUTO(json_decref) json_t *request = NULL;
	json_t *object = item_to_json(item, false, err);

	if (!object)
		return -1;
	request = json_pack("{s:s, s:i, s:o}", "op", "hold", "version", 1, "item", object);
	if (!request)
		return err_set(err, ERR_BUG, "an item that cannot be written as JSON");
	passage->lost = frame_send_json(passage->fd, request, left_of(passage), err) == -1;
	return passage->lost ? -1 : 0;
}

static int
send_box(const struct depot *depot, struct passage *passage, const struct item *item, struct slice message, struct err *err)
{
	AUTO(box_writer_free) struct box_writer *writer = NULL;
	const struct box_sink sink = { send_data, passage };

	if (box_writer_new(buf_slice(&depot->cert), item->id, &sink, &writer, err) == -1 || box_write(writer, message, err) == -1
	    || box_finish(writer, err) == -1)
		return -1;
	passage->lost = frame_send(passage->fd, FRAME_END, (struct slice){ NULL, 0 }, left_of(passage), err) == -1;
	return passage->lost ? -1 : 0;
}

/* Only "ok", and then only with what belongs to it. */
static int
check_answer(json_t *answer, const char **id, struct err *err)
{
	const char *word = NULL, *text = NULL;
	int ok = 0;

	if (json_unpack(answer, "{s:b, s:s, s:s !}", "ok", &ok, "error", &word, "text", &text) == 0 && !ok)
		return err_set(err, ERR_TEMP, "segel-reviewd: %.60s: %.400s", word, text);
	if (json_unpack(answer, id ? "{s:b, s:s !}" : "{s:b !}", "ok", &ok, "id", id) == 0 && ok)
		return 0;
	return err_set(err, ERR_TEMP, "segel-reviewd gave an answer that is none");
}

static int
take_answer(const struct passage *passage, char ret[ITEM_ID_BYTES], struct err *err)
{
	AUTO(json_decref) json_t *answer = frame_take_json(passage->fd, left_of(passage), err);
	const char *id = "";

	if (!answer)
		return err_wrap(err, "segel-reviewd did not answer");
	if (check_answer(answer, &id, err) == -1)
		return -1;
	if (!item_id_good(id))
		return err_set(err, ERR_TEMP, "segel-reviewd gave an id that is none");
	memcpy(ret, id, ITEM_ID_BYTES);
	return 0;
}

/* It refuses early what it has no room for, and closes: its reason says more than a broken pipe. */
static int
why_lost(const struct passage *passage, struct err *err)
{
	AUTO(json_decref) json_t *answer = frame_take_json(passage->fd, ANSWER_MS, NULL);
	struct err said = { .kind = ERR_NONE };

	if (answer && check_answer(answer, NULL, &said) == -1)
		*err = said;
	return -1;
}

static int
hand_over(const struct depot *depot, const struct item *item, struct slice message, char id[ITEM_ID_BYTES], struct err *err)
{
	AUTO_FD int fd = -1;
	struct passage passage = { .until = monotonic_ms() + depot->timeout_ms };
	struct err why = { .kind = ERR_NONE };

	if (reach(depot, &fd, err) == -1)
		return -1;
	passage.fd = fd;
	if (send_hold(&passage, item, &why) == -1 || send_box(depot, &passage, item, message, &why) == -1) {
		if (passage.lost)
			(void)why_lost(&passage, &why);
		if (err)
			*err = why;
		return -1;
	}
	return take_answer(&passage, id, err);
}

int
depot_hold(struct depot *depot, const struct item *item, struct slice message, char id[ITEM_ID_BYTES], struct err *err)
{
	char held[ITEM_ID_BYTES];

	if (hand_over(depot, item, message, held, err) == -1)
		return err_wrap(err, "the message is not held, or not known to be");
	memcpy(id, held, sizeof(held));
	return 0;
}

int
depot_ping(struct depot *depot, struct err *err)
{
	AUTO(json_decref) json_t *request = json_pack("{s:s, s:i}", "op", "ping", "version", 1);
	AUTO(json_decref) json_t *answer = NULL;
	AUTO_FD int fd = -1;

	if (reach(depot, &fd, err) == -1 || frame_send_json(fd, request, depot->timeout_ms, err) == -1)
		return -1;
	answer = frame_take_json(fd, depot->timeout_ms, err);
	return answer ? check_answer(answer, NULL, err) : -1;
}
