/*
 * item: what is known of one message that was held: plain data, filled by the filter that holds it, kept by
 * segel-reviewd. The message itself lies in a box (smime/box.h), which the filter can write and not read.
 *
 * Texts from the message (from, subject, message_id) are as they came, cut and valid UTF-8; whoever shows
 * them escapes them.
 */
#ifndef QUARANTINE_ITEM_H
#define QUARANTINE_ITEM_H

#include <time.h>

#include "policy/decide.h"
#include "policy/input.h"

enum { ITEM_ID_BYTES = 33, ITEM_SUBJECT_BYTES = 1000 };

/* What has become of it. The words are the region's. */
enum item_state {
	ITEM_UNKNOWN,
	ITEM_NEW,       /* baru */
	ITEM_SEEN,      /* ditinjau: somebody looked at it */
	ITEM_WAITING,   /* menunggu persetujuan: one of two persons has released it */
	ITEM_RELEASING, /* dilepas-sedang: on its way to the mail server; if that ends without an answer, it is sent again */
	ITEM_RELEASED,  /* dilepas: to all recipients, or to those that were named */
	ITEM_DELETED,   /* dihapus */
	ITEM_EXPIRED,   /* kedaluwarsa: its time ran out */
	N_ITEM_STATES,
};

const char *item_state_name(enum item_state state);
enum item_state item_state_from(const char *name);

struct item_recipient {
	char *address;    /* as the client named it, without angle brackets */
	char *parameters; /* of RCPT, with a blank between; "" = none */
	time_t released_at; /* 0 = not */
};

struct item {
	char id[ITEM_ID_BYTES];      /* 128 random bits, hex */
	unsigned char fingerprint[32]; /* SHA-256 of message, envelope sender and recipients: tells a retry from a second message */
	time_t arrived;
	char role[16];               /* of the filter */
	enum class class;
	enum action action;          /* ACTION_HOLD, or ACTION_REJECT_HOLD: refused, this is a copy that is never released */
	enum reason reason;          /* the finding that decided */
	struct findings findings;    /* all of them, with their evidence */
	char queue_id[64];
	char session[24];            /* the filter's own id, which the sender saw in the reply */
	struct transport_facts transport;
	char authserv_id[256];       /* the name in the filter's Authentication-Results fields: a release adds one, and removes forged ones */
	char sender[LIMIT_ADDRESS_BYTES + 1]; /* envelope; "" = null sender */
	char *sender_parameters;     /* of MAIL */
	struct item_recipient *recipients; /* owned */
	size_t n_recipients;
	size_t size;                 /* of the message, bytes */
	unsigned char sha256[32];    /* of the message */
	bool unparsed;               /* nobody has read it: POISON, or beyond a limit */
	char from[LIMIT_ADDRESS_BYTES + 1]; /* "" = none, or ambiguous */
	char subject[ITEM_SUBJECT_BYTES];   /* decoded */
	char message_id[LIMIT_TOKEN_BYTES + 1];
	/* Evidence, in the words of facts.h; "" = not looked at. */
	char signature[160];
	char chain[320];
	char revocation[320];
	char registry[320];
	char identity[320];
	char signer_subject[512];
	char signer_issuer[512];
	char signer_serial[48];
	char signer_sha256[65];

	/* segel-reviewd's own. */
	enum item_state state;
	long version;                /* counts every change; an act names the version it was decided on */
	time_t expires;              /* the body goes then; 0 = never (legal hold) */
	bool legal_hold;
	bool has_body;
	bool asked_for;              /* its owner asked for its release */
	char proposed_by[64];        /* login of the first of two; "" = nobody */
	int64_t proposed_person;
	time_t proposed_at;
};

/* Random. -1: no random numbers. */
int item_new_id(char ret[ITEM_ID_BYTES], struct err *err) MUST_USE;
bool item_id_good(const char *id);
void item_done(struct item *item);

static inline __attribute__((unused)) void auto_item_done(struct item *item) { item_done(item); }
#define AUTO_ITEM __attribute__((cleanup(auto_item_done)))

#endif
