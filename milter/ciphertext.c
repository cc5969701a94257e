#include "milter/ciphertext.h"

#include "smime/decrypt.h"

/* Without certificates nothing is ever opened: an object that keeps the rules is for others. */
static enum ciphertext
read_object(struct slice bytes, const struct message_facts *facts)
{
	const struct decrypt_request request = { .message = bytes, .facts = facts };
	AUTO(decrypted_free) struct decrypted *decrypted = NULL;
	struct err err;

	if (smime_decrypt(&request, &decrypted, &err) == -1)
		return CIPHERTEXT_UNKNOWN;
	switch (decrypted_facts(decrypted)->state) {
	case DECRYPT_OTHERS:
		return CIPHERTEXT_CMS;
	case DECRYPT_NONE:
		return facts->outer == LAYER_ENCRYPTED ? CIPHERTEXT_OTHER : CIPHERTEXT_NONE;
	case DECRYPT_UNSUPPORTED:
	case DECRYPT_MALFORMED:
		return CIPHERTEXT_OTHER;
	case DECRYPT_UNKNOWN:
	case DECRYPT_FAILED:
	case DECRYPT_OPENED:
		break;
	}
	return CIPHERTEXT_UNKNOWN;
}

enum ciphertext
ciphertext_of(struct slice bytes, const struct message_facts *facts)
{
	switch (facts->outer) {
	case LAYER_UNKNOWN:
		return CIPHERTEXT_UNKNOWN;
	case LAYER_NONE:
		return CIPHERTEXT_NONE;
	case LAYER_SIGNED:
	case LAYER_ENCRYPTED:
	case LAYER_OTHER:
		return read_object(bytes, facts);
	}
	return CIPHERTEXT_UNKNOWN;
}
