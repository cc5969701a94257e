/*
 * record: one line in the log and one record in the audit file for every message judged.
 * Words come from the tables; bytes from outside are escaped. No subject, no body, no key.
 */
#ifndef FILTER_RECORD_H
#define FILTER_RECORD_H

#include "milter/audit/audit.h"
#include "milter/filter/addressed.h"
#include "milter/filter/message.h"
#include "milter/filter/unlock.h"
#include "policy/decide.h"
#include "smime/seal.h"

struct record {
	const struct message *message;
	const struct message_facts *facts;
	const struct signature_facts *signature; /* NULL = nobody looked */
	const struct registry_facts *registry;
	const char *item;                 /* of the quarantine; "" = not held */
	const char *original;             /* of decrypt.keep_dir; "" = not kept */
	const struct registry_cert *cert; /* NULL = none found */
	const struct findings *findings;
	const struct verdict *verdict;
	const struct sealed *sealed;      /* NULL = not sealed */
	const struct addressed *addressed; /* not planned = nothing is said of encryption */
	bool encrypted;                   /* to the certificates of the plan */
	const struct unlocked *unlocked;  /* nothing is said of it where nothing was tried */
	enum class class;
	const char *login;                /* who has it sealed */
	const char *queue_id;             /* NULL before there is one */
	bool pretend;
};

/* The audit record, on disk when this returns 0, and the log line. */
int record_write(struct audit *audit, const struct record *record, struct err *err) MUST_USE;
/* When the audit file cannot be written: the log says that the message is deferred, and why. */
void record_log_only(const struct record *record, const struct err *err);
/* A plan of edits that the MTA did not take. */
void record_not_applied(struct audit *audit, const char *queue_id, const char *id, const char *why);

#endif
