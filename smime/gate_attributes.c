#include "smime/gate_walk.h"

static const struct slice id_data = GATE_OID(GATE_ID_DATA);

/* RFC 5652 11.3: UTCTime to 2049, both with seconds and Z. */
static bool
read_digits(struct slice text, size_t from, size_t n, int *ret)
{
	*ret = 0;
	for (size_t i = from; i < from + n; i++) {
		if (i >= text.len || text.at[i] < '0' || text.at[i] > '9')
			return false;
		*ret = *ret * 10 + text.at[i] - '0';
	}
	return true;
}

static bool
read_time(const struct element *element, time_t *ret)
{
	size_t year = element->tag == BER_UTC_TIME ? 2 : 4;
	struct slice text = element->content;
	struct tm tm = { 0 };
	int day;

	if (text.len != year + 11 || text.at[text.len - 1] != 'Z' || !read_digits(text, 0, year, &tm.tm_year)
	    || !read_digits(text, year, 2, &tm.tm_mon) || !read_digits(text, year + 2, 2, &day)
	    || !read_digits(text, year + 4, 2, &tm.tm_hour) || !read_digits(text, year + 6, 2, &tm.tm_min)
	    || !read_digits(text, year + 8, 2, &tm.tm_sec))
		return false;
	if (year == 2)
		tm.tm_year += tm.tm_year < 50 ? 2000 : 1900;
	if (tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_hour > 23 || tm.tm_min > 59 || tm.tm_sec > 59)
		return false;
	tm.tm_year -= 1900;
	tm.tm_mon--;
	tm.tm_mday = day;
	*ret = timegm(&tm);
	return tm.tm_mday == day; /* timegm() makes the 31st of a month without one the 1st of the next */
}

static bool
on_content_type(struct gate_walk *walk, struct ber *values)
{
	struct element value;

	if (!ber_take(values, BER_OID, &value))
		return gate_refuse(walk, "a contentType attribute that is no OBJECT IDENTIFIER (RFC 5652 11.1)");
	if (!slice_equal(value.content, id_data))
		return gate_refuse(walk, "the contentType attribute is not id-data (RFC 8551 2.4.1)");
	walk->has_content_type = true;
	return true;
}

static bool
on_message_digest(struct gate_walk *walk, struct ber *values)
{
	struct element value;

	if (!ber_take(values, BER_OCTETS, &value))
		return gate_refuse(walk, "a messageDigest attribute that is no OCTET STRING (RFC 5652 11.2)");
	walk->facts->message_digest = value.content;
	return true;
}

static bool
on_signing_time(struct gate_walk *walk, struct ber *values)
{
	struct element value;

	if (!ber_next(values, &value) || (value.tag != BER_UTC_TIME && value.tag != BER_GENERALIZED_TIME)
	    || !read_time(&value, &walk->facts->signing_time))
		return gate_refuse(walk, "a signingTime that is no UTCTime or GeneralizedTime with seconds and Z (RFC 5652 11.3)");
	walk->facts->has_signing_time = true;
	return true;
}

/* SigningCertificate's first ESSCertID (RFC 5035 3, 4): the signer's own. */
static bool
read_cert_id(struct gate_walk *walk, struct ber *values, bool v2)
{
	struct gate_facts *facts = walk->facts;
	enum gate_digest digest = v2 ? GATE_DIGEST_SHA256 : GATE_DIGEST_SHA1;
	enum algorithm_state state = ALGORITHM_READ;
	struct element all, list, id, hash;
	struct ber in;

	if (!ber_take(values, BER_SEQUENCE, &all))
		return false;
	in = ber_inside(values, &all);
	if (!ber_take(&in, BER_SEQUENCE, &list))
		return false;
	in = ber_inside(&in, &list);
	if (!ber_take(&in, BER_SEQUENCE, &id))
		return false;
	in = ber_inside(&in, &id);
	if (v2 && ber_peek(&in) == BER_SEQUENCE)
		state = algorithm_digest(&in, &digest);
	if (state == ALGORITHM_UNSUPPORTED) {
		gate_note_unsupported(walk, "the digest of the signing-certificate attribute is not handled");
		return true;
	}
	if (state != ALGORITHM_READ || !ber_take(&in, BER_OCTETS, &hash) || hash.content.len != gate_digest_len(digest))
		return false;
	/* Version 2 is there to replace version 1. */
	if (v2 || facts->cert_hash.len == 0) {
		facts->cert_hash = hash.content;
		facts->cert_hash_digest = digest;
	}
	return true;
}

static bool
on_signing_cert(struct gate_walk *walk, struct ber *values)
{
	return read_cert_id(walk, values, false) || gate_refuse(walk, "a signing-certificate attribute that cannot be read (RFC 2634 5.4)");
}

static bool
on_signing_cert_v2(struct gate_walk *walk, struct ber *values)
{
	return read_cert_id(walk, values, true) || gate_refuse(walk, "a signing-certificate-v2 attribute that cannot be read (RFC 5035 3)");
}

static const struct {
	struct slice oid;
	const char *name;
	bool (*read)(struct gate_walk *walk, struct ber *values);
} attributes[] = {
	{ GATE_OID("\x2a\x86\x48\x86\xf7\x0d\x01\x09\x03"), "contentType", on_content_type },
	{ GATE_OID("\x2a\x86\x48\x86\xf7\x0d\x01\x09\x04"), "messageDigest", on_message_digest },
	{ GATE_OID("\x2a\x86\x48\x86\xf7\x0d\x01\x09\x05"), "signingTime", on_signing_time },
	{ GATE_OID("\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x02\x0c"), "signing-certificate", on_signing_cert },
	{ GATE_OID("\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x02\x2f"), "signing-certificate-v2", on_signing_cert_v2 },
};

/* Those that we read have exactly one value; of the others nobody here asks. */
static bool
read_values(struct gate_walk *walk, struct slice type, struct ber *values)
{
	for (size_t i = 0; i < N_ELEMENTS(attributes); i++) {
		if (!slice_equal(attributes[i].oid, type))
			continue;
		if (!attributes[i].read(walk, values))
			return false;
		return ber_done(values) || gate_refuse(walk, "%s with more than one value; want one", attributes[i].name);
	}
	return !ber_done(values) || gate_refuse(walk, "a signed attribute without a value");
}

static const char *
attribute_name(struct slice type)
{
	for (size_t i = 0; i < N_ELEMENTS(attributes); i++) {
		if (slice_equal(attributes[i].oid, type))
			return attributes[i].name;
	}
	return "a signed attribute";
}

static bool
read_attribute(struct gate_walk *walk, struct ber *in)
{
	struct gate_facts *facts = walk->facts;
	struct element attribute, type, set;
	struct ber inside, values;

	if (!ber_take(in, BER_SEQUENCE, &attribute))
		return gate_refuse(walk, "a signed attribute that is no SEQUENCE");
	inside = ber_inside(in, &attribute);
	if (!ber_take(&inside, BER_OID, &type) || !ber_take(&inside, BER_SET, &set) || !ber_done(&inside))
		return gate_refuse(walk, "a signed attribute that is not a type and a SET of values");
	if (facts->n_attributes == GATE_MAX_ATTRIBUTES)
		return gate_refuse(walk, "more than %d signed attributes", GATE_MAX_ATTRIBUTES);
	for (size_t i = 0; i < facts->n_attributes; i++) {
		if (slice_equal(walk->types[i], type.content))
			return gate_refuse(walk, "%s twice among the signed attributes (RFC 5652 11)", attribute_name(type.content));
	}
	walk->types[facts->n_attributes++] = type.content;
	values = ber_inside(&inside, &set);
	return read_values(walk, type.content, &values);
}

bool
gate_take_attributes(struct gate_walk *walk, struct ber *in)
{
	struct element all;
	struct ber inside;

	if (!ber_take(in, BER_CONTEXT_0, &all))
		return gate_refuse(walk, "no signed attributes; want contentType and messageDigest");
	inside = ber_inside(in, &all);
	if (!all.der || !ber_is_der(inside))
		return gate_refuse(walk, "signed attributes that are no DER (RFC 5652 5.3)");
	walk->facts->attributes = all.content;
	while (!ber_done(&inside)) {
		if (!read_attribute(walk, &inside))
			return false;
	}
	if (!walk->has_content_type)
		return gate_refuse(walk, "no contentType among the signed attributes");
	if (!walk->facts->message_digest.at)
		return gate_refuse(walk, "no messageDigest among the signed attributes");
	return true;
}

bool
gate_is_attributes(struct slice content)
{
	size_t work = ber_budget(content.len), n = 0;
	struct ber all = { .rest = content, .depth = 1, .work = &work }, in;
	struct element set, attribute, part;

	if (!ber_take(&all, BER_SET, &set) || !ber_done(&all))
		return false;
	for (in = ber_inside(&all, &set); !ber_done(&in); n++) {
		struct ber inside;

		if (!ber_take(&in, BER_SEQUENCE, &attribute))
			return false;
		inside = ber_inside(&in, &attribute);
		if (!ber_take(&inside, BER_OID, &part) || !ber_take(&inside, BER_SET, &part) || !ber_done(&inside))
			return false;
	}
	return n > 0;
}
