/*
 * hold: a message and its verdict as an item of the quarantine, given to segel-reviewd.
 * 0: it is on disk there, and `id` names it. -1: it is not, or not known to be: defer.
 */
#ifndef FILTER_HOLD_H
#define FILTER_HOLD_H

#include "milter/filter/gather.h"
#include "milter/filter/message.h"
#include "milter/filter/poison.h"
#include "milter/quarantine/deposit.h"

struct hold_request {
	const struct message *message;
	const struct gathered *gathered;
	const struct findings *findings;
	const struct verdict *verdict;
	enum class class;
	const char *role;
	const char *queue_id;
	const char *authserv_id; /* of the results field that a release will add */
	bool unparsed;
	struct poison *poison;      /* who is told that the message is read here, too */
	const unsigned char *hash;  /* poison_hash() of it */
	time_t now;
};

int hold_message(const struct hold_request *request, char id[ITEM_ID_BYTES], struct err *err) MUST_USE;

/*
 * Can it be held? What was cut cannot: a message beyond limits.message_size, or with more recipients than
 * LIMIT_RECIPIENTS; nor what has an address that is no UTF-8. It is refused instead, which loses nothing either.
 */
bool hold_possible(const struct message *message);

#endif
