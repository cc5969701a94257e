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

int
ctl_read_message(const char *file, struct buf *ret, struct err *err)
{
	AUTO_BUF struct buf raw = { 0 };

	buf_init(&raw, LIMIT_MESSAGE_BYTES);
	if (ctl_read_file(file, LIMIT_MESSAGE_BYTES, &raw, err) == -1)
		return -1;
	with_crlf(buf_slice(&raw), ret);
	if (buf_full(ret))
		return err_set(err, ERR_CONFIG, "'%s' is larger than %d bytes", file, LIMIT_MESSAGE_BYTES);
	return 0;
}
