#include "policy/permit.h"

#include <string.h>

static const enum permit permits[N_REVIEWER_ROLES][N_ACTS] = {
	[REVIEWER_STAFF] = {
		[ACT_LIST] = PERMIT_OWN,
		[ACT_SUBJECT] = PERMIT_OWN,
		[ACT_VIEW] = PERMIT_OWN,
		[ACT_RELEASE] = PERMIT_REQUEST,
	},
	[REVIEWER_HELPDESK] = {
		[ACT_LIST] = PERMIT_YES,
		[ACT_RELEASE] = PERMIT_PROPOSE,
		[ACT_NOTE] = PERMIT_YES,
		[ACT_STATS] = PERMIT_YES,
	},
	[REVIEWER_ANALYST] = {
		[ACT_LIST] = PERMIT_YES,
		[ACT_SUBJECT] = PERMIT_YES,
		[ACT_VIEW] = PERMIT_YES,
		[ACT_EXPORT] = PERMIT_YES,
		[ACT_RELEASE] = PERMIT_REASONS,
		[ACT_DELETE] = PERMIT_PROPOSE,
		[ACT_NOTE] = PERMIT_YES,
		[ACT_EXTEND] = PERMIT_YES,
		[ACT_STATS] = PERMIT_YES,
	},
	[REVIEWER_MANAGER] = {
		[ACT_LIST] = PERMIT_YES,
		[ACT_SUBJECT] = PERMIT_YES,
		[ACT_VIEW] = PERMIT_YES,
		[ACT_EXPORT] = PERMIT_YES,
		[ACT_RELEASE] = PERMIT_APPROVE,
		[ACT_DELETE] = PERMIT_YES,
		[ACT_NOTE] = PERMIT_YES,
		[ACT_EXTEND] = PERMIT_YES,
		[ACT_HOLD] = PERMIT_YES,
		[ACT_PURGE] = PERMIT_YES,
		[ACT_STATS] = PERMIT_YES,
	},
	[REVIEWER_OP_OFFICER] = {
		[ACT_LIST] = PERMIT_REGISTRY,
		[ACT_RELEASE] = PERMIT_PROPOSE,
		[ACT_NOTE] = PERMIT_REGISTRY,
	},
	[REVIEWER_AUDITOR] = {
		[ACT_LIST] = PERMIT_YES,
		[ACT_STATS] = PERMIT_YES,
	},
	[REVIEWER_DATA_PROTECTION] = {
		[ACT_LIST] = PERMIT_YES,
		[ACT_DELETE] = PERMIT_REQUEST,
		[ACT_STATS] = PERMIT_YES,
	},
	[REVIEWER_ADMINISTRATOR] = {
		[ACT_PURGE] = PERMIT_YES,
		[ACT_STATS] = PERMIT_YES,
	},
};

static const char *const role_names[N_REVIEWER_ROLES] = {
	[REVIEWER_NONE] = "",
	[REVIEWER_STAFF] = "pegawai",
	[REVIEWER_HELPDESK] = "helpdesk",
	[REVIEWER_ANALYST] = "analis",
	[REVIEWER_MANAGER] = "manajer",
	[REVIEWER_OP_OFFICER] = "petugas-op",
	[REVIEWER_AUDITOR] = "auditor",
	[REVIEWER_DATA_PROTECTION] = "pelindung-data",
	[REVIEWER_ADMINISTRATOR] = "administrator",
};

static const char *const act_names[N_ACTS] = {
	[ACT_UNKNOWN] = "",
	[ACT_LIST] = "list",
	[ACT_SUBJECT] = "subject",
	[ACT_VIEW] = "view",
	[ACT_EXPORT] = "export",
	[ACT_RELEASE] = "release",
	[ACT_DELETE] = "delete",
	[ACT_NOTE] = "note",
	[ACT_EXTEND] = "extend",
	[ACT_HOLD] = "hold",
	[ACT_PURGE] = "purge",
	[ACT_STATS] = "stats",
};

static const char *const permit_names[] = {
	[PERMIT_NO] = "no",
	[PERMIT_OWN] = "own",
	[PERMIT_REGISTRY] = "registry",
	[PERMIT_REQUEST] = "request",
	[PERMIT_PROPOSE] = "propose",
	[PERMIT_APPROVE] = "approve",
	[PERMIT_REASONS] = "reasons",
	[PERMIT_YES] = "yes",
};

static const bool of_registry[N_REASONS] = {
	[REASON_SIGNER_MISMATCH] = true,
	[REASON_CERT_REVOKED] = true,
	[REASON_CERT_EXPIRED] = true,
	[REASON_CERT_NOT_YET] = true,
	[REASON_CERT_UNTRUSTED] = true,
	[REASON_STATUS_UNKNOWN] = true,
	[REASON_REG_UNKNOWN] = true,
	[REASON_REG_ADDRESS_MISMATCH] = true,
	[REASON_REG_HELD] = true,
	[REASON_REG_ENDED] = true,
	[REASON_REG_RETIRED] = true,
	[REASON_REG_CONFLICT] = true,
	[REASON_REG_UNAVAILABLE] = true,
};

enum permit
permit_of(enum reviewer_role role, enum act act)
{
	if ((unsigned)role >= N_REVIEWER_ROLES || (unsigned)act >= N_ACTS)
		return PERMIT_NO;
	return permits[role][act];
}

bool
act_needs_reason(enum act act)
{
	switch (act) {
	case ACT_LIST:
	case ACT_SUBJECT:
	case ACT_PURGE:
	case ACT_STATS:
		return false;
	case ACT_UNKNOWN:
	case ACT_VIEW:
	case ACT_EXPORT:
	case ACT_RELEASE:
	case ACT_DELETE:
	case ACT_NOTE:
	case ACT_EXTEND:
	case ACT_HOLD:
	case N_ACTS:
		return true;
	}
	return true;
}

bool
reason_of_registry(enum reason reason)
{
	return (unsigned)reason < N_REASONS && of_registry[reason];
}

const char *
reviewer_role_name(enum reviewer_role role)
{
	return (unsigned)role < N_REVIEWER_ROLES ? role_names[role] : "";
}

enum reviewer_role
reviewer_role_from(const char *name)
{
	for (size_t i = REVIEWER_NONE + 1; i < N_REVIEWER_ROLES; i++)
		if (strcmp(role_names[i], name) == 0)
			return (enum reviewer_role)i;
	return REVIEWER_NONE;
}

const char *
act_name(enum act act)
{
	return (unsigned)act < N_ACTS ? act_names[act] : "";
}

const char *
permit_name(enum permit permit)
{
	return (unsigned)permit < N_ELEMENTS(permit_names) ? permit_names[permit] : "no";
}
