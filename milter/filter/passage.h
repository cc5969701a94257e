/*
 * passage: one message on its way through the pipeline (pipeline.c): what is known of it, what stands against it, what was decided.
 * Private to pipeline.c, sealing.c and answering.c, which tell its story together.
 */
#ifndef FILTER_PASSAGE_H
#define FILTER_PASSAGE_H

#include "milter/filter/addressed.h"
#include "milter/filter/gather.h"
#include "milter/filter/hold.h"
#include "milter/filter/originals.h"
#include "milter/filter/session.h"
#include "milter/filter/unlock.h"
#include "policy/check.h"

/* All of it is the one thread's that carries the message. */
struct passage {
	struct filter *filter;
	struct message *message;
	const struct config *config;
	const char *queue_id;
	time_t now;
	struct timespec began;
	const struct trust_held *trust; /* NULL: it could not be had, trust_err says why */
	struct err trust_err;
	struct gathered gathered;
	struct addressed addressed;
	struct unlocked unlocked;
	unsigned char hash[32];         /* poison_hash() */
	bool poison;                    /* nobody has read it */
	enum stage stage;
	enum class class;
	char login[LIMIT_TOKEN_BYTES + 1]; /* who has it sealed: "local:USER" where it came without SMTP */
	struct err trouble; /* why facts are missing; ERR_NONE = none are */
	struct findings findings;
	struct verdict verdict;
	struct sealed *sealed;
	struct encrypted *encrypted; /* fit; its content borrows from `sealed` or the message */
	struct pieces content;
	char item[ITEM_ID_BYTES]; /* of the quarantine; "" = not held */
	char original[ORIGINAL_NAME_BYTES]; /* of decrypt.keep_dir; "" = not kept */
};

/* The verdict on the findings as they are now. */
void passage_decide(struct passage *passage);
bool passage_pretends(const struct passage *passage);
struct gather_from passage_sources(const struct passage *passage);
/* Its recipients and the plan for them, from the facts of its bytes. */
void passage_address(struct passage *passage);
struct policy_input passage_input(const struct passage *passage, enum stage stage);
/* Class, findings, verdict. */
void passage_check(struct passage *passage, enum stage stage);
/* What is to be done with the body for its recipients. */
enum plan_action passage_plan(const struct passage *passage);
/* Does the verdict let it go on? */
bool passage_passes(const struct passage *passage);
const char *passage_authserv_id(const struct passage *passage);

#endif
