#include "smime/tlv.h"

#include <string.h>

/* Bytes of the head, 0 where there is none that DER allows. */
static size_t
read_head(struct slice rest, size_t *ret_len)
{
	size_t n_bytes;
	size_t len = 0;

	if (rest.len < 2 || (rest.at[0] & 0x1f) == 0x1f)
		return 0;
	if (rest.at[1] < 0x80) {
		*ret_len = rest.at[1];
		return 2;
	}
	n_bytes = rest.at[1] & 0x7f;
	if (n_bytes == 0 || n_bytes > 4 || rest.len < 2 + n_bytes || rest.at[2] == 0)
		return 0;
	for (size_t i = 0; i < n_bytes; i++)
		len = len << 8 | rest.at[2 + i];
	if (len < 0x80)
		return 0;
	*ret_len = len;
	return 2 + n_bytes;
}

bool
tlv_next(struct slice *rest, struct tlv *ret)
{
	const unsigned char *at;
	size_t len = 0;
	size_t head = read_head(*rest, &len);

	if (head == 0 || len > rest->len - head)
		return false;
	at = rest->at;
	rest->at += head + len; /* first: `rest` may be the content of what `ret` held before */
	rest->len -= head + len;
	ret->tag = at[0];
	ret->content = (struct slice){ at + head, len };
	ret->whole = (struct slice){ at, head + len };
	return true;
}

bool
tlv_take(struct slice *rest, enum tlv_tag tag, struct tlv *ret)
{
	return rest->len > 0 && rest->at[0] == tag && tlv_next(rest, ret);
}

static struct slice
shortest(struct slice integer)
{
	while (integer.len > 1 && ((integer.at[0] == 0x00 && !(integer.at[1] & 0x80))
	    || (integer.at[0] == 0xff && (integer.at[1] & 0x80)))) {
		integer.at++;
		integer.len--;
	}
	return integer;
}

int
tlv_integer_cmp(struct slice a, struct slice b)
{
	struct slice x = shortest(a);
	struct slice y = shortest(b);
	bool x_below = x.len > 0 && (x.at[0] & 0x80);
	bool y_below = y.len > 0 && (y.at[0] & 0x80);
	int order;

	if (x_below != y_below)
		return x_below ? -1 : 1;
	if (x.len != y.len)
		return x.len < y.len ? -1 : 1; /* by value for what is not negative; those only need some order */
	order = x.len ? memcmp(x.at, y.at, x.len) : 0;
	return (order > 0) - (order < 0);
}
