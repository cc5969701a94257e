#include "milter/quarantine/item_field.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static const char *
word_of_class(unsigned value)
{
	return class_name((enum class)value);
}

static bool
class_of_word(const char *name, unsigned *ret)
{
	enum class class;

	if (!class_from(name, &class))
		return false;
	*ret = class;
	return true;
}

static const char *
word_of_action(unsigned value)
{
	return action_name((enum action)value);
}

/* What is not held has no item. */
static bool
action_of_word(const char *name, unsigned *ret)
{
	enum action action;

	if (!action_from(name, &action) || (action != ACTION_HOLD && action != ACTION_REJECT_HOLD))
		return false;
	*ret = action;
	return true;
}

static const char *
word_of_reason(unsigned value)
{
	return reason_word((enum reason)value);
}

static bool
reason_of_word(const char *name, unsigned *ret)
{
	*ret = reason_from(name);
	return *ret != REASON_UNKNOWN;
}

static const char *const client_certs[] = {
	[CLIENT_CERT_UNKNOWN] = "unknown",
	[CLIENT_CERT_NONE] = "none",
	[CLIENT_CERT_UNTRUSTED] = "untrusted",
	[CLIENT_CERT_TRUSTED] = "trusted",
};

static const char *
word_of_client_cert(unsigned value)
{
	return client_certs[value < N_ELEMENTS(client_certs) ? value : CLIENT_CERT_UNKNOWN];
}

static bool
client_cert_of_word(const char *name, unsigned *ret)
{
	for (size_t i = 0; i < N_ELEMENTS(client_certs); i++) {
		if (strcmp(client_certs[i], name) == 0) {
			*ret = (unsigned)i;
			return true;
		}
	}
	return false;
}

static const char *
word_of_state(unsigned value)
{
	return item_state_name((enum item_state)value);
}

static bool
state_of_word(const char *name, unsigned *ret)
{
	*ret = item_state_from(name);
	return *ret != ITEM_UNKNOWN;
}

static const struct field_words class_words = { word_of_class, class_of_word, "a class" };
static const struct field_words action_words = { word_of_action, action_of_word, "hold or reject+hold" };
static const struct field_words reason_words = { word_of_reason, reason_of_word, "a finding" };
static const struct field_words client_cert_words = { word_of_client_cert, client_cert_of_word, "unknown, none, untrusted or trusted" };
static const struct field_words state_words = { word_of_state, state_of_word, "a state" };

#define AT(member) .at = offsetof(struct item, member), .size = sizeof(((struct item *)0)->member)
#define OWNED(member) .kind = FIELD_OWNED, .at = offsetof(struct item, member), .size = ITEM_PARAMETER_BYTES + 1

const struct item_field item_fields[] = {
	{ "id", FIELD_TEXT, AT(id) },
	{ "fingerprint", FIELD_HASH, AT(fingerprint) },
	{ "arrived", FIELD_TIME, AT(arrived) },
	{ "role", FIELD_TEXT, AT(role) },
	{ "class", FIELD_WORD, AT(class), .words = &class_words },
	{ "action", FIELD_WORD, AT(action), .words = &action_words },
	{ "reason", FIELD_WORD, AT(reason), .words = &reason_words },
	{ "queue_id", FIELD_TEXT, AT(queue_id) },
	{ "session", FIELD_TEXT, AT(session) },
	{ "tls", FIELD_BOOL, AT(transport.tls) },
	{ "tls_version", FIELD_TEXT, AT(transport.tls_version) },
	{ "cipher", FIELD_TEXT, AT(transport.cipher), .evidence = true },
	{ "client_cert", FIELD_WORD, AT(transport.client_cert), .words = &client_cert_words, .evidence = true },
	{ "client_subject", FIELD_TEXT, AT(transport.client_subject), .evidence = true },
	{ "client_issuer", FIELD_TEXT, AT(transport.client_issuer), .evidence = true },
	{ "auth_type", FIELD_TEXT, AT(transport.auth_type), .evidence = true },
	{ "login", FIELD_TEXT, AT(transport.login), .evidence = true },
	{ "client", FIELD_TEXT, AT(transport.client) },
	{ "without_smtp", FIELD_BOOL, AT(transport.without_smtp), .evidence = true },
	{ "authserv_id", FIELD_TEXT, AT(authserv_id), .evidence = true },
	{ "sender", FIELD_TEXT, AT(sender), .exact = true },
	{ "sender_parameters", OWNED(sender_parameters), .evidence = true, .exact = true },
	{ "size", FIELD_SIZE, AT(size) },
	{ "sha256", FIELD_HASH, AT(sha256) },
	{ "unparsed", FIELD_BOOL, AT(unparsed) },
	{ "from", FIELD_TEXT, AT(from) },
	{ "subject", FIELD_TEXT, AT(subject) },
	{ "message_id", FIELD_TEXT, AT(message_id) },
	{ "signature", FIELD_TEXT, AT(signature), .evidence = true },
	{ "chain", FIELD_TEXT, AT(chain), .evidence = true },
	{ "revocation", FIELD_TEXT, AT(revocation), .evidence = true },
	{ "registry", FIELD_TEXT, AT(registry), .evidence = true },
	{ "identity", FIELD_TEXT, AT(identity), .evidence = true },
	{ "signer_subject", FIELD_TEXT, AT(signer_subject) },
	{ "signer_issuer", FIELD_TEXT, AT(signer_issuer), .evidence = true },
	{ "signer_serial", FIELD_TEXT, AT(signer_serial) },
	{ "signer_sha256", FIELD_TEXT, AT(signer_sha256) },

	{ "state", FIELD_WORD, AT(state), .words = &state_words, .own = true },
	{ "version", FIELD_LONG, AT(version), .own = true },
	{ "expires", FIELD_TIME, AT(expires), .own = true },
	{ "legal_hold", FIELD_BOOL, AT(legal_hold), .own = true },
	{ "has_body", FIELD_BOOL, AT(has_body), .own = true },
	{ "asked_for", FIELD_BOOL, AT(asked_for), .own = true },
	{ "proposed_by", FIELD_TEXT, AT(proposed_by), .own = true },
	{ "proposed_person", FIELD_NUMBER, AT(proposed_person), .own = true },
	{ "proposed_at", FIELD_TIME, AT(proposed_at), .own = true },
};
const size_t n_item_fields = N_ELEMENTS(item_fields);

const char *
field_text(const struct item_field *field, const struct item *item)
{
	const char *owned;

	if (field->kind == FIELD_TEXT)
		return field_in(field, item);
	memcpy(&owned, field_in(field, item), sizeof(owned));
	return owned ? owned : "";
}

bool
field_set_text(const struct item_field *field, struct item *item, const char *text)
{
	size_t len = strlen(text);
	char *owned;

	if (len >= field->size)
		return false;
	if (field->kind == FIELD_TEXT) {
		memcpy(field_of(field, item), text, len + 1);
		return true;
	}
	memcpy(&owned, field_of(field, item), sizeof(owned));
	free(owned);
	owned = xstrdup(text);
	memcpy(field_of(field, item), &owned, sizeof(owned));
	return true;
}

unsigned
field_word(const struct item_field *field, const struct item *item)
{
	unsigned value;

	_Static_assert(sizeof(enum reason) == sizeof(value) && sizeof(enum class) == sizeof(value), "enums are as wide as unsigned");
	memcpy(&value, field_in(field, item), sizeof(value));
	return value;
}

int64_t
field_number(const struct item_field *field, const struct item *item)
{
	const void *at = field_in(field, item);

	switch (field->kind) {
	case FIELD_BOOL:
		return *(const bool *)at;
	case FIELD_TIME:
		return *(const time_t *)at;
	case FIELD_SIZE:
		return (int64_t)*(const size_t *)at;
	case FIELD_LONG:
		return *(const long *)at;
	case FIELD_NUMBER:
		return *(const int64_t *)at;
	case FIELD_NONE:
	case FIELD_TEXT:
	case FIELD_OWNED:
	case FIELD_HASH:
	case FIELD_WORD:
		break;
	}
	return 0;
}

/* None of them is ever negative. */
bool
field_set_number(const struct item_field *field, struct item *item, int64_t number)
{
	void *at = field_of(field, item);

	if (number < 0)
		return false;
	switch (field->kind) {
	case FIELD_BOOL:
		*(bool *)at = number == 1;
		return number <= 1;
	case FIELD_TIME:
		*(time_t *)at = number;
		return true;
	case FIELD_SIZE:
		*(size_t *)at = (size_t)number;
		return true;
	case FIELD_LONG:
		*(long *)at = number;
		return true;
	case FIELD_NUMBER:
		*(int64_t *)at = number;
		return true;
	case FIELD_NONE:
	case FIELD_TEXT:
	case FIELD_OWNED:
	case FIELD_HASH:
	case FIELD_WORD:
		break;
	}
	return false;
}
