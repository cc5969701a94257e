/*
 * wire: what goes over the key agent's socket. Pure: bytes to struct and back; no descriptor.
 *
 * A frame is its length (4 bytes, big endian, at most WIRE_FRAME_BYTES) and that many bytes:
 *
 *     version  1 byte   WIRE_VERSION
 *     op       1 byte   what is asked; an answer repeats it
 *     number   4 bytes  chosen by the asker; an answer repeats it
 *     status   1 byte   in answers only
 *     numbers           one byte each, in the order of the tables in wire.c
 *     fields            each 2 bytes of length and its bytes, in the order of the tables in wire.c
 *
 * The parsers take exactly one frame, without its length. They check every length, that nothing
 * follows the last field, that enums have a name, and that texts are free of NUL, so that they
 * can become C strings. They do not check whether a request makes sense (agent.h).
 * Parsed slices borrow from the frame.
 */
#ifndef KEYD_WIRE_H
#define KEYD_WIRE_H

#include "smime/buf.h"
#include "smime/err.h"
#include "smime/key.h"

enum {
	WIRE_VERSION = 1,
	WIRE_LENGTH_BYTES = 4,
	WIRE_FRAME_BYTES = 8 * 1024,
	WIRE_TEXT_BYTES = 1024, /* one text of a request */
	WIRE_SPKI_BYTES = 32,
	WIRE_WRAPPED_BYTES = 512, /* RSA-4096 */
	WIRE_UNIT_BYTES = 8,      /* lengths of symmetric keys count these */
};

/* The numbers are the protocol's. */
enum wire_op {
	WIRE_OP_NONE = 0,
	WIRE_OP_PING = 1, /* no fields; the answer's payload is a text */
	WIRE_OP_SIGN = 2, /* the answer's payload is the signature */
	WIRE_OP_UNWRAP = 3, /* of a held message (box.h); the answer's payload is the content key */
	WIRE_OP_DERIVE = 4, /* of mail, by ECDH; the answer's payload is the content key */
	WIRE_OP_HAVE = 5, /* is this key here? field spki; ok or unknown-key, without a record */
	WIRE_OP_OPEN = 6, /* of mail, by RSA; the answer's payload is the content key */
	WIRE_OP_FAILED = 7, /* a message did not open: counts against its sender; no payload */
};

enum wire_status {
	WIRE_STATUS_UNKNOWN = 0,
	WIRE_STATUS_OK = 1,
	WIRE_STATUS_UNKNOWN_KEY = 2,
	WIRE_STATUS_DENIED = 3,            /* this uid may not */
	WIRE_STATUS_LIMIT = 4,             /* too many signatures, or unwrapped keys, with this key in a minute */
	WIRE_STATUS_AUDIT_UNAVAILABLE = 5, /* what cannot be recorded is not done */
	WIRE_STATUS_BAD_REQUEST = 6,
	WIRE_STATUS_INTERNAL = 7,
	WIRE_STATUS_BAD_BLOCK = 8,         /* it cannot be unwrapped, whatever is wrong with it */
	WIRE_STATUS_FAILURES = 9,          /* too much from this sender did not open with this key within an hour */
};

struct wire_request {
	enum wire_op op;
	uint32_t number;
	/* All but WIRE_OP_PING */
	struct slice spki; /* WIRE_SPKI_BYTES */
	/* WIRE_OP_SIGN */
	enum digest alg;
	struct slice digest;
	struct slice login;
	struct slice from;
	struct slice queue_id;
	struct slice session;
	/* WIRE_OP_UNWRAP */
	struct slice item;
	struct slice reason;
	struct slice wrapped; /* at most WIRE_WRAPPED_BYTES; WIRE_OP_OPEN and WIRE_OP_DERIVE, too */
	/* WIRE_OP_OPEN, WIRE_OP_DERIVE and WIRE_OP_FAILED, beside from, queue_id and session */
	struct slice recipient;
	struct slice sender;
	/* WIRE_OP_OPEN and WIRE_OP_DERIVE: what struct key_transport and struct key_agreement say (key.h) */
	uint8_t content; /* length of the content key, in WIRE_UNIT_BYTES */
	/* WIRE_OP_OPEN */
	uint8_t padding;      /* enum key_padding */
	uint8_t digest_hash, mask_hash; /* enum key_hash */
	/* WIRE_OP_DERIVE */
	uint8_t kdf;          /* enum key_hash */
	uint8_t wrap;         /* length of the key-encryption key, in WIRE_UNIT_BYTES */
	uint8_t wrap_null;
	uint8_t has_ukm;
	struct slice ukm;     /* at most KEY_UKM_BYTES */
	struct slice point;   /* at most KEY_POINT_BYTES */
};

struct wire_answer {
	enum wire_op op;
	uint32_t number;
	enum wire_status status;
	struct slice payload; /* the signature, the content key, or a text; empty text is possible */
};

/* Appends length and frame. A text over its cap, or holding NUL, is ERR_CONFIG and names the field. */
int wire_request_render(const struct wire_request *request, struct buf *ret, struct err *err) MUST_USE;
/* A text that is too long is cut. */
void wire_answer_render(const struct wire_answer *answer, struct buf *ret);

/*
 * ERR_TEMP: the text says what is wrong with the bytes. op and number are filled in as far as
 * they could be read, so that a refusal can name them.
 */
int wire_request_parse(struct slice frame, struct wire_request *ret, struct err *err) MUST_USE;
int wire_answer_parse(struct slice frame, struct wire_answer *ret, struct err *err) MUST_USE;

/* The frame's length from its first WIRE_LENGTH_BYTES bytes; over WIRE_FRAME_BYTES or 0: ERR_TEMP. */
int wire_frame_len(const unsigned char head[WIRE_LENGTH_BYTES], size_t *ret, struct err *err) MUST_USE;

const char *wire_op_name(enum wire_op op);             /* "ping", "sign", "unwrap", "derive", ... */
const char *wire_status_name(enum wire_status status); /* "ok", "unknown-key", ... */

#endif
