/*
 * Content keys of mail: openssl, openssl cms and python3-cryptography (key_mail.py) wrap, we open. Whatever is wrong with a block of
 * v1.5, a content key comes back; whatever is wrong with OAEP or an agreement, the same refusal.
 */
#include "tests/smime/world.h"

#include "smime/key.h"

enum { RANDOM_BLOCKS = 10000, MAX_LINE = 8192 };

static struct world world;
static char helper[600];

static unsigned char untouched[KEY_CONTENT_BYTES];

/* --- v1.5 --- */

static struct key_transport
v15(struct slice block, size_t len)
{
	return (struct key_transport){ .padding = KEY_PADDING_V15, .content_len = len, .block = block };
}

/* v1.5 never refuses. */
static void
open_v15(const struct key *key, struct slice block, size_t len, unsigned char content[KEY_CONTENT_BYTES])
{
	const struct key_transport how = v15(block, len);
	enum key_opening opening = KEY_OPENING_UNKNOWN;
	struct err err = { 0 };

	memset(content, 0x5a, KEY_CONTENT_BYTES);
	if (key_unwrap_mail(key, &how, content, &opening, &err) == -1 || opening != KEY_OPENED)
		fail_msg("%zu bytes: opening %d '%s'", block.len, (int)opening, err.text);
	assert_memory_equal(content + len, untouched, KEY_CONTENT_BYTES - len);
}

static struct key *
made_key(const char *name, const char *kind)
{
	struct key *key = NULL;
	struct err err = { 0 };
	char file[64];

	mkpki(&world, "--out %s --cn x --from -1d --to +1d --key %s", name, kind);
	assert_int_equal(run("openssl x509 -in %s.crt -noout -pubkey >%s.pub", name, name), 0);
	snprintf(file, sizeof(file), "%s.key", name);
	if (key_load(file, NULL, true, &key, &err) == -1)
		fail_msg("%s: %s", file, err.text);
	return key;
}

/* What is encrypted, as a whole block or through a padding of openssl's. `len` is asked for; `good`: the last `len` bytes of it come out. */
static const struct {
	const char *name, *make; /* shell: writes `plain` and `block` */
	size_t len;
	bool good;
} blocks[] = {
#define PADDED(n) "head -c " #n " /dev/urandom >plain && openssl pkeyutl -encrypt -pubin -inkey u.pub -in plain -out block -pkeyopt rsa_padding_mode:pkcs1"
	/* A whole encoded message of 256 bytes: beginning, padding of so many bytes, the rest. */
#define BARE(head, pad, tail) "(printf '" head "'; head -c 600 /dev/zero | tr '\\0' 'p' | head -c " #pad "; printf '" tail "') >em && " \
	"test $(stat -c %s em) = 256 && tail -c 16 em >plain && openssl pkeyutl -encrypt -pubin -inkey u.pub -in em -out block -pkeyopt rsa_padding_mode:none"
	{ "16 bytes", PADDED(16), 16, true },
	{ "24 bytes", PADDED(24), 24, true },
	{ "32 bytes", PADDED(32), 32, true },
	{ "16 bytes, 32 asked for", PADDED(16), 32, false },
	{ "32 bytes, 16 asked for", PADDED(32), 16, false },
	{ "24 bytes, 16 asked for", PADDED(24), 16, false },
	{ "17 bytes, 16 asked for", PADDED(17), 16, false },
	{ "15 bytes, 16 asked for", PADDED(15), 16, false },
	{ "nothing", PADDED(0), 16, false },
	{ "a whole message", BARE("\\0\\002", 237, "\\0" "abcdefghijklmnop"), 16, true },
	{ "first byte 1", BARE("\\001\\002", 237, "\\0" "abcdefghijklmnop"), 16, false },
	{ "type 1", BARE("\\0\\001", 237, "\\0" "abcdefghijklmnop"), 16, false },
	{ "type 0", BARE("\\0\\0", 237, "\\0" "abcdefghijklmnop"), 16, false },
	{ "type 3", BARE("\\0\\003", 237, "\\0" "abcdefghijklmnop"), 16, false },
	{ "type 130", BARE("\\0\\202", 237, "\\0" "abcdefghijklmnop"), 16, false },
	{ "no zero before the content", BARE("\\0\\002", 237, "1" "abcdefghijklmnop"), 16, false },
	{ "a zero first in the padding", BARE("\\0\\002\\0", 236, "\\0" "abcdefghijklmnop"), 16, false },
	{ "a zero last in the padding", BARE("\\0\\002", 236, "\\0\\0" "abcdefghijklmnop"), 16, false },
	{ "a zero in the first eight of the padding", BARE("\\0\\002pppp\\0", 232, "\\0" "abcdefghijklmnop"), 16, false },
	{ "a block cut by one", PADDED(16) " && truncate -s -1 block", 16, false },
	{ "one byte more", PADDED(16) " && printf x >>block", 16, false },
	{ "a zero in front", PADDED(16) " && (printf '\\0'; cat block) >longer && mv longer block", 16, false },
	{ "a flipped bit", PADDED(16) " && printf '\\001' | dd of=block bs=1 seek=100 conv=notrunc status=none", 16, false },
	{ "for another key", "head -c 16 /dev/urandom >plain && openssl pkeyutl -encrypt -pubin -inkey v.pub -in plain -out block -pkeyopt rsa_padding_mode:pkcs1", 16, false },
	{ "OAEP", "head -c 16 /dev/urandom >plain && openssl pkeyutl -encrypt -pubin -inkey u.pub -in plain -out block -pkeyopt rsa_padding_mode:oaep", 16, false },
	{ "all ones, more than the modulus", ": >plain; head -c 256 /dev/zero | tr '\\0' '\\377' >block", 16, false },
	{ "all zero", ": >plain; head -c 256 /dev/zero >block", 16, false },
	{ "one", ": >plain; (head -c 255 /dev/zero; printf '\\001') >block", 16, false },
	{ "empty", ": >plain; : >block", 16, false },
	{ "of one byte", ": >plain; printf x >block", 16, false },
};

static bool
is_tail(struct slice plain, const unsigned char *content, size_t len)
{
	return plain.len >= len && memcmp(plain.at + plain.len - len, content, len) == 0;
}

static void
check_block(const struct key *key, const struct key *other, size_t i)
{
	unsigned char first[KEY_CONTENT_BYTES], again[KEY_CONTENT_BYTES], theirs[KEY_CONTENT_BYTES];
	struct slice plain, block;

	if (run("%s", blocks[i].make) != 0)
		fail_msg("%s: cannot be made", blocks[i].name);
	plain = read_file("plain");
	block = read_file("block");
	open_v15(key, block, blocks[i].len, first);
	open_v15(key, block, blocks[i].len, again);
	open_v15(other, block, blocks[i].len, theirs);
	if (is_tail(plain, first, blocks[i].len) != blocks[i].good)
		fail_msg("%s: came out %s", blocks[i].name, blocks[i].good ? "wrong" : "right");
	if (memcmp(first, again, sizeof(first)) != 0)
		fail_msg("%s: two answers to one block", blocks[i].name);
	if (memcmp(first, theirs, sizeof(first)) == 0)
		fail_msg("%s: two keys with one answer", blocks[i].name);
	heap_free(plain);
	heap_free(block);
}

static void
test_v15(void **state)
{
	AUTO(key_free) struct key *key = made_key("u", "rsa2048");
	AUTO(key_free) struct key *other = made_key("v", "rsa2048");

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(blocks); i++)
		check_block(key, other, i);
}

/* A longer answer does not begin with a shorter one: that would tell a bad block from a good one. */
static void
test_v15_lengths_have_nothing_in_common(void **state)
{
	AUTO(key_free) struct key *key = made_key("u", "rsa2048");
	unsigned char block[256] = { 0, 1, 2, 3 }, content[3][KEY_CONTENT_BYTES];

	(void)state;
	for (size_t i = 0; i < 3; i++)
		open_v15(key, (struct slice){ block, sizeof(block) }, 16 + 8 * i, content[i]);
	for (size_t i = 0; i < 3; i++)
		for (size_t j = 0; j < i; j++)
			assert_memory_not_equal(content[i], content[j], 16);
}

/* The answer is the key's, not the process's: the same after loading it again. */
static void
test_v15_answers_are_the_key_s(void **state)
{
	AUTO(key_free) struct key *key = made_key("u", "rsa3072");
	AUTO(key_free) struct key *again = NULL;
	unsigned char block[384] = { 0, 1, 2, 3 }, content[2][KEY_CONTENT_BYTES];
	struct err err;

	(void)state;
	assert_int_equal(run("openssl pkey -in u.key -aes256 -passout pass:x -out w.key && chmod 600 w.key && umask 077 && echo x >w.pass"), 0);
	assert_int_equal(key_load("w.key", "w.pass", false, &again, &err), 0);
	open_v15(key, (struct slice){ block, sizeof(block) }, 32, content[0]);
	open_v15(again, (struct slice){ block, sizeof(block) }, 32, content[1]);
	assert_memory_equal(content[0], content[1], 32);
}

static int
by_bytes(const void *a, const void *b)
{
	return memcmp(a, b, 8);
}

/* Noise, below and above the modulus: a content key each time, and no two alike. */
static void
test_v15_noise(void **state)
{
	AUTO(key_free) struct key *key = made_key("u", "rsa2048");
	unsigned char content[KEY_CONTENT_BYTES], *seen = calloc(RANDOM_BLOCKS, 8);
	struct slice noise;

	(void)state;
	assert_int_equal(run("head -c %d /dev/urandom >noise", RANDOM_BLOCKS + 256), 0);
	noise = read_file("noise");
	for (size_t i = 0; i < RANDOM_BLOCKS; i++) {
		open_v15(key, (struct slice){ noise.at + i, 256 }, 32, content);
		memcpy(seen + 8 * i, content, 8);
	}
	qsort(seen, RANDOM_BLOCKS, 8, by_bytes);
	for (size_t i = 1; i < RANDOM_BLOCKS; i++)
		assert_memory_not_equal(seen + 8 * i, seen + 8 * (i - 1), 8);
	heap_free(noise);
	free(seen);
}

/* --- OAEP --- */

#define OAEP(md, mgf) "-pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:" md " -pkeyopt rsa_mgf1_md:" mgf

static const struct {
	const char *name;
	size_t bytes;
	const char *options, *then;
	enum key_hash digest, mask;
	size_t len;
	bool want;
} oaep[] = {
	{ "SHA-1, as most programs send it", 32, OAEP("sha1", "sha1"), "true", KEY_HASH_SHA1, KEY_HASH_SHA1, 32, true },
	{ "SHA-1, 16 bytes", 16, OAEP("sha1", "sha1"), "true", KEY_HASH_SHA1, KEY_HASH_SHA1, 16, true },
	{ "SHA-1, 24 bytes", 24, OAEP("sha1", "sha1"), "true", KEY_HASH_SHA1, KEY_HASH_SHA1, 24, true },
	{ "SHA-256", 32, OAEP("sha256", "sha256"), "true", KEY_HASH_SHA256, KEY_HASH_SHA256, 32, true },
	{ "SHA-256, MGF1 with SHA-1", 32, OAEP("sha256", "sha1"), "true", KEY_HASH_SHA256, KEY_HASH_SHA1, 32, true },
	{ "SHA-1, MGF1 with SHA-256", 32, OAEP("sha1", "sha256"), "true", KEY_HASH_SHA1, KEY_HASH_SHA256, 32, true },
	{ "SHA-224", 32, OAEP("sha224", "sha224"), "true", KEY_HASH_SHA224, KEY_HASH_SHA224, 32, true },
	{ "SHA-384", 32, OAEP("sha384", "sha384"), "true", KEY_HASH_SHA384, KEY_HASH_SHA384, 32, true },
	{ "SHA-512", 32, OAEP("sha512", "sha512"), "true", KEY_HASH_SHA512, KEY_HASH_SHA512, 32, true },
	{ "another digest", 32, OAEP("sha1", "sha1"), "true", KEY_HASH_SHA256, KEY_HASH_SHA1, 32, false },
	{ "another mask", 32, OAEP("sha1", "sha1"), "true", KEY_HASH_SHA1, KEY_HASH_SHA256, 32, false },
	{ "32 bytes, 16 asked for", 32, OAEP("sha1", "sha1"), "true", KEY_HASH_SHA1, KEY_HASH_SHA1, 16, false },
	{ "16 bytes, 32 asked for", 16, OAEP("sha1", "sha1"), "true", KEY_HASH_SHA1, KEY_HASH_SHA1, 32, false },
	{ "31 bytes", 31, OAEP("sha1", "sha1"), "true", KEY_HASH_SHA1, KEY_HASH_SHA1, 32, false },
	{ "33 bytes", 33, OAEP("sha1", "sha1"), "true", KEY_HASH_SHA1, KEY_HASH_SHA1, 32, false },
	{ "a label", 32, OAEP("sha1", "sha1") " -pkeyopt rsa_oaep_label:41", "true", KEY_HASH_SHA1, KEY_HASH_SHA1, 32, false },
	{ "v1.5", 32, "-pkeyopt rsa_padding_mode:pkcs1", "true", KEY_HASH_SHA1, KEY_HASH_SHA1, 32, false },
	{ "a byte less", 32, OAEP("sha1", "sha1"), "truncate -s -1 block", KEY_HASH_SHA1, KEY_HASH_SHA1, 32, false },
	{ "a byte more", 32, OAEP("sha1", "sha1"), "printf x >>block", KEY_HASH_SHA1, KEY_HASH_SHA1, 32, false },
	{ "nothing", 32, OAEP("sha1", "sha1"), ": >block", KEY_HASH_SHA1, KEY_HASH_SHA1, 32, false },
	{ "more than the modulus", 32, OAEP("sha1", "sha1"), "head -c 256 /dev/zero | tr '\\0' '\\377' >block", KEY_HASH_SHA1, KEY_HASH_SHA1, 32, false },
};

static void
check_oaep(const struct key *key, size_t i)
{
	unsigned char content[KEY_CONTENT_BYTES];
	enum key_opening opening = KEY_OPENING_UNKNOWN;
	struct err err = { 0 };
	struct slice plain, block;
	struct key_transport how;

	assert_int_equal(run("head -c %zu /dev/urandom >plain && openssl pkeyutl -encrypt -pubin -inkey u.pub -in plain -out block %s && %s",
	    oaep[i].bytes, oaep[i].options, oaep[i].then), 0);
	plain = read_file("plain");
	block = read_file("block");
	how = (struct key_transport){ KEY_PADDING_OAEP, oaep[i].digest, oaep[i].mask, oaep[i].len, block };
	memset(content, 0x5a, sizeof(content));
	if (key_unwrap_mail(key, &how, content, &opening, &err) == -1)
		fail_msg("%s: %s", oaep[i].name, err.text);
	if (opening != (oaep[i].want ? KEY_OPENED : KEY_REFUSED))
		fail_msg("%s: opening %d", oaep[i].name, (int)opening);
	if (oaep[i].want)
		assert_memory_equal(content, plain.at, oaep[i].len);
	else
		assert_memory_equal(content, untouched, sizeof(content));
	heap_free(plain);
	heap_free(block);
}

static void
test_oaep(void **state)
{
	AUTO(key_free) struct key *key = made_key("u", "rsa2048");

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(oaep); i++)
		check_oaep(key, i);
}

/* --- agreements --- */

/* One line of key_mail.py. */
struct agreed {
	struct key_agreement how;
	unsigned char ukm[KEY_UKM_BYTES], point[KEY_POINT_BYTES], wrapped[KEY_WRAPPED_BYTES];
	char *rest; /* the last word, in the line */
};

static size_t
from_hex(const char *hex, unsigned char *ret, size_t room)
{
	size_t n = strlen(hex) / 2;

	assert_true(n <= room);
	for (size_t i = 0; i < n; i++) {
		unsigned byte;

		assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
		ret[i] = (unsigned char)byte;
	}
	return n;
}

static enum key_hash
hash_from(const char *name)
{
	for (enum key_hash hash = KEY_HASH_SHA1; hash <= KEY_HASH_SHA512; hash++)
		if (strcmp(key_hash_name(hash), name) == 0)
			return hash;
	fail_msg("no hash '%s'", name);
	return KEY_HASH_UNKNOWN;
}

static void
read_agreed(char *line, struct agreed *ret)
{
	char *save = NULL, *words[7];

	for (size_t i = 0; i < N_ELEMENTS(words); i++) {
		words[i] = strtok_r(i ? NULL : line, " \n", &save);
		assert_non_null(words[i]);
	}
	*ret = (struct agreed){ .rest = words[6] };
	ret->how.kdf = hash_from(words[0]);
	ret->how.wrap_len = (size_t)atoi(words[1]);
	ret->how.wrap_null = *words[2] == '1';
	ret->how.has_ukm = *words[3] != '-';
	ret->how.ukm = (struct slice){ ret->ukm, *words[3] == '=' || *words[3] == '-' ? 0 : from_hex(words[3], ret->ukm, sizeof(ret->ukm)) };
	ret->how.point = (struct slice){ ret->point, from_hex(words[4], ret->point, sizeof(ret->point)) };
	ret->how.wrapped = (struct slice){ ret->wrapped, from_hex(words[5], ret->wrapped, sizeof(ret->wrapped)) };
	ret->how.content_len = ret->how.wrapped.len - 8;
}

static enum key_opening
derive(const struct key *key, const struct key_agreement *how, unsigned char content[KEY_CONTENT_BYTES])
{
	enum key_opening opening = KEY_OPENING_UNKNOWN;
	struct err err = { 0 };

	memset(content, 0x5a, KEY_CONTENT_BYTES);
	if (key_derive(key, how, content, &opening, &err) == -1)
		fail_msg("%s", err.text);
	if (opening != KEY_OPENED)
		assert_memory_equal(content, untouched, KEY_CONTENT_BYTES);
	return opening;
}

/* Every kdf, wrap, content length, ukm, form of parameters and of point, as python3-cryptography makes them. */
static void
check_python(const char *name, const struct key *key)
{
	char line[MAX_LINE];
	unsigned char content[KEY_CONTENT_BYTES], want[KEY_CONTENT_BYTES];
	struct agreed agreed;
	size_t n = 0;
	FILE *in;

	assert_int_equal(run("'%s' agree %s.pub >vectors", helper, name), 0);
	in = fopen("vectors", "re");
	assert_non_null(in);
	while (fgets(line, sizeof(line), in)) {
		read_agreed(line, &agreed);
		if (derive(key, &agreed.how, content) != KEY_OPENED)
			fail_msg("%s, vector %zu is refused", name, n);
		assert_int_equal(from_hex(agreed.rest, want, sizeof(want)), agreed.how.content_len);
		assert_memory_equal(content, want, agreed.how.content_len);
		n++;
	}
	fclose(in);
	assert_int_equal(n, 2 * 5 * 3 * 2 * 5 * 3);
}

static const char *const hashes[] = { "sha1", "sha224", "sha256", "sha384", "sha512" };

/* A message that openssl cms wrote; its content opens with the key that we derive. */
static void
check_cms(const char *name, const struct key *key, const char *kdf, size_t wrap_bits, size_t content_bits)
{
	char line[MAX_LINE], *colon;
	unsigned char content[KEY_CONTENT_BYTES];
	char hex[2 * KEY_CONTENT_BYTES + 1] = "";
	struct agreed agreed;
	FILE *in;

	assert_int_equal(run("echo halo >text && openssl cms -encrypt -binary -in text -outform DER -out cms -aes-%zu-cbc -recip %s.crt "
	    "-keyopt ecdh_kdf_md:%s -aes%zu-wrap && '%s' cms cms >words", content_bits, name, kdf, wrap_bits, helper), 0);
	in = fopen("words", "re");
	assert_non_null(in);
	assert_non_null(fgets(line, sizeof(line), in));
	fclose(in);
	read_agreed(line, &agreed);
	assert_string_equal(key_hash_name(agreed.how.kdf), kdf);
	assert_int_equal(agreed.how.wrap_len, wrap_bits / 8);
	assert_int_equal(agreed.how.content_len, content_bits / 8);
	assert_int_equal(derive(key, &agreed.how, content), KEY_OPENED);
	for (size_t i = 0; i < agreed.how.content_len; i++)
		snprintf(hex + 2 * i, 3, "%02x", content[i]);
	colon = strchr(agreed.rest, ':');
	assert_non_null(colon);
	*colon = '\0';
	assert_int_equal(run("printf %s | xxd -r -p | openssl enc -d -aes-%zu-cbc -K %s -iv %s >out && cmp -s text out", colon + 1, content_bits,
	    hex, agreed.rest), 0);
}

static void
test_agreements(void **state)
{
	static const char *const curves[] = { "p256", "p384" };

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(curves); i++) {
		AUTO(key_free) struct key *key = made_key(curves[i], curves[i]);

		check_python(curves[i], key);
		for (size_t j = 0; j < N_ELEMENTS(hashes); j++)
			check_cms(curves[i], key, hashes[j], 128 + 64 * (j % 3), 256 - 64 * (j % 3));
	}
}

/* Each differs from the first by one thing. */
enum change {
	NOTHING, OTHER_KDF, OTHER_WRAP, OTHER_NULL, OTHER_UKM, NO_UKM, EMPTY_UKM, LONG_UKM, SHORTER_CONTENT, LONGER_CONTENT, WRAPPED_BIT, WRAPPED_SHORT,
	WRAPPED_LONG, WRAPPED_NONE, POINT_BIT, POINT_OTHER_Y, POINT_ZERO, POINT_INFINITY, POINT_HYBRID, POINT_SHORT, POINT_LONG, POINT_NONE, POINT_OTHER_CURVE,
	POINT_BEYOND_FIELD, POINT_COMPRESSED_OFF, N_CHANGES
};

static const unsigned char long_ukm[KEY_UKM_BYTES + 1];

static void
change_agreed(struct agreed *agreed, enum change change)
{
	struct key_agreement *how = &agreed->how;

	switch (change) {
	case NOTHING: case N_CHANGES: return;
	case OTHER_KDF: how->kdf = how->kdf == KEY_HASH_SHA1 ? KEY_HASH_SHA256 : KEY_HASH_SHA1; return;
	case OTHER_WRAP: how->wrap_len = how->wrap_len == 16 ? 32 : 16; return;
	case OTHER_NULL: how->wrap_null = !how->wrap_null; return;
	case OTHER_UKM: agreed->ukm[3] ^= 1; return;
	case NO_UKM: how->has_ukm = false; return;
	case EMPTY_UKM: how->ukm.len = 0; return;
	case LONG_UKM: how->ukm = (struct slice){ long_ukm, sizeof(long_ukm) }; return;
	case SHORTER_CONTENT: how->content_len = 16; return;
	case LONGER_CONTENT: how->content_len = 32; return;
	case WRAPPED_BIT: agreed->wrapped[9] ^= 1; return;
	case WRAPPED_SHORT: how->wrapped.len--; return;
	case WRAPPED_LONG: how->wrapped.len++; return;
	case WRAPPED_NONE: how->wrapped.len = 0; return;
	case POINT_BIT: agreed->point[20] ^= 1; return;
	case POINT_OTHER_Y: agreed->point[64] ^= 1; return;
	case POINT_ZERO: memset(agreed->point + 1, 0, 64); return;
	case POINT_INFINITY: agreed->point[0] = 0; how->point.len = 1; return;
	case POINT_HYBRID: agreed->point[0] = (unsigned char)(6 | (agreed->point[64] & 1)); return;
	case POINT_SHORT: how->point.len--; return;
	case POINT_LONG: how->point.len++; return;
	case POINT_NONE: how->point.len = 0; return;
	case POINT_OTHER_CURVE: how->point.len = 97; return;
	case POINT_BEYOND_FIELD: memset(agreed->point + 1, 0xff, 32); return;
	case POINT_COMPRESSED_OFF: agreed->point[0] = 2; memset(agreed->point + 1, 0, 31); agreed->point[32] = 1; how->point.len = 33; return;
	}
}

static void
test_changed_agreements(void **state)
{
	AUTO(key_free) struct key *key = made_key("p256", "p256");
	AUTO(key_free) struct key *other = made_key("q256", "p256");
	AUTO(key_free) struct key *larger = made_key("p384", "p384");
	AUTO(key_free) struct key *rsa = made_key("u", "rsa2048");
	unsigned char content[KEY_CONTENT_BYTES];
	char line[MAX_LINE];
	FILE *in;

	(void)state;
	assert_int_equal(run("'%s' agree p256.pub | grep '^sha256 32 0 0001.* 04[0-9a-f]* [0-9a-f]\\{64\\} ' | head -1 >vectors", helper), 0);
	for (enum change change = NOTHING; change < N_CHANGES; change++) {
		struct agreed agreed;

		in = fopen("vectors", "re");
		assert_non_null(fgets(line, sizeof(line), in));
		fclose(in);
		read_agreed(line, &agreed);
		assert_int_equal(agreed.how.content_len, 24);
		change_agreed(&agreed, change);
		if (derive(key, &agreed.how, content) != (change == NOTHING ? KEY_OPENED : KEY_REFUSED))
			fail_msg("change %d", (int)change);
		assert_int_equal(derive(other, &agreed.how, content), KEY_REFUSED);
		assert_int_equal(derive(larger, &agreed.how, content), KEY_REFUSED);
		assert_int_equal(derive(rsa, &agreed.how, content), KEY_REFUSED);
	}
}

/* --- what no caller may ask, and openers --- */

static void
test_wrong_questions(void **state)
{
	AUTO(key_free) struct key *key = made_key("u", "rsa2048");
	AUTO(key_free) struct key *curve = made_key("p256", "p256");
	const unsigned char bytes[256] = { 0 };
	const struct slice block = { bytes, sizeof(bytes) };
	const struct key_transport transports[] = {
		{ KEY_PADDING_UNKNOWN, KEY_HASH_UNKNOWN, KEY_HASH_UNKNOWN, 32, block }, { KEY_PADDING_V15, KEY_HASH_UNKNOWN, KEY_HASH_UNKNOWN, 0, block },
		{ KEY_PADDING_V15, KEY_HASH_UNKNOWN, KEY_HASH_UNKNOWN, 33, block }, { KEY_PADDING_V15, KEY_HASH_UNKNOWN, KEY_HASH_UNKNOWN, 255, block },
		{ KEY_PADDING_OAEP, KEY_HASH_SHA1, KEY_HASH_SHA1, 20, block }, { KEY_PADDING_OAEP, KEY_HASH_UNKNOWN, KEY_HASH_SHA1, 32, block },
		{ KEY_PADDING_OAEP, KEY_HASH_SHA1, KEY_HASH_UNKNOWN, 32, block },
	};
	const struct key_agreement agreements[] = {
		{ .kdf = KEY_HASH_UNKNOWN, .wrap_len = 16, .content_len = 16 }, { .kdf = KEY_HASH_SHA1, .wrap_len = 8, .content_len = 16 },
		{ .kdf = KEY_HASH_SHA1, .wrap_len = 16, .content_len = 8 }, { .kdf = KEY_HASH_SHA1, .wrap_len = 16, .content_len = 0 },
	};
	unsigned char content[KEY_CONTENT_BYTES];
	enum key_opening opening = KEY_OPENING_UNKNOWN;
	struct err err;

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(transports); i++) {
		assert_int_equal(key_unwrap_mail(key, &transports[i], content, &opening, &err), -1);
		assert_int_equal(err.kind, ERR_BUG);
	}
	for (size_t i = 0; i < N_ELEMENTS(agreements); i++) {
		assert_int_equal(key_derive(curve, &agreements[i], content, &opening, &err), -1);
		assert_int_equal(err.kind, ERR_BUG);
	}
	assert_int_equal(opening, KEY_OPENING_UNKNOWN);
	assert_int_equal(key_unwrap_mail(curve, &(struct key_transport){ KEY_PADDING_V15, KEY_HASH_UNKNOWN, KEY_HASH_UNKNOWN, 32, block }, content,
	    &opening, &err), 0);
	assert_int_equal(opening, KEY_REFUSED);
}

static void
test_opener(void **state)
{
	AUTO(key_free) struct key *key = made_key("u", "rsa2048");
	struct opener opener = key_opener(key);
	const unsigned char other[32] = { 0 }, bytes[256] = { 0 };
	const struct key_transport how = v15((struct slice){ bytes, sizeof(bytes) }, 32);
	const struct key_agreement agreement = { .kdf = KEY_HASH_SHA1, .wrap_len = 16, .content_len = 16, .point = how.block, .wrapped = how.block };
	unsigned char content[KEY_CONTENT_BYTES];
	enum key_opening opening = KEY_OPENING_UNKNOWN;
	struct err err;

	(void)state;
	assert_int_equal(opener.unwrap(opener.ctx, key_spki(key), &how, content, &opening, &err), 0);
	assert_int_equal(opening, KEY_OPENED);
	assert_int_equal(opener.unwrap(opener.ctx, other, &how, content, &opening, &err), 0);
	assert_int_equal(opening, KEY_NOT_HERE);
	assert_int_equal(opener.derive(opener.ctx, key_spki(key), &agreement, content, &opening, &err), 0);
	assert_int_equal(opening, KEY_REFUSED);
	assert_int_equal(opener.derive(opener.ctx, other, &agreement, content, &opening, &err), 0);
	assert_int_equal(opening, KEY_NOT_HERE);
}

static int
setup(void **state)
{
	char self[400] = "", *slash;

	(void)state;
	memset(untouched, 0x5a, sizeof(untouched));
	assert_true(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
	slash = strrchr(self, '/');
	assert_non_null(slash);
	*slash = '\0';
	snprintf(helper, sizeof(helper), "%s/../../../../tests/smime/key_mail.py", self);
	world_open(&world);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	world_close(&world);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_v15),
		cmocka_unit_test(test_v15_lengths_have_nothing_in_common),
		cmocka_unit_test(test_v15_answers_are_the_key_s),
		cmocka_unit_test(test_v15_noise),
		cmocka_unit_test(test_oaep),
		cmocka_unit_test(test_agreements),
		cmocka_unit_test(test_changed_agreements),
		cmocka_unit_test(test_wrong_questions),
		cmocka_unit_test(test_opener),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
