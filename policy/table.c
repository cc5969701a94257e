#include "policy/table.h"

#include <string.h>

#define NEVER  { false, ACTION_DEFER }
#define ACCEPT { true, ACTION_ACCEPT }
#define TAG    { true, ACTION_TAG }
#define DEFER  { true, ACTION_DEFER }
#define HOLD   { true, ACTION_HOLD }
#define REJECT { true, ACTION_REJECT }
#define REHOLD { true, ACTION_REJECT_HOLD }

/* The first column is CLASS_UNKNOWN: whatever is found there, the message is deferred. */
#define ROW(reason, submission, official, other, local, egress) \
	[REASON_##reason] = { DEFER, submission, official, other, local, egress }

static const struct action_table defaults = { .cells = {
	/*                        submission official other   local   egress */
	ROW(UNKNOWN,              DEFER,     DEFER,   DEFER,  DEFER,  DEFER),
	ROW(TLS_MISSING,          REJECT,    REJECT,  ACCEPT, NEVER,  NEVER),
	ROW(TLS_WEAK,             REJECT,    REJECT,  ACCEPT, NEVER,  NEVER),
	ROW(LOGIN_MISSING,        REJECT,    NEVER,   NEVER,  NEVER,  NEVER),
	ROW(LOGIN_MISMATCH,       REJECT,    NEVER,   NEVER,  NEVER,  NEVER),
	ROW(FROM_AMBIGUOUS,       REJECT,    HOLD,    TAG,    REJECT, REJECT),
	ROW(DOMAIN_SPOOFED,       NEVER,     REJECT,  NEVER,  NEVER,  NEVER),
	ROW(SIG_MISSING,          NEVER,     TAG,     ACCEPT, ACCEPT, NEVER),
	ROW(SEAL_REQUIRED,        NEVER,     NEVER,   NEVER,  NEVER,  REJECT),
	ROW(SIG_INVALID,          REJECT,    HOLD,    TAG,    TAG,    REJECT),
	ROW(SIG_MALFORMED,        REJECT,    HOLD,    TAG,    TAG,    REJECT),
	ROW(SIG_WEAK,             REJECT,    HOLD,    TAG,    TAG,    REJECT),
	ROW(SIG_UNFIT,            REJECT,    HOLD,    TAG,    TAG,    REJECT),
	ROW(SIG_UNSUPPORTED,      REJECT,    HOLD,    TAG,    TAG,    HOLD),
	ROW(SIG_PARTIAL,          TAG,       TAG,     TAG,    TAG,    TAG),
	ROW(SIG_TIME,             REJECT,    HOLD,    TAG,    TAG,    REJECT),
	ROW(MIME_AMBIGUOUS,       REJECT,    HOLD,    TAG,    REJECT, REJECT),
	ROW(HEADER_MISMATCH,      REJECT,    HOLD,    TAG,    TAG,    REJECT),
	ROW(SIGNER_MISMATCH,      REJECT,    HOLD,    TAG,    TAG,    REJECT),
	ROW(CERT_REVOKED,         REJECT,    REHOLD,  HOLD,   REJECT, REJECT),
	ROW(CERT_EXPIRED,         REJECT,    REHOLD,  HOLD,   REJECT, REJECT),
	ROW(CERT_NOT_YET,         REJECT,    HOLD,    TAG,    TAG,    REJECT),
	ROW(CERT_UNTRUSTED,       REJECT,    HOLD,    TAG,    TAG,    REJECT),
	ROW(STATUS_UNKNOWN,       DEFER,     DEFER,   TAG,    DEFER,  DEFER),
	ROW(REG_UNKNOWN,          REJECT,    HOLD,    ACCEPT, ACCEPT, REJECT),
	ROW(REG_ADDRESS_MISMATCH, REJECT,    HOLD,    ACCEPT, ACCEPT, REJECT),
	ROW(REG_HELD,             REJECT,    REHOLD,  HOLD,   REJECT, REJECT),
	ROW(REG_ENDED,            REJECT,    REHOLD,  HOLD,   REJECT, REJECT),
	ROW(REG_RETIRED,          REJECT,    REHOLD,  HOLD,   REJECT, REJECT),
	ROW(REG_CONFLICT,         REJECT,    HOLD,    TAG,    REJECT, REJECT),
	ROW(REG_UNAVAILABLE,      DEFER,     DEFER,   ACCEPT, DEFER,  DEFER),
	ROW(SEAL_UNAVAILABLE,     REJECT,    NEVER,   NEVER,  ACCEPT, NEVER),
	ROW(KEY_UNAVAILABLE,      DEFER,     DEFER,   DEFER,  DEFER,  NEVER),
	ROW(RCPT_AMBIGUOUS,       REJECT,    NEVER,   NEVER,  REJECT, REJECT),
	ROW(RCPT_FORBIDDEN,       REJECT,    NEVER,   NEVER,  REJECT, REJECT),
	ROW(ENC_NO_CERT,          REJECT,    NEVER,   NEVER,  REJECT, NEVER),
	ROW(ENC_MIXED,            REJECT,    NEVER,   NEVER,  REJECT, NEVER),
	ROW(ENC_REQUIRED,         REJECT,    NEVER,   NEVER,  REJECT, REJECT),
	ROW(ENC_UNREADABLE,       ACCEPT,    ACCEPT,  ACCEPT, ACCEPT, ACCEPT),
	ROW(DEC_FAILED,           NEVER,     HOLD,    HOLD,   NEVER,  NEVER),
	ROW(REPLAY,               REJECT,    TAG,     TAG,    NEVER,  NEVER),
	ROW(KEY_MATERIAL,         REJECT,    HOLD,    TAG,    REJECT, REJECT),
	ROW(PARSE_LIMIT,          REJECT,    HOLD,    HOLD,   REJECT, REJECT),
	ROW(POISON,               REJECT,    HOLD,    HOLD,   REJECT, REJECT),
	ROW(STORE_UNAVAILABLE,    DEFER,     DEFER,   DEFER,  DEFER,  DEFER),
	ROW(INTERNAL,             DEFER,     DEFER,   DEFER,  DEFER,  DEFER),
} };

static const struct {
	const char *name;
	int rank;
} actions[N_ACTIONS] = {
	[ACTION_ACCEPT] = { "accept", 0 },
	[ACTION_TAG] = { "tag", 1 },
	[ACTION_DEFER] = { "defer", 2 },
	[ACTION_HOLD] = { "hold", 3 },
	[ACTION_REJECT] = { "reject", 4 },
	[ACTION_REJECT_HOLD] = { "reject+hold", 5 },
};

static const char *const classes[N_CLASSES] = {
	[CLASS_UNKNOWN] = "unknown",
	[CLASS_SUBMISSION] = "submission",
	[CLASS_INBOUND_OFFICIAL] = "inbound-official",
	[CLASS_INBOUND_OTHER] = "inbound-other",
	[CLASS_LOCAL] = "local",
	[CLASS_EGRESS] = "egress",
};

void
table_defaults(struct action_table *ret)
{
	*ret = defaults;
}

/* Findings that a setting cannot soften below "defer". */
static const struct {
	enum reason reason;
	bool everywhere; /* else in class submission */
} hard[] = {
	{ REASON_UNKNOWN, true },
	{ REASON_INTERNAL, true },
	{ REASON_STORE_UNAVAILABLE, true },
	/* Who may get mail in clear, encrypt.rules says. */
	{ REASON_RCPT_AMBIGUOUS, true },
	{ REASON_RCPT_FORBIDDEN, true },
	{ REASON_ENC_NO_CERT, true },
	{ REASON_ENC_MIXED, true },
	{ REASON_ENC_REQUIRED, true },
	{ REASON_KEY_UNAVAILABLE, false },
	{ REASON_REG_UNAVAILABLE, false },
	{ REASON_STATUS_UNKNOWN, false },
	{ REASON_LOGIN_MISSING, false },
	{ REASON_LOGIN_MISMATCH, false },
	{ REASON_FROM_AMBIGUOUS, false },
	{ REASON_MIME_AMBIGUOUS, false },
	{ REASON_PARSE_LIMIT, false },
};

bool
table_allows(enum reason reason, enum class class, enum action action)
{
	for (size_t i = 0; i < N_ELEMENTS(hard); i++)
		if (hard[i].reason == reason && (hard[i].everywhere || class == CLASS_SUBMISSION))
			return action_rank(action) >= action_rank(ACTION_DEFER);
	return true;
}

int
action_rank(enum action action)
{
	return actions[action < N_ACTIONS ? action : ACTION_DEFER].rank;
}

const char *
action_name(enum action action)
{
	return actions[action < N_ACTIONS ? action : ACTION_DEFER].name;
}

const char *
class_name(enum class class)
{
	return classes[class < N_CLASSES ? class : CLASS_UNKNOWN];
}

bool
action_from(const char *name, enum action *ret)
{
	for (size_t i = 0; i < N_ACTIONS; i++) {
		if (strcmp(actions[i].name, name) == 0) {
			*ret = (enum action)i;
			return true;
		}
	}
	return false;
}

bool
class_from(const char *name, enum class *ret)
{
	for (size_t i = CLASS_SUBMISSION; i < N_CLASSES; i++) {
		if (strcmp(classes[i], name) == 0) {
			*ret = (enum class)i;
			return true;
		}
	}
	return false;
}
