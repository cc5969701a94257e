/*
 * box: bytes of any length encrypted to one certificate, in chunks: whoever has the certificate can write a
 * box, and only the holder of its private key can read one.
 *
 *     magic    "SEGELBOX1\n"
 *     spki     32 bytes   SHA-256 of the certificate's SubjectPublicKeyInfo
 *     length   2 bytes    big endian, of what follows
 *     key      the content key, RSAES-OAEP with SHA-256 and MGF1-SHA-256 (RFC 8017 7.1), no label
 *     chunks   each 4 bytes of length (big endian; the highest bit marks the last one), AES-256-GCM's
 *              ciphertext, 16 bytes of tag
 *
 * A content key is used for one box only. The nonce of a chunk is its number (7 zero bytes, 4 bytes big endian) and
 * one byte that is 1 for the last; SHA-256 of the header and the box's name is authenticated with each. So
 * chunks cannot be exchanged, repeated, left out, cut off behind one, or moved into a box of another name.
 *
 * Only RSA certificates of 2048 to 4096 bits. At most BOX_CHUNK_BYTES are held in memory, whatever the size.
 * One thread per box. Nothing is said about who wrote it: a box is secret, not signed.
 */
#ifndef SMIME_BOX_H
#define SMIME_BOX_H

#include "smime/buf.h"
#include "smime/err.h"

enum {
	BOX_CHUNK_BYTES = 64 * 1024,
	BOX_KEY_BYTES = 32,
	BOX_WRAPPED_BYTES = 512, /* RSA-4096 */
	BOX_HEADER_BYTES = 10 + 32 + 2 + BOX_WRAPPED_BYTES, /* at most */
	BOX_NAME_BYTES = 64,
};

/* Where the bytes go; -1 with err ends the box. */
struct box_sink {
	int (*write)(void *ctx, struct slice bytes, struct err *err);
	void *ctx;
};

/* Unwraps one content key with the private key of `spki`: the key agent does, or a key in this process. */
struct unwrapper {
	int (*unwrap)(void *ctx, const unsigned char spki[32], struct slice wrapped, unsigned char key[BOX_KEY_BYTES], struct err *err);
	void *ctx;
};

struct key;
/* One around a key in this process (key.h). Borrows it. */
struct unwrapper box_unwrapper(struct key *key);

struct box_writer;

/*
 * Writes the header. `cert` is DER; `name` at most BOX_NAME_BYTES, and needed again to read. ERR_CONFIG: the
 * certificate cannot be read, or is none of RSA 2048-4096.
 */
int box_writer_new(struct slice cert, const char *name, const struct box_sink *sink, struct box_writer **ret, struct err *err) MUST_USE;
int box_write(struct box_writer *writer, struct slice bytes, struct err *err) MUST_USE;
/* The last chunk; a box without it cannot be read. */
int box_finish(struct box_writer *writer, struct err *err) MUST_USE;
void box_writer_free(struct box_writer *writer);
AUTO_DEFINE(struct box_writer, box_writer_free);

struct box_reader;

/*
 * `sink` gets what was authenticated, chunk by chunk. ERR_CONFIG: damaged, changed, or of another name; ERR_TEMP or
 * whatever the unwrapper says: the key could not be had.
 */
struct box_reader *box_reader_new(const char *name, const struct unwrapper *unwrapper, const struct box_sink *sink) MUST_USE;
/* The box's bytes, in pieces of any size. */
int box_read(struct box_reader *reader, struct slice bytes, struct err *err) MUST_USE;
/* ERR_CONFIG unless the last chunk was read, and nothing behind it. Until then nothing that came out is whole. */
int box_read_end(struct box_reader *reader, struct err *err) MUST_USE;
void box_reader_free(struct box_reader *reader);
AUTO_DEFINE(struct box_reader, box_reader_free);

/* The key that a box was written to, from its first bytes; false where they are no box. */
bool box_spki(struct slice head, unsigned char ret[32]);

#endif
