#include "smime/box.h"

#include <string.h>

#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>

#include "smime/hash.h"
#include "smime/key.h"
#include "smime/ossl.h"

static const char magic[] = "SEGELBOX1\n";

enum {
	MAGIC_BYTES = 10,
	SPKI_BYTES = 32,
	FIXED_BYTES = MAGIC_BYTES + SPKI_BYTES + 2, /* of a header, before the wrapped key */
	LENGTH_BYTES = 4,
	TAG_BYTES = 16,
	NONCE_BYTES = 12,
	MIN_WRAPPED_BYTES = 256, /* RSA-2048 */
};
static const uint32_t LAST = 0x80000000u; /* in a chunk's length */

_Static_assert((int)KEY_CONTENT_BYTES == (int)BOX_KEY_BYTES, "what a key unwraps is a box's key");
_Static_assert((int)FIXED_BYTES + (int)BOX_WRAPPED_BYTES == (int)BOX_HEADER_BYTES, "a header's longest form");

/* What the two directions share: the cipher with its key, and what each chunk is bound to. */
struct stream {
	EVP_CIPHER_CTX *cipher;
	unsigned char bound[HASH_BYTES];
	uint32_t n_chunks;
};

static void
nonce_of(uint32_t number, bool last, unsigned char ret[NONCE_BYTES])
{
	memset(ret, 0, NONCE_BYTES);
	ret[7] = (unsigned char)(number >> 24);
	ret[8] = (unsigned char)(number >> 16);
	ret[9] = (unsigned char)(number >> 8);
	ret[10] = (unsigned char)number;
	ret[11] = last ? 1 : 0;
}

static void
bind(struct slice header, const char *name, unsigned char ret[HASH_BYTES])
{
	struct hash *hash = hash_new();

	hash_add(hash, header);
	hash_add(hash, slice_of(name));
	hash_end(&hash, ret);
}

static int
stream_key(struct stream *stream, bool encrypts, const unsigned char key[BOX_KEY_BYTES], struct err *err)
{
	stream->cipher = EVP_CIPHER_CTX_new();
	if (!stream->cipher || EVP_CipherInit_ex(stream->cipher, EVP_aes_256_gcm(), NULL, key, NULL, encrypts) != 1)
		return ossl_err(err, ERR_TEMP, "AES-256-GCM is not available");
	return 0;
}

/* The chunk's own nonce, and what it is bound to; -1: no more of them, or OpenSSL failed. */
static int
stream_chunk(struct stream *stream, bool last)
{
	unsigned char nonce[NONCE_BYTES];
	int len;

	if (stream->n_chunks == UINT32_MAX)
		return -1;
	nonce_of(stream->n_chunks++, last, nonce);
	if (EVP_CipherInit_ex(stream->cipher, NULL, NULL, NULL, nonce, -1) != 1
	    || EVP_CipherUpdate(stream->cipher, NULL, &len, stream->bound, sizeof(stream->bound)) != 1)
		return -1;
	return 0;
}

struct box_writer {
	struct box_sink sink;
	struct stream stream;
	size_t len;      /* bytes waiting for their chunk */
	bool broken;     /* a failure, or the end: nothing more is written */
	unsigned char chunk[LENGTH_BYTES + BOX_CHUNK_BYTES + TAG_BYTES];
};

void
box_writer_free(struct box_writer *writer)
{
	if (!writer)
		return;
	EVP_CIPHER_CTX_free(writer->stream.cipher);
	wipe(writer, sizeof(*writer));
	xfree(writer);
}

static int
wrap(EVP_PKEY *pkey, const unsigned char key[BOX_KEY_BYTES], unsigned char *ret, size_t *len, struct err *err)
{
	AUTO(EVP_PKEY_CTX_free) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(pkey, NULL);

	if (!ctx || EVP_PKEY_encrypt_init(ctx) != 1 || EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) != 1
	    || EVP_PKEY_CTX_set_rsa_oaep_md(ctx, EVP_sha256()) != 1 || EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, EVP_sha256()) != 1
	    || EVP_PKEY_encrypt(ctx, ret, len, key, BOX_KEY_BYTES) != 1)
		return ossl_err(err, ERR_TEMP, "the content key cannot be wrapped");
	return 0;
}

/* The key that the certificate is for, and its hash. */
static int
read_cert(struct slice der, EVP_PKEY **ret, unsigned char spki[SPKI_BYTES], struct err *err)
{
	AUTO(X509_free) X509 *cert = ossl_cert(der, err);
	AUTO(EVP_PKEY_free) EVP_PKEY *pkey = cert ? X509_get_pubkey(cert) : NULL;
	struct cert_facts facts;

	if (!cert || ossl_cert_facts(cert, der, &facts, err) == -1)
		return -1;
	if (!pkey || facts.key != KEY_RSA || facts.key_bits < 2048 || facts.key_bits > 8 * BOX_WRAPPED_BYTES)
		return ossl_err(err, ERR_CONFIG, "a certificate of kind %s with %d bits; want RSA with 2048 to 4096", key_kind_name(facts.key),
		    (int)facts.key_bits);
	memcpy(spki, facts.spki, SPKI_BYTES);
	*ret = TAKE(pkey);
	return 0;
}

/* Magic, whose key, and the content key that only it can open. */
static int
make_header(struct slice cert, const unsigned char key[BOX_KEY_BYTES], unsigned char ret[BOX_HEADER_BYTES], size_t *len, struct err *err)
{
	AUTO(EVP_PKEY_free) EVP_PKEY *pkey = NULL;
	size_t wrapped = BOX_WRAPPED_BYTES;

	memcpy(ret, magic, MAGIC_BYTES);
	if (read_cert(cert, &pkey, ret + MAGIC_BYTES, err) == -1 || wrap(pkey, key, ret + FIXED_BYTES, &wrapped, err) == -1)
		return -1;
	ret[FIXED_BYTES - 2] = (unsigned char)(wrapped >> 8);
	ret[FIXED_BYTES - 1] = (unsigned char)wrapped;
	*len = FIXED_BYTES + wrapped;
	return 0;
}

static int
begin(struct box_writer *writer, struct slice cert, const char *name, const unsigned char key[BOX_KEY_BYTES], struct err *err)
{
	unsigned char header[BOX_HEADER_BYTES];
	size_t len;

	if (make_header(cert, key, header, &len, err) == -1 || stream_key(&writer->stream, true, key, err) == -1)
		return -1;
	bind((struct slice){ header, len }, name, writer->stream.bound);
	return writer->sink.write(writer->sink.ctx, (struct slice){ header, len }, err);
}

int
box_writer_new(struct slice cert, const char *name, const struct box_sink *sink, struct box_writer **ret, struct err *err)
{
	AUTO(box_writer_free) struct box_writer *writer = NULL;
	unsigned char key[BOX_KEY_BYTES];
	int result;

	ERR_clear_error();
	if (strlen(name) > BOX_NAME_BYTES)
		return err_set(err, ERR_BUG, "a box's name of %zu bytes; want at most %d", strlen(name), BOX_NAME_BYTES);
	if (RAND_priv_bytes(key, sizeof(key)) != 1)
		return ossl_err(err, ERR_TEMP, "no random numbers for a content key");
	writer = xcalloc(1, sizeof(*writer));
	writer->sink = *sink;
	result = begin(writer, cert, name, key, err);
	wipe(key, sizeof(key));
	if (result == -1)
		return -1;
	*ret = TAKE(writer);
	return 0;
}

/* Encrypts in place what waits, and hands it on. */
static int
flush(struct box_writer *writer, bool last, struct err *err)
{
	const uint32_t length = (uint32_t)writer->len | (last ? LAST : 0);
	unsigned char *const text = writer->chunk + LENGTH_BYTES;
	unsigned char *const tag = text + writer->len;
	int len;

	for (size_t i = 0; i < LENGTH_BYTES; i++)
		writer->chunk[i] = (unsigned char)(length >> (8 * (LENGTH_BYTES - 1 - i)));
	if (stream_chunk(&writer->stream, last) == -1
	    || EVP_EncryptUpdate(writer->stream.cipher, text, &len, text, (int)writer->len) != 1
	    || EVP_EncryptFinal_ex(writer->stream.cipher, tag, &len) != 1
	    || EVP_CIPHER_CTX_ctrl(writer->stream.cipher, EVP_CTRL_AEAD_GET_TAG, TAG_BYTES, tag) != 1)
		return ossl_err(err, ERR_TEMP, "chunk %u of a box cannot be encrypted", (unsigned)writer->stream.n_chunks);
	len = (int)(LENGTH_BYTES + writer->len + TAG_BYTES);
	writer->len = 0;
	return writer->sink.write(writer->sink.ctx, (struct slice){ writer->chunk, (size_t)len }, err);
}

/* A full chunk waits until more comes: it may be the last one. */
static int
add(struct box_writer *writer, struct slice bytes, struct err *err)
{
	while (bytes.len) {
		size_t room = BOX_CHUNK_BYTES - writer->len;
		size_t some = bytes.len < room ? bytes.len : room;

		if (room == 0) {
			if (flush(writer, false, err) == -1)
				return -1;
			continue;
		}
		memcpy(writer->chunk + LENGTH_BYTES + writer->len, bytes.at, some);
		writer->len += some;
		bytes = (struct slice){ bytes.at + some, bytes.len - some };
	}
	return 0;
}

int
box_write(struct box_writer *writer, struct slice bytes, struct err *err)
{
	if (writer->broken)
		return err_set(err, ERR_BUG, "a box that has ended, or failed, is written on");
	writer->broken = add(writer, bytes, err) == -1;
	return writer->broken ? -1 : 0;
}

int
box_finish(struct box_writer *writer, struct err *err)
{
	if (writer->broken)
		return err_set(err, ERR_BUG, "a box that has ended, or failed, is written on");
	writer->broken = true;
	return flush(writer, true, err);
}

enum stage { STAGE_FIXED, STAGE_KEY, STAGE_LENGTH, STAGE_CHUNK, STAGE_DONE, STAGE_BROKEN };

struct box_reader {
	char name[BOX_NAME_BYTES + 1];
	struct unwrapper unwrapper;
	struct box_sink sink;
	struct stream stream;
	enum stage stage;
	size_t have, want; /* of this stage's bytes, in `room` */
	size_t header_len;
	bool last;         /* the chunk that is being read */
	unsigned char header[BOX_HEADER_BYTES];
	unsigned char room[BOX_CHUNK_BYTES + TAG_BYTES];
};

struct box_reader *
box_reader_new(const char *name, const struct unwrapper *unwrapper, const struct box_sink *sink)
{
	struct box_reader *reader = xcalloc(1, sizeof(*reader));

	/* No box has a longer name than its writer allows. */
	reader->stage = strlen(name) > BOX_NAME_BYTES ? STAGE_BROKEN : STAGE_FIXED;
	memcpy(reader->name, name, strnlen(name, BOX_NAME_BYTES));
	reader->unwrapper = *unwrapper;
	reader->sink = *sink;
	reader->want = FIXED_BYTES;
	return reader;
}

void
box_reader_free(struct box_reader *reader)
{
	if (!reader)
		return;
	EVP_CIPHER_CTX_free(reader->stream.cipher);
	wipe(reader, sizeof(*reader));
	xfree(reader);
}

static int
next(struct box_reader *reader, enum stage stage, size_t want)
{
	reader->stage = stage;
	reader->have = 0;
	reader->want = want;
	return 0;
}

static int
damaged(const struct box_reader *reader, struct err *err, const char *what)
{
	return err_set(err, ERR_CONFIG, "the box '%s' is damaged, was changed, or belongs elsewhere: %s", reader->name, what);
}

static void
keep_header(struct box_reader *reader)
{
	memcpy(reader->header + reader->header_len, reader->room, reader->want);
	reader->header_len += reader->want;
}

static int
on_fixed(struct box_reader *reader, struct err *err)
{
	const size_t wrapped = (size_t)reader->room[FIXED_BYTES - 2] << 8 | reader->room[FIXED_BYTES - 1];

	if (memcmp(reader->room, magic, MAGIC_BYTES) != 0)
		return damaged(reader, err, "it does not begin as one");
	if (wrapped < MIN_WRAPPED_BYTES || wrapped > BOX_WRAPPED_BYTES)
		return damaged(reader, err, "its content key has a length that none has");
	keep_header(reader);
	return next(reader, STAGE_KEY, wrapped);
}

static int
on_key(struct box_reader *reader, struct err *err)
{
	unsigned char key[BOX_KEY_BYTES];
	int result;

	keep_header(reader);
	if (reader->unwrapper.unwrap(reader->unwrapper.ctx, reader->header + MAGIC_BYTES, (struct slice){ reader->room, reader->want }, key,
	    err) == -1)
		return err_wrap(err, "the box '%s'", reader->name);
	bind((struct slice){ reader->header, reader->header_len }, reader->name, reader->stream.bound);
	result = stream_key(&reader->stream, false, key, err);
	wipe(key, sizeof(key));
	return result == -1 ? -1 : next(reader, STAGE_LENGTH, LENGTH_BYTES);
}

static int
on_length(struct box_reader *reader, struct err *err)
{
	uint32_t length = 0;

	for (size_t i = 0; i < LENGTH_BYTES; i++)
		length = length << 8 | reader->room[i];
	reader->last = length & LAST;
	length &= ~LAST;
	if (length > BOX_CHUNK_BYTES || (length == 0 && !reader->last))
		return damaged(reader, err, "a chunk has a length that none has");
	return next(reader, STAGE_CHUNK, length + TAG_BYTES);
}

/* Nothing of a chunk goes on before all of it was authenticated. */
static int
on_chunk(struct box_reader *reader, struct err *err)
{
	const size_t n = reader->want - TAG_BYTES;
	int len;

	if (stream_chunk(&reader->stream, reader->last) == -1
	    || EVP_CIPHER_CTX_ctrl(reader->stream.cipher, EVP_CTRL_AEAD_SET_TAG, TAG_BYTES, reader->room + n) != 1)
		return ossl_err(err, ERR_TEMP, "chunk %u of the box '%s' cannot be decrypted", (unsigned)reader->stream.n_chunks, reader->name);
	if (EVP_DecryptUpdate(reader->stream.cipher, reader->room, &len, reader->room, (int)n) != 1
	    || EVP_DecryptFinal_ex(reader->stream.cipher, reader->room + n, &len) != 1) {
		ERR_clear_error();
		return damaged(reader, err, "a chunk does not hold");
	}
	if (n && reader->sink.write(reader->sink.ctx, (struct slice){ reader->room, n }, err) == -1)
		return -1;
	return reader->last ? next(reader, STAGE_DONE, 0) : next(reader, STAGE_LENGTH, LENGTH_BYTES);
}

static int
on_stage(struct box_reader *reader, struct err *err)
{
	switch (reader->stage) {
	case STAGE_FIXED:
		return on_fixed(reader, err);
	case STAGE_KEY:
		return on_key(reader, err);
	case STAGE_LENGTH:
		return on_length(reader, err);
	case STAGE_CHUNK:
		return on_chunk(reader, err);
	case STAGE_DONE:
		return damaged(reader, err, "something follows its last chunk");
	case STAGE_BROKEN:
		break;
	}
	return damaged(reader, err, "its name is none, or it failed before");
}

static struct slice
take(struct box_reader *reader, struct slice bytes)
{
	size_t left = reader->want - reader->have;
	size_t some = bytes.len < left ? bytes.len : left;

	memcpy(reader->room + reader->have, bytes.at, some);
	reader->have += some;
	return (struct slice){ bytes.at + some, bytes.len - some };
}

int
box_read(struct box_reader *reader, struct slice bytes, struct err *err)
{
	while (bytes.len) {
		if (reader->stage != STAGE_DONE && reader->stage != STAGE_BROKEN) {
			bytes = take(reader, bytes);
			if (reader->have < reader->want)
				break;
		}
		if (on_stage(reader, err) == -1) {
			reader->stage = STAGE_BROKEN;
			return -1;
		}
	}
	return 0;
}

int
box_read_end(struct box_reader *reader, struct err *err)
{
	if (reader->stage == STAGE_DONE)
		return 0;
	if (reader->stage == STAGE_BROKEN)
		return damaged(reader, err, "its name is none, or it failed before");
	return damaged(reader, err, "its end is missing");
}

bool
box_spki(struct slice head, unsigned char ret[32])
{
	if (head.len < MAGIC_BYTES + SPKI_BYTES || memcmp(head.at, magic, MAGIC_BYTES) != 0)
		return false;
	memcpy(ret, head.at + MAGIC_BYTES, SPKI_BYTES);
	return true;
}

static int
unwrap_here(void *ctx, const unsigned char spki[32], struct slice wrapped, unsigned char key[BOX_KEY_BYTES], struct err *err)
{
	const struct key *held = ctx;

	if (memcmp(spki, key_spki(held), SPKI_BYTES) != 0)
		return err_set(err, ERR_CONFIG, "it was written to another certificate than this key's");
	return key_unwrap(held, wrapped, key, err);
}

struct unwrapper
box_unwrapper(struct key *key)
{
	return (struct unwrapper){ .unwrap = unwrap_here, .ctx = key };
}
