#include "milter/ctl/crlf.h"

#include <string.h>

#include "milter/ctl/ctl.h"
#include "smime/limits.h"

static void
with_crlf(struct slice in, struct buf *ret)
{
	const unsigned char *end = in.at + in.len;

	while (in.at < end) {
		const unsigned char *lf = memchr(in.at, '\n', (size_t)(end - in.at));
		size_t len = lf ? (size_t)(lf - in.at) : (size_t)(end - in.at);

		buf_add(ret, in.at, len);
		if (!lf)
			return;
		buf_add_text(ret, len && lf[-1] == '\r' ? "\n" : "\r\n");
		in.at = lf + 1;
	}
}

static int
check_room(const struct buf *ret, const char *file, struct err *err)
{
	if (buf_full(ret))
		return err_set(err, ERR_CONFIG, "'%s' is larger than %d bytes", file, LIMIT_MESSAGE_BYTES);
	return 0;
}

int
ctl_read_message(const char *file, struct buf *ret, struct err *err)
{
	AUTO_BUF struct buf raw = { 0 };

	buf_init(&raw, LIMIT_MESSAGE_BYTES);
	if (ctl_read_file(file, LIMIT_MESSAGE_BYTES, &raw, err) == -1)
		return -1;
	with_crlf(buf_slice(&raw), ret);
	return check_room(ret, file, err);
}

static bool
begins_with_crlf_line(struct slice in)
{
	const unsigned char *lf = in.len ? memchr(in.at, '\n', in.len) : NULL;

	return lf && lf > in.at && lf[-1] == '\r';
}

int
ctl_read_received(const char *file, struct buf *ret, struct err *err)
{
	AUTO_BUF struct buf raw = { 0 };

	buf_init(&raw, LIMIT_MESSAGE_BYTES);
	if (ctl_read_file(file, LIMIT_MESSAGE_BYTES, &raw, err) == -1)
		return -1;
	if (begins_with_crlf_line(buf_slice(&raw)))
		buf_add_slice(ret, buf_slice(&raw));
	else
		with_crlf(buf_slice(&raw), ret);
	return check_room(ret, file, err);
}
