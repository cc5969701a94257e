#include "smime/key_open.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "smime/limits.h"

enum {
	MAX_KEY_FILE = 64 * 1024, /* PKCS#12 brings its chain along */
	MAX_PASSPHRASE = 1024,
};

/* A block that is wiped when it goes. */
struct secret {
	unsigned char *at;
	size_t len;
	size_t room;
};

static void
secret_done(struct secret *secret)
{
	if (secret->at)
		wipe(secret->at, secret->room);
	free(secret->at);
}

#define AUTO_SECRET __attribute__((cleanup(secret_done)))

const char *
digest_name(enum digest alg)
{
	switch (alg) {
	case DIGEST_UNKNOWN:
		return "unknown";
	case DIGEST_SHA256:
		return "sha256";
	case DIGEST_SHA384:
		return "sha384";
	}
	return "unknown";
}

size_t
digest_len(enum digest alg)
{
	switch (alg) {
	case DIGEST_UNKNOWN:
		return 0;
	case DIGEST_SHA256:
		return 32;
	case DIGEST_SHA384:
		return 48;
	}
	return 0;
}

static const EVP_MD *
digest_md(enum digest alg)
{
	switch (alg) {
	case DIGEST_UNKNOWN:
		return NULL;
	case DIGEST_SHA256:
		return EVP_sha256();
	case DIGEST_SHA384:
		return EVP_sha384();
	}
	return NULL;
}

/*
 * root:root 0440 is what systemd makes of a credential for a service with a user of its own: there
 * the group's bit is the mask of an access list that names this user. Without one it opens to root.
 */
static bool
is_closed(const struct stat *info)
{
	return (info->st_mode & 077) == 0
	    || (info->st_uid == 0 && info->st_gid == 0 && (info->st_mode & 07777) == 0440);
}

static int
check_file(int fd, const char *file, size_t most, struct err *err)
{
	struct stat info;

	if (fstat(fd, &info) == -1)
		return err_set(err, ERR_TEMP, "cannot look at '%s': %s", file, strerror(errno));
	if (!S_ISREG(info.st_mode))
		return err_set(err, ERR_CONFIG, "'%s' is no regular file", file);
	if (info.st_uid != 0 && info.st_uid != geteuid())
		return err_set(err, ERR_CONFIG, "'%s' belongs to uid %u, and uid %u reads it; want root's or its reader's: chown it, or run this as uid %u", file,
		    (unsigned)info.st_uid, (unsigned)geteuid(), (unsigned)info.st_uid);
	if (!is_closed(&info))
		return err_set(err, ERR_CONFIG, "'%s' has mode %04o, open to others; run: chmod 600 '%s'", file,
		    (unsigned)info.st_mode & 07777, file);
	if (info.st_size == 0 || info.st_size > (off_t)most)
		return err_set(err, ERR_CONFIG, "'%s' has %lld bytes; want 1 to %zu", file, (long long)info.st_size, most);
	return 0;
}

static int
read_all(int fd, const char *file, struct secret *ret, struct err *err)
{
	while (ret->len < ret->room) {
		ssize_t got = read(fd, ret->at + ret->len, ret->room - ret->len);

		if (got == -1 && errno == EINTR)
			continue;
		if (got == -1)
			return err_set(err, ERR_TEMP, "cannot read '%s': %s", file, strerror(errno));
		if (got == 0)
			break;
		ret->len += (size_t)got;
	}
	return 0;
}

/* O_NONBLOCK: a FIFO in the file's place must not hang us before it is refused. */
static int
read_secret(const char *file, size_t most, struct secret *ret, struct err *err)
{
	AUTO_FD int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd == -1)
		return err_set(err, ERR_CONFIG, "cannot open '%s': %s", file, strerror(errno));
	if (check_file(fd, file, most, err) == -1)
		return -1;
	ret->room = most;
	ret->at = xcalloc(ret->room + 1, 1);
	return read_all(fd, file, ret, err);
}

/* The first line; the rest of the file must be empty, or somebody meant something else. */
static int
read_passphrase(const char *file, struct secret *ret, struct err *err)
{
	size_t len;

	if (read_secret(file, MAX_PASSPHRASE, ret, err) == -1)
		return -1;
	len = strcspn((const char *)ret->at, "\r\n");
	if (len == 0)
		return err_set(err, ERR_CONFIG, "the passphrase file '%s' has an empty first line", file);
	if (len + strspn((const char *)ret->at + len, "\r\n") != ret->len)
		return err_set(err, ERR_CONFIG, "the passphrase file '%s' has more than one line; want the passphrase alone", file);
	ret->at[len] = '\0';
	ret->len = len;
	return 0;
}

/* What key_load works with on its way. */
struct source {
	const char *file;
	const char *passphrase; /* NULL = none given */
	bool allow_plain;
};

static int
wrong_passphrase(const struct source *source, struct err *err)
{
	return ossl_err(err, ERR_CONFIG, "the passphrase does not open '%s'", source->file);
}

static int
damaged(const struct source *source, const char *what, struct err *err)
{
	return ossl_err(err, ERR_CONFIG, "'%s' is damaged: %s cannot be read", source->file, what);
}

static int
need_passphrase(const struct source *source, struct err *err)
{
	if (source->passphrase)
		return 0;
	return err_set(err, ERR_CONFIG, "'%s' is encrypted and no passphrase file was named", source->file);
}

static int
plain_allowed(const struct source *source, struct err *err)
{
	if (source->allow_plain)
		return 0;
	return err_set(err, ERR_CONFIG, "the private key in '%s' is not encrypted; encrypt it: openssl pkcs8 -topk8 -v2 aes-256-cbc",
	    source->file);
}

static EVP_PKEY *
from_pkcs8_encrypted(const struct source *source, struct slice data, struct err *err)
{
	const unsigned char *at = data.at;
	AUTO(X509_SIG_free) X509_SIG *sealed = d2i_X509_SIG(NULL, &at, (long)data.len);
	AUTO(PKCS8_PRIV_KEY_INFO_free) PKCS8_PRIV_KEY_INFO *info = NULL;
	EVP_PKEY *pkey = NULL;

	if (need_passphrase(source, err) == -1)
		return NULL;
	if (!sealed) {
		damaged(source, "the encrypted PKCS#8 key", err);
		return NULL;
	}
	info = PKCS8_decrypt(sealed, source->passphrase, (int)strlen(source->passphrase));
	if (!info) {
		wrong_passphrase(source, err);
		return NULL;
	}
	pkey = EVP_PKCS82PKEY(info);
	if (!pkey)
		damaged(source, "the decrypted PKCS#8 key", err);
	return pkey;
}

static EVP_PKEY *
from_pkcs8(const struct source *source, struct slice data, struct err *err)
{
	const unsigned char *at = data.at;
	AUTO(PKCS8_PRIV_KEY_INFO_free) PKCS8_PRIV_KEY_INFO *info = NULL;
	EVP_PKEY *pkey = NULL;

	if (plain_allowed(source, err) == -1)
		return NULL;
	info = d2i_PKCS8_PRIV_KEY_INFO(NULL, &at, (long)data.len);
	pkey = info ? EVP_PKCS82PKEY(info) : NULL;
	if (!pkey)
		damaged(source, "the PKCS#8 key", err);
	return pkey;
}

/* OpenSSL hands over the passphrase through this. */
static int
give_passphrase(char *room, int size, int writing, void *passphrase)
{
	size_t len = strlen(passphrase);

	if (writing || len > (size_t)size)
		return -1;
	memcpy(room, passphrase, len);
	return (int)len;
}

/* The form before PKCS#8: the cipher stands in the PEM header (RFC 1421 4.6). */
static EVP_PKEY *
from_traditional(const struct source *source, int type, char *header, unsigned char *data, long len, struct err *err)
{
	EVP_CIPHER_INFO cipher;
	const unsigned char *at = data;
	EVP_PKEY *pkey;

	if (PEM_get_EVP_CIPHER_INFO(header, &cipher) != 1) {
		damaged(source, "the PEM header", err);
		return NULL;
	}
	if ((cipher.cipher ? need_passphrase(source, err) : plain_allowed(source, err)) == -1)
		return NULL;
	if (cipher.cipher && PEM_do_header(&cipher, data, &len, give_passphrase, (void *)(uintptr_t)source->passphrase) != 1) {
		wrong_passphrase(source, err);
		return NULL;
	}
	pkey = d2i_PrivateKey(type, NULL, &at, len);
	/* A wrong passphrase leaves a good last block once in 256 times. */
	if (!pkey && cipher.cipher)
		wrong_passphrase(source, err);
	else if (!pkey)
		damaged(source, "the private key", err);
	return pkey;
}

static EVP_PKEY *
from_pem_block(const struct source *source, const char *name, char *header, unsigned char *data, long len, struct err *err)
{
	struct slice der = { data, (size_t)len };

	if (strcmp(name, PEM_STRING_PKCS8) == 0)
		return from_pkcs8_encrypted(source, der, err);
	if (strcmp(name, PEM_STRING_PKCS8INF) == 0)
		return from_pkcs8(source, der, err);
	if (strcmp(name, PEM_STRING_RSA) == 0)
		return from_traditional(source, EVP_PKEY_RSA, header, data, len, err);
	if (strcmp(name, PEM_STRING_ECPRIVATEKEY) == 0)
		return from_traditional(source, EVP_PKEY_EC, header, data, len, err);
	err_set(err, ERR_CONFIG, "'%s' holds a '%.40s'; want an RSA or EC private key", source->file, name);
	return NULL;
}

/* Certificates and curve names may stand beside the key. */
static bool
is_key_block(const char *name)
{
	return strstr(name, "PRIVATE KEY") != NULL;
}

static EVP_PKEY *
from_pem(const struct source *source, struct slice file, struct err *err)
{
	AUTO(BIO_free_all) BIO *bio = BIO_new_mem_buf(file.at, (int)file.len);
	EVP_PKEY *pkey = NULL;
	char *name = NULL;
	char *header = NULL;
	unsigned char *data = NULL;
	long len = 0;
	bool found = false;

	while (!found && bio && PEM_read_bio(bio, &name, &header, &data, &len) == 1) {
		found = is_key_block(name);
		if (found)
			pkey = from_pem_block(source, name, header, data, len, err);
		OPENSSL_free(name);
		OPENSSL_free(header);
		OPENSSL_clear_free(data, (size_t)len);
	}
	if (!found && ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE)
		ossl_err(err, ERR_CONFIG, "no private key in '%s'; want PEM (PKCS#8) or PKCS#12", source->file);
	else if (!found)
		damaged(source, "the PEM text", err);
	return pkey;
}

static EVP_PKEY *
from_pkcs12(const struct source *source, struct slice file, struct err *err)
{
	const unsigned char *at = file.at;
	AUTO(PKCS12_free) PKCS12 *p12 = d2i_PKCS12(NULL, &at, (long)file.len);
	EVP_PKEY *pkey = NULL;

	if (!p12) {
		damaged(source, "the PKCS#12 structure (DER)", err);
		return NULL;
	}
	if (need_passphrase(source, err) == -1)
		return NULL;
	if (!PKCS12_mac_present(p12)) {
		err_set(err, ERR_CONFIG, "'%s' has no integrity check (MAC); write it again with openssl pkcs12 -export", source->file);
		return NULL;
	}
	if (PKCS12_verify_mac(p12, source->passphrase, -1) != 1) {
		wrong_passphrase(source, err);
		return NULL;
	}
	/* The passphrase is right: what fails now is the cipher (RC2-40 needs openssl pkcs12 -legacy) or the content. */
	if (PKCS12_parse(p12, source->passphrase, &pkey, NULL, NULL) != 1)
		ossl_err(err, ERR_CONFIG, "'%s' cannot be decrypted although its passphrase is right; convert it with openssl pkcs12 -legacy",
		    source->file);
	else if (!pkey)
		err_set(err, ERR_CONFIG, "no private key in '%s'", source->file);
	return pkey;
}

static enum key_kind
kind_of(const EVP_PKEY *pkey)
{
	char curve[64] = "";

	if (EVP_PKEY_is_a(pkey, "RSA"))
		return KEY_RSA;
	if (!EVP_PKEY_is_a(pkey, "EC") || EVP_PKEY_get_group_name(pkey, curve, sizeof(curve), NULL) != 1)
		return KEY_OTHER;
	if (strcmp(curve, "prime256v1") == 0)
		return KEY_P256;
	if (strcmp(curve, "secp384r1") == 0)
		return KEY_P384;
	return strcmp(curve, "secp521r1") == 0 ? KEY_P521 : KEY_OTHER;
}

static int
check_kind(const struct key *key, const char *file, struct err *err)
{
	const char *name = EVP_PKEY_get0_type_name(key->pkey); /* OpenSSL's, where we have none: ED25519, X25519, DSA */
	bool fits = false;

	switch (key->kind) {
	case KEY_RSA:
		fits = key->bits >= MIN_RSA_BITS && key->bits <= MAX_RSA_BITS;
		break;
	case KEY_P256:
	case KEY_P384:
		fits = true;
		break;
	case KEY_UNKNOWN:
	case KEY_P521:
	case KEY_OTHER:
		break;
	}
	if (fits)
		return 0;
	return err_set(err, ERR_CONFIG, "'%s' holds a key of kind %s with %d bits; want RSA 2048-4096, P-256 or P-384", file,
	    key->kind == KEY_OTHER && name ? name : key_kind_name(key->kind), key->bits);
}

static int
check_pair(const struct key *key, const char *file, struct err *err)
{
	AUTO(EVP_PKEY_CTX_free) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key->pkey, NULL);

	if (!ctx || EVP_PKEY_pairwise_check(ctx) != 1)
		return ossl_err(err, ERR_CONFIG, "'%s' is damaged: its private and public halves do not belong together", file);
	return 0;
}

static int
hash_spki(const EVP_PKEY *pkey, unsigned char ret[32], struct err *err)
{
	unsigned char *der = NULL;
	int len = i2d_PUBKEY(pkey, &der);
	int result;

	if (len <= 0)
		return ossl_err(err, ERR_CONFIG, "a key without a public half");
	result = ossl_sha256((struct slice){ der, (size_t)len }, ret, err);
	OPENSSL_free(der);
	return result;
}

int
key_load(const char *file, const char *passphrase_file, bool allow_plain, struct key **ret, struct err *err)
{
	AUTO_SECRET struct secret bytes = { 0 };
	AUTO_SECRET struct secret passphrase = { 0 };
	AUTO(key_free) struct key *key = NULL;
	struct source source = { .file = file, .allow_plain = allow_plain };
	struct slice content;

	ERR_clear_error();
	if (read_secret(file, MAX_KEY_FILE, &bytes, err) == -1)
		return -1;
	if (passphrase_file && read_passphrase(passphrase_file, &passphrase, err) == -1)
		return -1;
	source.passphrase = (const char *)passphrase.at;
	content = (struct slice){ bytes.at, bytes.len };
	key = xcalloc(1, sizeof(*key));
	key->pkey = content.len && content.at[0] == 0x30 ? from_pkcs12(&source, content, err) : from_pem(&source, content, err);
	if (!key->pkey)
		return -1;
	key->kind = kind_of(key->pkey);
	key->bits = EVP_PKEY_get_bits(key->pkey);
	if (check_kind(key, file, err) == -1 || check_pair(key, file, err) == -1 || hash_spki(key->pkey, key->spki, err) == -1)
		return -1;
	if (key->kind == KEY_RSA && key_prepare_rejection(key, err) == -1)
		return err_wrap(err, "'%s'", file);
	*ret = TAKE(key);
	return 0;
}

void
key_free(struct key *key)
{
	if (!key)
		return;
	EVP_PKEY_free(key->pkey);
	wipe(&key->rejection, sizeof(key->rejection));
	free(key);
}

const unsigned char *
key_spki(const struct key *key)
{
	return key->spki;
}

enum key_kind
key_kind_of(const struct key *key)
{
	return key->kind;
}

static bool
prepare(EVP_PKEY_CTX *ctx, const struct key *key, enum digest alg)
{
	if (!ctx || EVP_PKEY_sign_init(ctx) != 1)
		return false;
	if (key->kind == KEY_RSA && EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) != 1)
		return false;
	return EVP_PKEY_CTX_set_signature_md(ctx, digest_md(alg)) == 1;
}

int
key_sign(const struct key *key, enum digest alg, struct slice digest, unsigned char *sig, size_t *sig_len, struct err *err)
{
	AUTO(EVP_PKEY_CTX_free) EVP_PKEY_CTX *ctx = NULL;

	if (digest_len(alg) == 0 || digest.len != digest_len(alg))
		return err_set(err, ERR_BUG, "asked to sign %zu bytes as %s; want %zu", digest.len, digest_name(alg), digest_len(alg));
	ctx = EVP_PKEY_CTX_new(key->pkey, NULL);
	if (!prepare(ctx, key, alg) || EVP_PKEY_sign(ctx, sig, sig_len, digest.at, digest.len) != 1)
		return ossl_err(err, ERR_TEMP, "the key did not sign (%s)", digest_name(alg));
	return 0;
}

static int
sign_with(void *ctx, const unsigned char spki[32], enum digest alg, struct slice digest, unsigned char *sig, size_t *sig_len,
    struct err *err)
{
	const struct key *key = ctx;

	if (memcmp(spki, key->spki, sizeof(key->spki)) != 0)
		return err_set(err, ERR_CONFIG, "the private key does not belong to the certificate; name the key and certificate of one pair");
	return key_sign(key, alg, digest, sig, sig_len, err);
}

struct signer
key_signer(struct key *key)
{
	return (struct signer){ .sign = sign_with, .ctx = key };
}

static bool
prepare_unwrap(EVP_PKEY_CTX *ctx)
{
	return ctx && EVP_PKEY_decrypt_init(ctx) == 1 && EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) == 1
	    && EVP_PKEY_CTX_set_rsa_oaep_md(ctx, EVP_sha256()) == 1 && EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, EVP_sha256()) == 1;
}

/* What differs between one bad block and another must not be told apart from outside (RFC 8017 7.1.2, note). */
int
key_unwrap(const struct key *key, struct slice wrapped, unsigned char content[KEY_CONTENT_BYTES], struct err *err)
{
	AUTO(EVP_PKEY_CTX_free) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key->pkey, NULL);
	unsigned char room[MAX_RSA_BYTES] = { 0 };
	size_t len = sizeof(room);
	bool good;

	if (key->kind != KEY_RSA)
		return err_set(err, ERR_CONFIG, "a key of kind %s cannot unwrap; want RSA", key_kind_name(key->kind));
	if (!prepare_unwrap(ctx))
		return ossl_err(err, ERR_TEMP, "the key is not ready to unwrap");
	good = EVP_PKEY_decrypt(ctx, room, &len, wrapped.at, wrapped.len) == 1 && len == KEY_CONTENT_BYTES;
	if (good)
		memcpy(content, room, KEY_CONTENT_BYTES);
	wipe(room, sizeof(room));
	ERR_clear_error();
	if (!good)
		return err_set(err, ERR_CONFIG, "the content key cannot be unwrapped: it was written to another certificate, or is damaged");
	return 0;
}
