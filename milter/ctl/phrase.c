#include "milter/ctl/phrase.h"

#include <string.h>

const struct phrase action_phrases[] = {
	{ "accept", "accepted" },
	{ "tag", "accepted, with what was found in its header" },
	{ "defer", "not accepted; its client was told to try again (4xx)" },
	{ "hold", "held for review" },
	{ "reject", "refused; its sender was told why (5xx)" },
	{ "reject+hold", "refused; its sender was told why (5xx), and a copy was kept, which is never released" },
	{ NULL, NULL },
};

const struct phrase seal_phrases[] = {
	{ "clear", "sealed in clear (multipart/signed)" },
	{ "opaque", "sealed as a whole (application/pkcs7-mime)" },
	{ "none", "not sealed" },
	{ "none:already-signed", "untouched: its author had signed it" },
	{ "none:already-encrypted", "untouched: its author had encrypted it" },
	{ NULL, NULL },
};

const struct phrase encrypt_phrases[] = {
	{ "aes-256-cbc", "encrypted (AES-256-CBC, EnvelopedData)" },
	{ "aes-256-gcm", "encrypted (AES-256-GCM, AuthEnvelopedData)" },
	{ "split", "left to segel-split, which encrypts for each recipient by itself" },
	{ "none", "not encrypted: the rules ask for it for none of its recipients, or it did not leave" },
	{ NULL, NULL },
};

const struct phrase decrypted_phrases[] = {
	{ "yes", "it arrived encrypted and is delivered in clear" },
	{ "no", "it stays as it came, encrypted" },
	{ NULL, NULL },
};

const struct phrase signature_phrases[] = {
	{ "unknown", "could not be found out" },
	{ "none", "there is none" },
	{ "good", "holds: what it covers is what the signer signed" },
	{ "bad", "does not hold: this is not what the signer signed" },
	{ "malformed", "is built in a way that no honest program builds it" },
	{ "unsupported", "is of a kind that cannot be checked here" },
	{ NULL, NULL },
};

const struct phrase coverage_phrases[] = {
	{ "unknown", "could not be found out" },
	{ "none", "nothing of the message" },
	{ "partial", "a part of the message only: the rest is nobody's word" },
	{ "whole", "the whole message" },
	{ NULL, NULL },
};

const struct phrase chain_phrases[] = {
	{ "unknown", "could not be found out" },
	{ "good", "leads to an authority that counts here" },
	{ "untrusted", "leads to no authority that counts here" },
	{ "expired", "a certificate on the way was over when the message arrived" },
	{ "not-yet", "a certificate on the way was not yet in force when the message arrived" },
	{ "bad", "a certificate on the way is not what it claims to be" },
	{ "limit", "is longer or larger than is looked at" },
	{ NULL, NULL },
};

const struct phrase revocation_phrases[] = {
	{ "unknown", "could not be found out" },
	{ "good", "not revoked, says the authority" },
	{ "revoked", "revoked by the authority that issued it" },
	{ NULL, NULL },
};

const struct phrase registry_phrases[] = {
	{ "unavailable", "the OP's registry could not be asked" },
	{ "unknown", "the OP's registry does not know this certificate" },
	{ "current", "the OP's registry: current, and bound to this address" },
	{ "other-address", "the OP's registry knows the certificate, but not for this address" },
	{ "held", "the OP has put it on hold" },
	{ "revoked", "the OP has revoked it" },
	{ "retired", "the OP has replaced it by another" },
	{ "ended", "the OP has ended it" },
	{ "expired", "its time is over" },
	{ "not-yet", "it is not yet in force" },
	{ "conflict", "the OP's record and the certificate contradict each other" },
	{ NULL, NULL },
};

const struct phrase identity_phrases[] = {
	{ "unknown", "whose it is could not be found out" },
	{ "none", "there was nothing to compare From with" },
	{ "match", "the certificate speaks for the address in From" },
	{ "mismatch", "the certificate is somebody else's than From claims" },
	{ "ambiguous", "From or Sender can be read in more than one way" },
	{ NULL, NULL },
};

const struct phrase item_state_phrases[] = {
	{ "baru", "new: nobody has looked into it" },
	{ "ditinjau", "somebody has looked into it" },
	{ "menunggu persetujuan", "one of two persons has said yes to its release; a second one is wanted" },
	{ "dilepas-sedang", "on its way to the mail server; sent again by itself if that did not end well" },
	{ "dilepas", "released" },
	{ "dihapus", "deleted" },
	{ "kedaluwarsa", "its time ran out, and its body is gone" },
	{ NULL, NULL },
};

const struct phrase item_event_phrases[] = {
	{ "hold", "put under legal hold: its body stays" },
	{ "unhold", "taken off legal hold" },
	{ "held", "held" },
	{ "release-failed", "its release did not come about" },
	{ "view", "looked into it" },
	{ "export", "took the message out" },
	{ "note", "noted" },
	{ "request", "asked for its release" },
	{ "propose", "first of two: wants it released" },
	{ "release", "had it released" },
	{ "released", "the mail server has it" },
	{ "refused", "not released" },
	{ "resume", "its release was begun again" },
	{ "not-taken", "the mail server did not take it" },
	{ "not-sent", "not sent: it could not be verified again" },
	{ "no-answer", "sent, without an answer: it may have arrived" },
	{ "recall", "called its release back" },
	{ "verified-again", "verified again, and found something else" },
	{ "request-delete", "asked for its deletion" },
	{ "propose-delete", "wants it deleted" },
	{ "delete", "deleted its body" },
	{ "extend", "has it kept longer" },
	{ "expire", "its time ran out: its body is gone" },
	{ NULL, NULL },
};

const char *
phrase_of(const struct phrase *table, const char *word)
{
	for (; table->word; table++)
		if (strcmp(table->word, word) == 0)
			return table->phrase;
	return word;
}

const char *
phrase_of_first(const struct phrase *table, const char *text)
{
	const size_t len = strcspn(text, ",: ");

	for (; table->word; table++)
		if (strlen(table->word) == len && strncmp(table->word, text, len) == 0)
			return table->phrase;
	return NULL;
}
