/*
 * reason: THE table of findings: the word in logs and settings, the SMTP reply, the text in
 * Indonesian and English, and what an administrator should look at. Nothing else in the tree
 * holds a reply text. All texts are ASCII (RFC 5321 4.2).
 */
#ifndef POLICY_REASON_H
#define POLICY_REASON_H

#include "smime/base.h"

enum reason {
	REASON_UNKNOWN, /* nothing was found out: defers */
	REASON_TLS_MISSING,
	REASON_TLS_WEAK,
	REASON_LOGIN_MISSING,
	REASON_LOGIN_MISMATCH,
	REASON_FROM_AMBIGUOUS,
	REASON_DOMAIN_SPOOFED,
	REASON_SIG_MISSING,
	REASON_SEAL_REQUIRED,
	REASON_SIG_INVALID,
	REASON_SIG_MALFORMED,
	REASON_SIG_WEAK,
	REASON_SIG_UNFIT,
	REASON_SIG_UNSUPPORTED,
	REASON_SIG_PARTIAL,
	REASON_SIG_TIME,
	REASON_MIME_AMBIGUOUS,
	REASON_HEADER_MISMATCH,
	REASON_SIGNER_MISMATCH,
	REASON_CERT_REVOKED,
	REASON_CERT_EXPIRED,
	REASON_CERT_NOT_YET,
	REASON_CERT_UNTRUSTED,
	REASON_STATUS_UNKNOWN,
	REASON_REG_UNKNOWN,
	REASON_REG_ADDRESS_MISMATCH,
	REASON_REG_HELD,
	REASON_REG_ENDED,
	REASON_REG_RETIRED,
	REASON_REG_CONFLICT,
	REASON_REG_UNAVAILABLE,
	REASON_SEAL_UNAVAILABLE,
	REASON_KEY_UNAVAILABLE,
	REASON_RCPT_AMBIGUOUS,
	REASON_RCPT_FORBIDDEN,
	REASON_ENC_NO_CERT,
	REASON_ENC_MIXED,
	REASON_ENC_REQUIRED,
	REASON_ENC_UNREADABLE,
	REASON_DEC_FAILED,
	REASON_REPLAY,
	REASON_KEY_MATERIAL,
	REASON_PARSE_LIMIT,
	REASON_POISON,
	REASON_STORE_UNAVAILABLE,
	REASON_INTERNAL,
	N_REASONS,
};

enum language { LANGUAGE_ID, LANGUAGE_EN };

struct reason_row {
	enum reason reason;
	const char *word;       /* in logs, settings and the reply itself */
	const char *code;       /* SMTP code of a refusal */
	const char *status;     /* enhanced status code of a refusal (RFC 3463) */
	const char *defer;      /* enhanced status code when deferred (with 451) */
	const char *english;
	const char *indonesian;
	const char *hint;       /* for the administrator, English */
};

/* Any value outside the enum gives REASON_UNKNOWN's row, which defers. */
const struct reason_row *reason_row(enum reason reason);
const char *reason_word(enum reason reason);
const char *reason_text(enum reason reason, enum language language);
/* REASON_UNKNOWN for a word that is none. */
enum reason reason_from(const char *word);

#endif
