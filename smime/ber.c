#include "smime/ber.h"

#include "smime/limits.h"

enum { CONSTRUCTED = 0x20, TAG_NUMBER = 0x1f, CLASS = 0xc0, MAX_LENGTH_BYTES = 4 };

struct heading {
	unsigned tag;
	size_t len;       /* of the heading */
	size_t content;   /* bytes of content, where it is definite */
	bool indefinite;
	bool shortest;
};

size_t
ber_budget(size_t len)
{
	return 4096 + len; /* a content in a piece for each line costs about one for three bytes */
}

static bool
spend(const struct ber *in)
{
	if (*in->work == 0)
		return false;
	--*in->work;
	return true;
}

/* The long form of a length (X.690 8.1.3.5); `at` is its first octet. */
static bool
read_long(struct slice bytes, size_t at, struct heading *ret)
{
	size_t n = bytes.at[at] & 0x7f;

	if (n > MAX_LENGTH_BYTES || bytes.len - at - 1 < n)
		return false;
	for (size_t i = 0; i < n; i++)
		ret->content = ret->content << 8 | bytes.at[at + 1 + i];
	ret->len = at + 1 + n;
	ret->shortest = bytes.at[at + 1] != 0 && ret->content >= 0x80;
	return true;
}

static bool
read_heading(struct slice bytes, struct heading *ret)
{
	*ret = (struct heading){ .len = 2, .shortest = true };
	if (bytes.len < 2 || (bytes.at[0] & TAG_NUMBER) == TAG_NUMBER)
		return false;
	ret->tag = bytes.at[0];
	if (bytes.at[1] == 0x80) {
		ret->indefinite = true;
		return (ret->tag & CONSTRUCTED) != 0;
	}
	if (bytes.at[1] < 0x80)
		ret->content = bytes.at[1];
	else if (!read_long(bytes, 1, ret))
		return false;
	return ret->content <= bytes.len - ret->len;
}

static bool
is_end_of_contents(struct slice bytes)
{
	return bytes.len >= 2 && bytes.at[0] == 0 && bytes.at[1] == 0;
}

/* Bytes up to the end-of-contents octets of an open element; what is definite is stepped over. */
static bool
find_end(const struct ber *in, struct slice bytes, size_t *ret)
{
	size_t open = 1;
	size_t pos = 0;

	for (;;) {
		struct slice rest = { bytes.at + pos, bytes.len - pos };
		struct heading heading;

		if (!spend(in))
			return false;
		if (is_end_of_contents(rest)) {
			if (--open == 0) {
				*ret = pos;
				return true;
			}
			pos += 2;
			continue;
		}
		if (!read_heading(rest, &heading) || heading.tag == 0)
			return false;
		open += heading.indefinite;
		if (in->depth + open > LIMIT_CMS_DEPTH)
			return false;
		pos += heading.len + heading.content;
	}
}

bool
ber_next(struct ber *in, struct element *ret)
{
	struct heading heading;
	size_t len;
	size_t end = 0;

	if (!spend(in) || in->depth > LIMIT_CMS_DEPTH || !read_heading(in->rest, &heading) || heading.tag == 0)
		return false;
	len = heading.content;
	if (heading.indefinite) {
		if (!find_end(in, (struct slice){ in->rest.at + heading.len, in->rest.len - heading.len }, &len))
			return false;
		end = 2;
	}
	*ret = (struct element){
		.tag = heading.tag,
		.content = { in->rest.at + heading.len, len },
		.whole = { in->rest.at, heading.len + len + end },
		.der = !heading.indefinite && heading.shortest,
	};
	in->rest = (struct slice){ in->rest.at + ret->whole.len, in->rest.len - ret->whole.len };
	return true;
}

bool
ber_take(struct ber *in, unsigned tag, struct element *ret)
{
	return ber_peek(in) == tag && ber_next(in, ret);
}

struct ber
ber_inside(const struct ber *in, const struct element *element)
{
	return (struct ber){ .rest = element->content, .depth = in->depth + 1, .work = in->work };
}

bool
ber_done(const struct ber *in)
{
	return in->rest.len == 0;
}

unsigned
ber_peek(const struct ber *in)
{
	return in->rest.len ? in->rest.at[0] : 0;
}

/* SEQUENCE and SET are always constructed, other universal types never (X.690 8, 10.2). */
static bool
is_der_form(unsigned tag)
{
	bool constructed = (tag & CONSTRUCTED) != 0;
	unsigned number = tag & TAG_NUMBER;

	if ((tag & CLASS) != 0)
		return true;
	return constructed == (number == (BER_SEQUENCE & TAG_NUMBER) || number == (BER_SET & TAG_NUMBER));
}

/* Recursion ends at LIMIT_CMS_DEPTH. */
bool
ber_is_der(struct ber in)
{
	while (!ber_done(&in)) {
		struct element element;

		if (!ber_next(&in, &element) || !element.der || !is_der_form(element.tag))
			return false;
		if ((element.tag & CONSTRUCTED) && !ber_is_der(ber_inside(&in, &element)))
			return false;
	}
	return true;
}
