#include "smime/facts.h"

const char *
mailbox_state_name(enum mailbox_state state)
{
	switch (state) {
	case MAILBOX_UNKNOWN:
		return "unknown";
	case MAILBOX_NONE:
		return "none";
	case MAILBOX_AMBIGUOUS:
		return "ambiguous";
	case MAILBOX_ONE:
		return "one";
	}
	return "unknown";
}

const char *
mime_state_name(enum mime_state state)
{
	switch (state) {
	case MIME_UNKNOWN:
		return "unknown";
	case MIME_AMBIGUOUS:
		return "ambiguous";
	case MIME_CLEAR:
		return "clear";
	}
	return "unknown";
}

const char *
layer_name(enum layer layer)
{
	switch (layer) {
	case LAYER_UNKNOWN:
		return "unknown";
	case LAYER_NONE:
		return "none";
	case LAYER_SIGNED:
		return "signed";
	case LAYER_ENCRYPTED:
		return "encrypted";
	case LAYER_OTHER:
		return "other";
	}
	return "unknown";
}

const char *
body_form_name(enum body_form form)
{
	switch (form) {
	case BODY_UNKNOWN:
		return "unknown";
	case BODY_CLEAN:
		return "clean";
	case BODY_RECODE:
		return "recode";
	case BODY_OPAQUE:
		return "opaque";
	}
	return "unknown";
}

const char *
material_name(enum material material)
{
	switch (material) {
	case MATERIAL_UNKNOWN:
		return "unknown";
	case MATERIAL_NONE:
		return "none";
	case MATERIAL_PKCS12:
		return "pkcs12";
	case MATERIAL_PRIVATE_KEY:
		return "private-key";
	}
	return "unknown";
}

const char *
key_kind_name(enum key_kind kind)
{
	switch (kind) {
	case KEY_UNKNOWN:
		return "unknown";
	case KEY_RSA:
		return "rsa";
	case KEY_P256:
		return "p256";
	case KEY_P384:
		return "p384";
	case KEY_P521:
		return "p521";
	case KEY_OTHER:
		return "other";
	}
	return "unknown";
}

/* RFC 5280 4.1.2.5: both ends belong to the validity period. */
enum cert_time
cert_time_at(const struct cert_facts *cert, time_t now)
{
	if (cert->not_after < cert->not_before || (cert->not_before == 0 && cert->not_after == 0))
		return CERT_TIME_UNKNOWN;
	if (now < cert->not_before)
		return CERT_TIME_NOT_YET;
	if (now > cert->not_after)
		return CERT_TIME_PAST;
	return CERT_TIME_VALID;
}

const char *
signature_state_name(enum signature_state state)
{
	switch (state) {
	case SIGNATURE_UNKNOWN:
		return "unknown";
	case SIGNATURE_NONE:
		return "none";
	case SIGNATURE_GOOD:
		return "good";
	case SIGNATURE_BAD:
		return "bad";
	case SIGNATURE_MALFORMED:
		return "malformed";
	case SIGNATURE_UNSUPPORTED:
		return "unsupported";
	}
	return "unknown";
}

const char *
coverage_name(enum coverage coverage)
{
	switch (coverage) {
	case COVERAGE_UNKNOWN:
		return "unknown";
	case COVERAGE_NONE:
		return "none";
	case COVERAGE_PARTIAL:
		return "partial";
	case COVERAGE_WHOLE:
		return "whole";
	}
	return "unknown";
}

const char *
chain_state_name(enum chain_state state)
{
	switch (state) {
	case CHAIN_UNKNOWN:
		return "unknown";
	case CHAIN_GOOD:
		return "good";
	case CHAIN_UNTRUSTED:
		return "untrusted";
	case CHAIN_EXPIRED:
		return "expired";
	case CHAIN_NOT_YET:
		return "not-yet";
	case CHAIN_BAD:
		return "bad";
	case CHAIN_LIMIT:
		return "limit";
	}
	return "unknown";
}

const char *
revocation_state_name(enum revocation_state state)
{
	switch (state) {
	case REVOCATION_UNKNOWN:
		return "unknown";
	case REVOCATION_GOOD:
		return "good";
	case REVOCATION_REVOKED:
		return "revoked";
	}
	return "unknown";
}

const char *
anchor_name(enum anchor anchor)
{
	switch (anchor) {
	case ANCHOR_NONE:
		return "none";
	case ANCHOR_OFFICIAL:
		return "official";
	case ANCHOR_PARTNER:
		return "partner";
	}
	return "none";
}

const char *
protection_name(enum protection protection)
{
	switch (protection) {
	case PROTECTION_UNKNOWN:
		return "unknown";
	case PROTECTION_NONE:
		return "none";
	case PROTECTION_MATCH:
		return "match";
	case PROTECTION_MISMATCH:
		return "mismatch";
	}
	return "unknown";
}
