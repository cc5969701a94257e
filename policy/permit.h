/*
 * permit: what each role may do with the quarantine. One table; nothing else in the tree decides it. Pure.
 *
 * No role combines the settings, the body of a message and its release. Whoever releases, approves, deletes, looks
 * into a body or takes it out says why. Two persons are two rows of the registry's person table: a person with
 * two logins stays one.
 *
 * What the table of roles (analyst, manager and so on) that this was made from leaves open, and what is assumed:
 * a manager approves, which is being the second of two, also where the findings need one person only: what helpdesk or an OP
 * officer proposed is then completed by an analyst or a manager. An analyst's delete is a proposal that goes on record; a
 * manager's delete carries it out. Data protection's delete is a request, of any item. Notes are for those who
 * work on items; a later end of retention for the security team; legal hold for its manager. Retention may be run by
 * the manager and by the administrator, since it does what the settings say. Counts are for all who see every item or administer.
 */
#ifndef POLICY_PERMIT_H
#define POLICY_PERMIT_H

#include "policy/reason.h"

/* As the registry names them (reviewer.role). */
enum reviewer_role {
	REVIEWER_NONE,            /* nobody of ours: may nothing */
	REVIEWER_STAFF,           /* pegawai: own mail */
	REVIEWER_HELPDESK,        /* helpdesk */
	REVIEWER_ANALYST,         /* analis: security team */
	REVIEWER_MANAGER,         /* manajer: security team */
	REVIEWER_OP_OFFICER,      /* petugas-op: Otoritas Pendaftaran */
	REVIEWER_AUDITOR,         /* auditor */
	REVIEWER_DATA_PROTECTION, /* pelindung-data */
	REVIEWER_ADMINISTRATOR,   /* administrator: of the mail server */
	N_REVIEWER_ROLES,
};

enum act {
	ACT_UNKNOWN,
	ACT_LIST,      /* list, show: metadata, findings, evidence, history */
	ACT_SUBJECT,   /* the Subject among them */
	ACT_VIEW,      /* the body as safe text */
	ACT_EXPORT,    /* the message itself */
	ACT_RELEASE,
	ACT_DELETE,
	ACT_NOTE,      /* note */
	ACT_EXTEND,    /* a later end of retention */
	ACT_HOLD,      /* legal hold, on and off */
	ACT_PURGE,     /* run the retention now */
	ACT_STATS,
	N_ACTS,
};

/* How far. Zero is not at all. */
enum permit {
	PERMIT_NO,
	PERMIT_OWN,      /* of mail to or from an address of one's own */
	PERMIT_REGISTRY, /* of items that the registry's or a certificate's findings hold */
	PERMIT_REQUEST,  /* asks for it, of what one may list: goes on record, changes nothing */
	PERMIT_PROPOSE,  /* is the first of two, never the second */
	PERMIT_APPROVE,  /* is the second of two, never the first */
	PERMIT_REASONS,  /* alone where the finding needs one person; where it needs two, first or second */
	PERMIT_YES,
};

enum permit permit_of(enum reviewer_role role, enum act act);

/* Must a reason be given? */
bool act_needs_reason(enum act act);

/* Does this finding concern the registry or a certificate (PERMIT_REGISTRY)? */
bool reason_of_registry(enum reason reason);

const char *reviewer_role_name(enum reviewer_role role); /* "" for none */
enum reviewer_role reviewer_role_from(const char *name); /* REVIEWER_NONE for a word that is none */
const char *act_name(enum act act);
const char *permit_name(enum permit permit);

#endif
