#include "smime/seen.h"

#include <stdio.h>

#include "smime/algorithm.h"
#include "smime/enveloped.h"

#define OID(text) { (const unsigned char *)(text), sizeof(text) - 1 }

static const struct slice id_capabilities = OID("\x2a\x86\x48\x86\xf7\x0d\x01\x09\x0f");
static const struct slice id_aes256_gcm = OID("\x60\x86\x48\x01\x65\x03\x04\x01\x2e");
static const struct slice id_oaep = OID("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x07");

static bool
malformed(struct seen_facts *ret, const char *why)
{
	*ret = (struct seen_facts){ .state = SEEN_MALFORMED };
	snprintf(ret->why, sizeof(ret->why), "SMIMECapabilities %s (RFC 8551 2.5.2)", why);
	return false;
}

/* As we would write it. */
static bool
is_our_oaep(const struct algorithm_id *id)
{
	struct key_transport how = { .padding = KEY_PADDING_UNKNOWN };

	return slice_equal(id->oid, id_oaep) && enveloped_read_oaep(id->params, &how) && how.digest == KEY_HASH_SHA256 && how.mask == KEY_HASH_SHA256;
}

static void
note(const struct algorithm_id *id, struct seen_facts *ret)
{
	if (slice_equal(id->oid, id_aes256_gcm) && id->plain)
		ret->gcm = true;
	if (is_our_oaep(id))
		ret->oaep = true;
}

static bool
read_list(struct ber list, struct seen_facts *ret)
{
	for (size_t n = 0; !ber_done(&list); n++) {
		struct algorithm_id id; /* a SMIMECapability has the form of an AlgorithmIdentifier */

		if (n == SEEN_ENTRIES)
			return malformed(ret, "with more entries than anybody needs");
		if (!algorithm_take(&list, &id))
			return malformed(ret, "with an entry that is no OBJECT IDENTIFIER with at most one parameter");
		note(&id, ret);
	}
	ret->state = SEEN_READ;
	return true;
}

static bool
read_value(struct ber *values, struct seen_facts *ret)
{
	struct element list;

	if (!ber_take(values, BER_SEQUENCE, &list))
		return malformed(ret, "that are no SEQUENCE");
	if (!ber_done(values))
		return malformed(ret, "with more than one value");
	return read_list(ber_inside(values, &list), ret);
}

/* False ends the walk: what has been found out stands. */
static bool
read_attribute(struct ber *in, struct seen_facts *ret)
{
	struct element attribute, type, set;
	struct ber inside, values;

	if (!ber_take(in, BER_SEQUENCE, &attribute))
		return malformed(ret, "cannot be looked for: a signed attribute that is no SEQUENCE");
	inside = ber_inside(in, &attribute);
	if (!ber_take(&inside, BER_OID, &type) || !ber_take(&inside, BER_SET, &set) || !ber_done(&inside))
		return malformed(ret, "cannot be looked for: a signed attribute that is not a type and a SET of values");
	if (!slice_equal(type.content, id_capabilities))
		return true;
	if (ret->state != SEEN_NONE)
		return malformed(ret, "twice");
	values = ber_inside(&inside, &set);
	return read_value(&values, ret);
}

void
seen_read(struct slice attributes, struct seen_facts *ret)
{
	size_t work = ber_budget(attributes.len);
	struct ber in = { .rest = attributes, .depth = 1, .work = &work };

	*ret = (struct seen_facts){ .state = SEEN_NONE };
	if (!ber_is_der(in)) {
		malformed(ret, "cannot be looked for: signed attributes that are no DER");
		return;
	}
	while (!ber_done(&in) && read_attribute(&in, ret))
		continue;
}
