/*
 * Decryption: what openssl encrypts must open here, to each kind of key, in every form and layer; 500 objects with one byte changed
 * (SEGEL_TAMPERED says how many) have one answer; and nothing comes out that is not proven.
 */
#include "tests/smime/office.h"

#include "smime/head.h"

#define HEAD "From: budi@kota.example\r\nTo: ana@prov.example\r\nSubject: [...]\r\nDate: Tue, 2 Jun 2026 10:00:00 +0700\r\nMessage-ID: <1@kota.example>\r\n"
#define SUBJECT_HEAD "From: budi@kota.example\r\nTo: ana@prov.example\r\nSubject: Rahasia negeri\r\nDate: Tue, 2 Jun 2026 10:00:00 +0700\r\n" \
	"Message-ID: <1@kota.example>\r\n"
#define ENTITY "Content-Type: text/plain; charset=us-ascii\r\n\r\nIsi yang rahasia.\r\n"
#define FAILED_TEXT "it cannot be opened, or nothing proves that what is inside is what its sender wrote"

/* ---- what openssl makes ---- */

enum content { PLAIN, SIGNED, OPAQUE };

static const char *const content_files[] = { "plain", "signed", "opaque" };

static const struct {
	const char *name;
	enum kind kind;
	enum content content;
	const char *options;          /* of openssl cms -encrypt, before the certificates */
	enum decrypt_state want;
	enum enveloped_cipher want_cipher;
} theirs[] = {
	{ "CBC 256, signed", RSA, SIGNED, "-aes-256-cbc", DECRYPT_OPENED, ENVELOPED_AES256_CBC },
	{ "CBC 192, signed", RSA, SIGNED, "-aes-192-cbc", DECRYPT_OPENED, ENVELOPED_AES192_CBC },
	{ "CBC 128, signed", RSA, SIGNED, "-aes-128-cbc", DECRYPT_OPENED, ENVELOPED_AES128_CBC },
	{ "CBC 256, opaque", RSA, OPAQUE, "-aes-256-cbc", DECRYPT_OPENED, ENVELOPED_AES256_CBC },
	{ "CBC 256, not signed", RSA, PLAIN, "-aes-256-cbc", DECRYPT_FAILED, ENVELOPED_AES256_CBC },
	{ "CBC 256, streamed", RSA, SIGNED, "-aes-256-cbc -stream", DECRYPT_OPENED, ENVELOPED_AES256_CBC },
	{ "CBC 256, key identifier", RSA, SIGNED, "-aes-256-cbc -keyid", DECRYPT_OPENED, ENVELOPED_AES256_CBC },
	{ "GCM 256, not signed", RSA, PLAIN, "-aes-256-gcm", DECRYPT_OPENED, ENVELOPED_AES256_GCM },
	{ "GCM 192", RSA, PLAIN, "-aes-192-gcm", DECRYPT_OPENED, ENVELOPED_AES192_GCM },
	{ "GCM 128", RSA, PLAIN, "-aes-128-gcm", DECRYPT_OPENED, ENVELOPED_AES128_GCM },
	{ "GCM 256, signed", RSA, SIGNED, "-aes-256-gcm", DECRYPT_OPENED, ENVELOPED_AES256_GCM },
	{ "3DES", RSA, SIGNED, "-des3", DECRYPT_UNSUPPORTED, ENVELOPED_CIPHER_UNKNOWN },
	{ "P-256, CBC", P256, SIGNED, "-aes-256-cbc", DECRYPT_OPENED, ENVELOPED_AES256_CBC },
	{ "P-256, GCM 128", P256, PLAIN, "-aes-128-gcm", DECRYPT_OPENED, ENVELOPED_AES128_GCM },
	{ "P-256, key identifier", P256, SIGNED, "-aes-128-cbc -keyid", DECRYPT_OPENED, ENVELOPED_AES128_CBC },
	{ "P-384, CBC", P384, SIGNED, "-aes-256-cbc", DECRYPT_OPENED, ENVELOPED_AES256_CBC },
	{ "P-384, GCM", P384, PLAIN, "-aes-256-gcm", DECRYPT_OPENED, ENVELOPED_AES256_GCM },
};

/* How openssl is told which way the key goes, for each kind, $k. */
static const struct {
	const char *name;
	bool rsa;
	const char *options;
	enum key_padding padding;
	enum key_hash hash;
} ways[] = {
	{ "v1.5", true, "-recip $k.crt", KEY_PADDING_V15, KEY_HASH_UNKNOWN },
	{ "OAEP", true, "-recip $k.crt -keyopt rsa_padding_mode:oaep", KEY_PADDING_OAEP, KEY_HASH_SHA1 },
	{ "OAEP SHA-256", true, "-recip $k.crt -keyopt rsa_padding_mode:oaep -keyopt rsa_oaep_md:sha256", KEY_PADDING_OAEP, KEY_HASH_SHA256 },
	{ "OAEP SHA-512, MGF1 SHA-1", true, "-recip $k.crt -keyopt rsa_padding_mode:oaep -keyopt rsa_oaep_md:sha512 -keyopt rsa_mgf1_md:sha1",
	    KEY_PADDING_OAEP, KEY_HASH_SHA512 },
	{ "SHA-1 KDF", false, "-recip $k.crt", KEY_PADDING_UNKNOWN, KEY_HASH_SHA1 },
	{ "SHA-256 KDF", false, "-recip $k.crt -keyopt ecdh_kdf_md:sha256", KEY_PADDING_UNKNOWN, KEY_HASH_SHA256 },
	{ "SHA-384 KDF, cofactor", false, "-recip $k.crt -keyopt ecdh_kdf_md:sha384 -keyopt ecdh_cofactor_mode:1", KEY_PADDING_UNKNOWN, KEY_HASH_SHA384 },
	{ "with others", true, "-recip other.crt -recip p256.crt -recip $k.crt -recip p384.crt", KEY_PADDING_V15, KEY_HASH_UNKNOWN },
};

static void
write_contents(void)
{
	write_file("plain", ENTITY, strlen(ENTITY));
	assert_int_equal(run("openssl cms -sign -binary -in plain -signer signer.crt -inkey signer.key | sed 's/\\r$//; s/$/\\r/' >signed"), 0);
	assert_int_equal(run("openssl cms -sign -nodetach -binary -in plain -signer signer.crt -inkey signer.key | sed 's/\\r$//; s/$/\\r/' >opaque"), 0);
}

/* What the plaintext is, as it would be delivered: its Content-* fields, and its body. */
static void
check_plain(const char *name, const struct decrypted *decrypted, struct slice content)
{
	enum decrypt_ground ground = decrypted_facts(decrypted)->authenticated ? GROUND_CIPHER : GROUND_SIGNATURE;
	AUTO_HEAD struct head head = { 0 };
	struct plain plain = { .n_content = 0 };
	size_t n = 0;

	head_scan(content, &head);
	if (!decrypted_plain(decrypted, ground, &plain))
		fail_msg("%s: the plaintext is not given out", name);
	if (ground == GROUND_SIGNATURE && memmem(head.body.at, head.body.len, "This is an S/MIME", 17)) {
		/* openssl's text around the parts is nothing that the signature is over */
		const unsigned char *from = memmem(head.body.at, head.body.len, "--", 2);

		head.body = (struct slice){ from, (size_t)(head.body.at + head.body.len - from) - 2 };
	}
	if (!slice_equal(plain.body, head.body))
		fail_msg("%s: the body is '%.*s'", name, (int)plain.body.len, plain.body.at);
	for (size_t i = 0; i < head.n_fields; i++) {
		if (head.fields[i].name.len < 8 || strncasecmp((const char *)head.fields[i].name.at, "Content-", 8) != 0)
			continue;
		assert_true(n < plain.n_content && slice_equal(plain.content[n].value, head.fields[i].value));
		n++;
	}
	assert_int_equal(n, plain.n_content);
}

static void
check_nothing(const char *name, const struct decrypted *decrypted)
{
	struct plain plain;

	if (decrypted_plain(decrypted, GROUND_CIPHER, &plain) || decrypted_plain(decrypted, GROUND_SIGNATURE, &plain)
	    || decrypted_plain(decrypted, GROUND_UNKNOWN, &plain))
		fail_msg("%s: something is given out", name);
	assert_int_equal(decrypted_signature(decrypted)->state, SIGNATURE_UNKNOWN);
}

static void
check_theirs(struct office *office, size_t row, size_t way)
{
	AUTO(decrypted_free) struct decrypted *decrypted = NULL;
	const struct decrypt_facts *facts;
	struct slice mail, content;
	char name[128];

	snprintf(name, sizeof(name), "%s, %s", theirs[row].name, ways[way].name);
	if (run("k=%s; openssl cms -encrypt -binary -in %s %s %s 2>openssl.log | sed 's/\\r$//; s/$/\\r/' >out.eml", kind_names[theirs[row].kind],
	    content_files[theirs[row].content], theirs[row].options, ways[way].options) != 0)
		fail_msg("%s: openssl failed", name);
	mail = read_file("out.eml");
	content = read_file(content_files[theirs[row].content]);
	office_decrypt(office, theirs[row].kind, mail, true, &decrypted);
	facts = decrypted_facts(decrypted);
	if (facts->state != theirs[row].want || facts->cipher != theirs[row].want_cipher)
		fail_msg("%s: %s '%s', %s", name, decrypt_state_name(facts->state), facts->why, enveloped_cipher_name(facts->cipher));
	if (facts->state == DECRYPT_OPENED) {
		assert_int_equal(facts->padding, ways[way].padding);
		assert_int_equal(decrypted_signature(decrypted)->state, theirs[row].content == PLAIN ? SIGNATURE_NONE : SIGNATURE_GOOD);
		assert_string_equal(facts->layers, theirs[row].content == PLAIN ? "encrypted" : "encrypted/signed");
		check_plain(name, decrypted, content);
	} else {
		check_nothing(name, decrypted);
	}
	heap_free(mail);
	heap_free(content);
}

static void
test_theirs(void **given)
{
	size_t n = 0;

	write_contents();
	for (size_t row = 0; row < N_ELEMENTS(theirs); row++) {
		for (size_t way = 0; way < N_ELEMENTS(ways); way++) {
			if (ways[way].rsa != (theirs[row].kind == RSA))
				continue;
			check_theirs(*given, row, way);
			n++;
		}
	}
	print_message("%zu messages that openssl encrypted\n", n);
}

/* ---- whose it is ---- */

static void
test_whose(void **given)
{
	static const struct wanted wanted = { ENCRYPT_AES256_GCM, KEY_PADDING_OAEP, false };
	static const enum kind to[] = { RSA, P256 };
	struct office *office = *given;
	AUTO_BUF struct buf der = { 0 }, mail = { 0 };

	office_encrypt(office, &wanted, to, N_ELEMENTS(to), slice_of(ENTITY), &der);
	office_mail(HEAD, buf_slice(&der), &mail);
	for (size_t i = 0; i < N_KINDS; i++) {
		AUTO(decrypted_free) struct decrypted *decrypted = NULL;

		office_decrypt(office, (enum kind)i, buf_slice(&mail), true, &decrypted);
		assert_int_equal(decrypted_facts(decrypted)->state, i == RSA || i == P256 ? DECRYPT_OPENED : DECRYPT_OTHERS);
		assert_int_equal(decrypted_facts(decrypted)->n_recipients, 2);
	}
}

/* Openers that answer otherwise. */
static int
answer(void *ctx, const unsigned char spki[32], const struct key_transport *how, unsigned char content[KEY_CONTENT_BYTES], enum key_opening *ret,
    struct err *err)
{
	const enum key_opening *opening = ctx;

	(void)spki, (void)how, (void)content;
	*ret = *opening;
	return *opening == KEY_OPENING_UNKNOWN ? err_set(err, ERR_TEMP, "the agent is away") : 0;
}

static void
test_answers(void **given)
{
	static const struct wanted wanted = { ENCRYPT_AES256_GCM, KEY_PADDING_OAEP, false };
	static const enum kind to[] = { RSA };
	static const struct {
		enum key_opening opening;
		enum decrypt_state want;
		bool limited;
	} rows[] = {
		{ KEY_REFUSED, DECRYPT_FAILED, false }, { KEY_LIMITED, DECRYPT_FAILED, true }, { KEY_NOT_HERE, DECRYPT_OTHERS, false },
	};
	struct office *office = *given;
	AUTO_BUF struct buf der = { 0 }, mail = { 0 };
	struct slice cert = buf_slice(&office->cert[RSA]);
	enum key_opening away = KEY_OPENING_UNKNOWN;
	struct message_facts message;
	struct decrypt_request request = { .facts = &message, .certs = &cert, .n_certs = 1, .opener = { .unwrap = answer }, .hasty = true };
	AUTO(decrypted_free) struct decrypted *none = NULL;
	struct err err = { .text = "" };

	office_encrypt(office, &wanted, to, 1, slice_of(ENTITY), &der);
	office_mail(HEAD, buf_slice(&der), &mail);
	request.message = buf_slice(&mail);
	assert_int_equal(smime_inspect(request.message, &message, &err), 0);
	for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
		AUTO(decrypted_free) struct decrypted *decrypted = NULL;
		enum key_opening opening = rows[i].opening;

		request.opener.ctx = &opening;
		assert_int_equal(smime_decrypt(&request, &decrypted, &err), 0);
		assert_int_equal(decrypted_facts(decrypted)->state, rows[i].want);
		assert_int_equal(decrypted_facts(decrypted)->limited, rows[i].limited);
		check_nothing("an opener that answers otherwise", decrypted);
	}
	request.opener.ctx = &away;
	assert_int_equal(smime_decrypt(&request, &none, &err), -1);
	assert_null(none);
	assert_non_null(strstr(err.text, "the agent is away"));
}

/* ---- layers ---- */

/* One character a layer, from the inside out: g GCM, c CBC, o GCM to somebody else, s sealed clear, S sealed opaque, m in a multipart/mixed. */
static void
wrap_layer(struct office *office, char layer, struct slice inner, struct buf *ret)
{
	const struct wanted wanted = { layer == 'c' ? ENCRYPT_AES256_CBC : ENCRYPT_AES256_GCM, KEY_PADDING_OAEP, false };
	const enum kind to[] = { layer == 'o' ? OTHER : RSA };
	AUTO_BUF struct buf cms = { 0 };
	struct forge forge = { .signer = "signer", .content = inner, .flaws = layer == 'S' ? FORGE_OPAQUE : 0 };

	switch (layer) {
	case 'g':
	case 'c':
	case 'o':
		office_encrypt(office, &wanted, to, 1, inner, &cms);
		office_mail("", buf_slice(&cms), ret);
		return;
	case 's':
		forge_cms(&forge, &cms);
		forge_clear_mail("", inner, buf_slice(&cms), ret);
		return;
	case 'S':
		forge_cms(&forge, &cms);
		forge_opaque_mail("", buf_slice(&cms), ret);
		return;
	default:
		buf_init(ret, LIMIT_MESSAGE_BYTES);
		buf_add_text(ret, "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\nHalo\r\n--x\r\n");
		buf_add_slice(ret, inner);
		buf_add_text(ret, "\r\n--x--\r\n");
	}
}

static const struct {
	const char *layers;       /* from the inside out */
	enum decrypt_state want;
	const char *want_layers;
	size_t want_left;         /* layers of these that are given out, from the inside */
} stacks[] = {
	{ "g", DECRYPT_OPENED, "encrypted", 0 },
	{ "c", DECRYPT_FAILED, "encrypted", 0 },
	{ "sc", DECRYPT_OPENED, "encrypted/signed", 1 },
	{ "Sc", DECRYPT_OPENED, "encrypted/signed", 1 },
	{ "sg", DECRYPT_OPENED, "encrypted/signed", 1 },
	{ "gs", DECRYPT_OPENED, "signed/encrypted", 0 },
	{ "gS", DECRYPT_OPENED, "signed/encrypted", 0 },
	{ "cs", DECRYPT_FAILED, "signed/encrypted", 0 },  /* a signature around proves nothing about what is inside (A11) */
	{ "cS", DECRYPT_FAILED, "signed/encrypted", 0 },
	{ "scs", DECRYPT_OPENED, "signed/encrypted/signed", 1 },
	{ "SgS", DECRYPT_OPENED, "signed/encrypted/signed", 1 },
	{ "gg", DECRYPT_OPENED, "encrypted/encrypted", 0 },
	{ "cg", DECRYPT_FAILED, "encrypted", 0 },         /* somebody's CBC in an attacker's GCM */
	{ "gc", DECRYPT_OPENED, "encrypted/encrypted", 0 },
	{ "scg", DECRYPT_OPENED, "encrypted/encrypted/signed", 1 },
	{ "csg", DECRYPT_FAILED, "encrypted", 0 },
	{ "og", DECRYPT_OPENED, "encrypted/encrypted", 1 }, /* encrypted again, and not to us: content like any other */
	{ "oc", DECRYPT_FAILED, "encrypted", 0 },
	{ "osc", DECRYPT_OPENED, "encrypted/signed/encrypted", 2 },
	{ "o", DECRYPT_OTHERS, "encrypted", 0 },
	{ "gggg", DECRYPT_OPENED, "encrypted/encrypted/encrypted/encrypted", 0 },
	{ "ggggg", DECRYPT_FAILED, "encrypted", 0 },
	{ "sgsg", DECRYPT_OPENED, "encrypted/signed/encrypted/signed", 1 },
	{ "ssgsg", DECRYPT_FAILED, "encrypted", 0 },
	/* not the whole message (A34) */
	{ "gm", DECRYPT_NONE, "", 0 },
	{ "gms", DECRYPT_NONE, "", 0 },
	{ "scm", DECRYPT_NONE, "", 0 },
	{ "gmg", DECRYPT_OPENED, "encrypted", 2 },        /* the outer one opens, the part in it stays shut */
	{ "cmsg", DECRYPT_OPENED, "encrypted/signed", 3 },
	{ "s", DECRYPT_NONE, "", 0 },
	{ "", DECRYPT_NONE, "", 0 },
};

static void
check_stack(struct office *office, size_t row)
{
	AUTO(decrypted_free) struct decrypted *decrypted = NULL;
	AUTO_BUF struct buf entity = { 0 }, left = { 0 }, mail = { 0 };
	const char *layers = stacks[row].layers;
	const struct decrypt_facts *facts;

	buf_init(&entity, LIMIT_MESSAGE_BYTES);
	buf_add_text(&entity, ENTITY);
	for (size_t i = 0; i <= strlen(layers); i++) {
		AUTO_BUF struct buf outer = { 0 };

		if (i == stacks[row].want_left) {
			buf_init(&left, LIMIT_MESSAGE_BYTES);
			buf_add_slice(&left, buf_slice(&entity));
		}
		if (i == strlen(layers))
			break;
		wrap_layer(office, layers[i], buf_slice(&entity), &outer);
		buf_done(&entity);
		entity = outer;
		outer = (struct buf){ 0 };
	}
	buf_init(&mail, LIMIT_MESSAGE_BYTES);
	buf_add_text(&mail, HEAD);
	buf_add_slice(&mail, buf_slice(&entity));
	office_decrypt(office, RSA, buf_slice(&mail), true, &decrypted);
	facts = decrypted_facts(decrypted);
	if (facts->state != stacks[row].want || (*stacks[row].want_layers && strcmp(facts->layers, stacks[row].want_layers) != 0))
		fail_msg("'%s': %s '%s', layers %s", layers, decrypt_state_name(facts->state), facts->why, facts->layers);
	if (facts->state == DECRYPT_OPENED)
		check_plain(layers, decrypted, buf_slice(&left));
	else
		check_nothing(layers, decrypted);
}

static void
test_layers(void **given)
{
	for (size_t row = 0; row < N_ELEMENTS(stacks); row++)
		check_stack(*given, row);
}

/* ---- what is inside ---- */

/* The plaintext must be one strict MIME entity, whatever authenticates it. */
static void
test_strict(void **given)
{
	static const struct wanted wanted = { ENCRYPT_AES256_GCM, KEY_PADDING_V15, false };
	static const enum kind to[] = { RSA };
	static const struct {
		const char *name, *content;
		bool opens;
	} rows[] = {
		{ "an entity", ENTITY, true },
		{ "no header", "\r\nHalo\r\n", true },
		{ "no entity", "Halo dunia\r\n", false },
		{ "two Content-Types", "Content-Type: text/plain\r\nContent-Type: text/html\r\n\r\nHalo\r\n", false },
		{ "a boundary that never comes", "Content-Type: multipart/mixed; boundary=x\r\n\r\nHalo\r\n", false },
		{ "no closing boundary", "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\nHalo\r\n", false },
		{ "a bare LF in the head", "Content-Type: text/plain\nX: y\r\n\r\nHalo\r\n", false },
		{ "a NUL in the head", "Content-Type: text/pl\001ain\r\n\r\nHalo\r\n", false },
	};

	for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
		AUTO(decrypted_free) struct decrypted *decrypted = NULL;
		AUTO_BUF struct buf der = { 0 }, mail = { 0 }, content = { 0 };

		buf_init(&content, 4096);
		buf_add_text(&content, rows[i].content);
		for (size_t at = 0; at < content.len; at++)
			content.at[at] = content.at[at] == 1 ? 0 : content.at[at];
		office_encrypt(*given, &wanted, to, 1, buf_slice(&content), &der);
		office_mail(HEAD, buf_slice(&der), &mail);
		office_decrypt(*given, RSA, buf_slice(&mail), true, &decrypted);
		if ((decrypted_facts(decrypted)->state == DECRYPT_OPENED) != rows[i].opens)
			fail_msg("%s: %s", rows[i].name, decrypt_state_name(decrypted_facts(decrypted)->state));
		if (!rows[i].opens)
			assert_string_equal(decrypted_facts(decrypted)->why, FAILED_TEXT);
	}
}

/* ---- hidden fields ---- */

static const struct {
	const char *name;
	bool hide;
	const char *outside;          /* the head around */
	const char *find, *put;       /* in the sealed entity before it is encrypted, NULL = unchanged; breaks its signature */
	enum protection want;
	const char *want_subject;     /* that is offered; NULL = none */
} hidden[] = {
	{ "hidden", true, HEAD, NULL, NULL, PROTECTION_MATCH, " Rahasia negeri" },
	{ "not hidden", false, SUBJECT_HEAD, NULL, NULL, PROTECTION_MATCH, NULL },
	{ "changed on the way", true, "From: budi@kota.example\r\nTo: ana@prov.example\r\nSubject: Lain\r\nDate: Tue, 2 Jun 2026 10:00:00 +0700\r\n"
	    "Message-ID: <1@kota.example>\r\n", NULL, NULL, PROTECTION_MISMATCH, NULL },
	{ "taken away", true, "From: budi@kota.example\r\nTo: ana@prov.example\r\nDate: Tue, 2 Jun 2026 10:00:00 +0700\r\nMessage-ID: <1@kota.example>\r\n",
	    NULL, NULL, PROTECTION_MISMATCH, NULL },
	{ "another From", true, "From: lain@kota.example\r\nTo: ana@prov.example\r\nSubject: [...]\r\nDate: Tue, 2 Jun 2026 10:00:00 +0700\r\n"
	    "Message-ID: <1@kota.example>\r\n", NULL, NULL, PROTECTION_MISMATCH, NULL },
	{ "another To", true, "From: budi@kota.example\r\nTo: lain@prov.example\r\nSubject: [...]\r\nDate: Tue, 2 Jun 2026 10:00:00 +0700\r\n"
	    "Message-ID: <1@kota.example>\r\n", NULL, NULL, PROTECTION_MISMATCH, NULL },
	{ "signature broken", true, HEAD, "Isi yang", "Isi yang", PROTECTION_UNKNOWN, NULL },
};

static void
check_hidden(struct office *office, size_t row)
{
	static const struct wanted wanted = { ENCRYPT_AES256_GCM, KEY_PADDING_V15, false };
	static const enum kind to[] = { RSA };
	AUTO(decrypted_free) struct decrypted *decrypted = NULL;
	AUTO_BUF struct buf entity = { 0 }, der = { 0 }, mail = { 0 };
	struct plain plain;

	office_seal(office, slice_of(SUBJECT_HEAD ENTITY), hidden[row].hide, &entity);
	assert_non_null(strstr(buf_text(&entity), "hp=\"cipher\""));
	assert_non_null(strstr(buf_text(&entity), hidden[row].hide ? "\r\nHP-Outer: Subject: [...]\r\n" : "\r\nHP-Outer: Subject: Rahasia negeri\r\n"));
	assert_non_null(strstr(buf_text(&entity), "\r\nHP-Outer: From: budi@kota.example\r\n"));
	if (hidden[row].find)
		strstr((char *)entity.at, hidden[row].find)[0] ^= 1;
	office_encrypt(office, &wanted, to, 1, buf_slice(&entity), &der);
	office_mail(hidden[row].outside, buf_slice(&der), &mail);
	office_decrypt(office, RSA, buf_slice(&mail), true, &decrypted);
	assert_int_equal(decrypted_facts(decrypted)->state, DECRYPT_OPENED);
	if (decrypted_signature(decrypted)->protection != hidden[row].want)
		fail_msg("%s: %s '%s'", hidden[row].name, protection_name(decrypted_signature(decrypted)->protection),
		    decrypted_signature(decrypted)->protection_why);
	assert_true(decrypted_plain(decrypted, GROUND_CIPHER, &plain));
	assert_int_equal(plain.n_hidden, hidden[row].want_subject ? 1 : 0);
	if (hidden[row].want_subject) {
		assert_string_equal(plain.hidden[0].name, "Subject");
		assert_true(slice_equal(plain.hidden[0].value, slice_of(hidden[row].want_subject)));
	}
}

static void
test_hidden(void **given)
{
	for (size_t row = 0; row < N_ELEMENTS(hidden); row++)
		check_hidden(*given, row);
}

/* ---- one answer ---- */

/* Where a byte may be changed so that no gate can see it. */
static size_t
regions(const struct enveloped_facts *gate, struct slice ret[4])
{
	size_t n = 0;
	const struct enveloped_recipient *recipient = &gate->recipients[0];

	ret[n++] = recipient->kind == RECIPIENT_TRANSPORT ? recipient->transport.block : recipient->agreement.wrapped;
	ret[n++] = gate->iv;
	ret[n++] = gate->content;
	if (gate->tag.len)
		ret[n++] = gate->tag;
	return n;
}

static size_t
tampered(void)
{
	const char *wanted = getenv("SEGEL_TAMPERED");

	return wanted ? strtoul(wanted, NULL, 10) : 500;
}

/* The i-th change of the object: regions take turns, bits and places are spread. */
static void
change(const struct enveloped_facts *gate, struct slice der, size_t i)
{
	struct slice where[4], region;
	size_t n = regions(gate, where), at;

	region = where[i % n];
	at = (i / n * 2654435761u + i) % region.len;
	((unsigned char *)(uintptr_t)der.at)[(size_t)(region.at - der.at) + at] ^= (unsigned char)(1u << (i / n % 8));
}

/*
 * The head of a multipart/signed is what its signature is not over, and in CBC one bit of the IV is one bit of it: a letter may become a
 * capital. Nothing else may.
 */
static bool
is_same_in_other_case(const struct decrypted *decrypted, struct slice content)
{
	struct plain plain;
	AUTO_HEAD struct head head = { 0 };

	head_scan(content, &head);
	if (decrypted_facts(decrypted)->authenticated || !decrypted_plain(decrypted, GROUND_SIGNATURE, &plain))
		return false;
	return slice_equal(plain.body, head.body) && plain.n_content > 0 && plain.content[0].value.len == head.fields[0].value.len
	    && strncasecmp((const char *)plain.content[0].value.at, (const char *)head.fields[0].value.at, head.fields[0].value.len) == 0;
}

static void
check_tampered(struct office *office, const struct wanted *wanted, enum kind kind, struct slice content, size_t times)
{
	struct enveloped_facts *gate = xcalloc(1, sizeof(*gate));
	AUTO_BUF struct buf der = { 0 };
	size_t same = 0;

	office_encrypt(office, wanted, &kind, 1, content, &der);
	enveloped_read(buf_slice(&der), gate);
	assert_int_equal(gate->state, ENVELOPED_PASSES);
	for (size_t i = 0; i < times; i++) {
		AUTO(decrypted_free) struct decrypted *decrypted = NULL;
		AUTO_BUF struct buf mail = { 0 };

		change(gate, buf_slice(&der), i);
		office_mail(HEAD, buf_slice(&der), &mail);
		office_decrypt(office, kind, buf_slice(&mail), true, &decrypted);
		change(gate, buf_slice(&der), i);
		if (decrypted_facts(decrypted)->state == DECRYPT_OPENED && is_same_in_other_case(decrypted, content) && ++same < 2 + times / 20)
			continue;
		if (decrypted_facts(decrypted)->state != DECRYPT_FAILED || strcmp(decrypted_facts(decrypted)->why, FAILED_TEXT) != 0)
			fail_msg("%s, change %zu: %s '%s'", kind_names[kind], i, decrypt_state_name(decrypted_facts(decrypted)->state),
			    decrypted_facts(decrypted)->why);
		assert_string_equal(decrypted_facts(decrypted)->layers, "encrypted");
		check_nothing("changed", decrypted);
	}
	{
		AUTO(decrypted_free) struct decrypted *decrypted = NULL;
		AUTO_BUF struct buf mail = { 0 };

		office_mail(HEAD, buf_slice(&der), &mail);
		office_decrypt(office, kind, buf_slice(&mail), true, &decrypted);
		assert_int_equal(decrypted_facts(decrypted)->state, DECRYPT_OPENED);
	}
	xfree(gate);
}

static void
test_tampered(void **given)
{
	static const struct {
		struct wanted wanted;
		enum kind kind;
	} rows[] = {
		{ { ENCRYPT_AES256_CBC, KEY_PADDING_V15, false }, RSA }, { { ENCRYPT_AES256_CBC, KEY_PADDING_OAEP, false }, RSA },
		{ { ENCRYPT_AES256_GCM, KEY_PADDING_V15, false }, RSA }, { { ENCRYPT_AES256_GCM, KEY_PADDING_OAEP, false }, RSA },
		{ { ENCRYPT_AES256_CBC, KEY_PADDING_UNKNOWN, false }, P256 }, { { ENCRYPT_AES256_GCM, KEY_PADDING_UNKNOWN, false }, P384 },
	};
	AUTO_BUF struct buf entity = { 0 };
	const size_t times = tampered() / N_ELEMENTS(rows) + 1;

	office_seal(*given, slice_of(SUBJECT_HEAD ENTITY), true, &entity);
	for (size_t i = 0; i < N_ELEMENTS(rows); i++)
		check_tampered(*given, &rows[i].wanted, rows[i].kind, buf_slice(&entity), times);
	print_message("%zu changed objects\n", times * N_ELEMENTS(rows));
}

static double
seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Failures end with a slot of time: never before 25 ms are over, however early they are clear. */
static void
test_slot(void **given)
{
	static const struct wanted wanted = { ENCRYPT_AES256_CBC, KEY_PADDING_V15, false };
	static const enum kind to[] = { RSA };
	struct enveloped_facts *gate = xcalloc(1, sizeof(*gate));
	AUTO_BUF struct buf der = { 0 }, entity = { 0 };

	office_seal(*given, slice_of(SUBJECT_HEAD ENTITY), true, &entity);
	office_encrypt(*given, &wanted, to, 1, buf_slice(&entity), &der);
	enveloped_read(buf_slice(&der), gate);
	for (size_t i = 0; i < 6; i++) {
		AUTO(decrypted_free) struct decrypted *decrypted = NULL;
		AUTO_BUF struct buf mail = { 0 };
		double began;

		change(gate, buf_slice(&der), i);
		office_mail(HEAD, buf_slice(&der), &mail);
		change(gate, buf_slice(&der), i);
		began = seconds();
		office_decrypt(*given, RSA, buf_slice(&mail), false, &decrypted);
		assert_int_equal(decrypted_facts(decrypted)->state, DECRYPT_FAILED);
		assert_true(seconds() - began > 0.024);
	}
	xfree(gate);
}

/* ---- not a word without the whole ---- */

static void
test_refused(void **given)
{
	static const struct {
		const char *name, *mail;
		enum decrypt_state want;
	} rows[] = {
		{ "plain", HEAD ENTITY, DECRYPT_NONE },
		{ "PGP", HEAD "Content-Type: multipart/encrypted; protocol=\"application/pgp-encrypted\"; boundary=x\r\n\r\n--x\r\nContent-Type: "
		    "application/pgp-encrypted\r\n\r\nVersion: 1\r\n--x\r\nContent-Type: application/octet-stream\r\n\r\nabc\r\n--x--\r\n", DECRYPT_UNSUPPORTED },
		{ "no base64", HEAD "Content-Type: application/pkcs7-mime; smime-type=enveloped-data\r\nContent-Transfer-Encoding: base64\r\n\r\n%%%\r\n",
		    DECRYPT_MALFORMED },
		{ "no object", HEAD "Content-Type: application/pkcs7-mime; smime-type=enveloped-data\r\nContent-Transfer-Encoding: base64\r\n\r\nMAA=\r\n",
		    DECRYPT_MALFORMED },
		{ "two Content-Types", HEAD "Content-Type: text/plain\r\nContent-Type: application/pkcs7-mime; smime-type=enveloped-data\r\n"
		    "Content-Transfer-Encoding: base64\r\n\r\nMAA=\r\n", DECRYPT_NONE },
		{ "nothing", HEAD "Content-Type: application/pkcs7-mime; smime-type=enveloped-data\r\nContent-Transfer-Encoding: base64\r\n\r\n",
		    DECRYPT_MALFORMED },
	};

	for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
		AUTO(decrypted_free) struct decrypted *decrypted = NULL;

		office_decrypt(*given, RSA, slice_of(rows[i].mail), true, &decrypted);
		if (decrypted_facts(decrypted)->state != rows[i].want)
			fail_msg("%s: %s '%s'", rows[i].name, decrypt_state_name(decrypted_facts(decrypted)->state), decrypted_facts(decrypted)->why);
		check_nothing(rows[i].name, decrypted);
	}
}

/* ---- whose memory it is ---- */

/* Layers as above; or one encryption whose object stands there as it is. */
static void
mail_of(struct office *office, const char *layers, bool binary, struct buf *ret)
{
	static const struct wanted wanted = { ENCRYPT_AES256_GCM, KEY_PADDING_OAEP, false };
	static const enum kind to[] = { RSA };
	AUTO_BUF struct buf entity = { 0 };

	buf_init(ret, LIMIT_MESSAGE_BYTES);
	buf_init(&entity, LIMIT_MESSAGE_BYTES);
	buf_add_text(&entity, ENTITY);
	if (binary) {
		AUTO_BUF struct buf der = { 0 };

		office_encrypt(office, &wanted, to, 1, buf_slice(&entity), &der);
		buf_add_text(ret, HEAD "Content-Type: application/pkcs7-mime; smime-type=enveloped-data\r\nContent-Transfer-Encoding: binary\r\n\r\n");
		buf_add_slice(ret, buf_slice(&der));
		return;
	}
	for (; *layers; layers++) {
		AUTO_BUF struct buf outer = { 0 };

		wrap_layer(office, *layers, buf_slice(&entity), &outer);
		buf_done(&entity);
		entity = buf_take(&outer);
	}
	buf_add_text(ret, HEAD);
	buf_add_slice(ret, buf_slice(&entity));
}

static void
test_spent(void **given)
{
	static const struct {
		const char *name, *layers;
		bool binary;
		enum decrypt_state want;
		bool spent;
	} rows[] = {
		{ "base64", "g", false, DECRYPT_OPENED, true },
		{ "in a clear-signed one", "gs", false, DECRYPT_OPENED, true },
		{ "to somebody else", "o", false, DECRYPT_OTHERS, true },
		{ "not proven", "c", false, DECRYPT_FAILED, true },
		{ "in an opaque signed one", "gS", false, DECRYPT_OPENED, false },
		{ "not encoded", "", true, DECRYPT_OPENED, false },
		{ "a part of it", "gm", false, DECRYPT_NONE, false },
		{ "not encrypted", "s", false, DECRYPT_NONE, false },
	};

	for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
		AUTO(decrypted_free) struct decrypted *decrypted = NULL;
		AUTO_BUF struct buf mail = { 0 }, spend = { 0 };

		mail_of(*given, rows[i].layers, rows[i].binary, &mail);
		buf_init(&spend, LIMIT_MESSAGE_BYTES);
		buf_add_slice(&spend, buf_slice(&mail));
		office_decrypt_in(*given, RSA, buf_slice(&spend), &spend, true, &decrypted);
		if (decrypted_facts(decrypted)->state != rows[i].want || (spend.at == NULL) != rows[i].spent)
			fail_msg("%s: %s, %s", rows[i].name, decrypt_state_name(decrypted_facts(decrypted)->state), spend.at ? "not spent" : "spent");
		assert_true(rows[i].spent || slice_equal(buf_slice(&spend), buf_slice(&mail)));
	}
}

/* Forgotten, it is not given out any more; what was found out stays. */
static void
test_forgotten(void **given)
{
	AUTO(decrypted_free) struct decrypted *decrypted = NULL;
	AUTO_BUF struct buf mail = { 0 };
	struct message_facts inside;
	struct plain plain;
	struct err err;

	mail_of(*given, "sg", false, &mail);
	office_decrypt(*given, RSA, buf_slice(&mail), true, &decrypted);
	assert_true(decrypted_plain(decrypted, GROUND_CIPHER, &plain) && decrypted_plain(decrypted, GROUND_SIGNATURE, &plain));
	decrypted_forget(decrypted);
	assert_false(decrypted_plain(decrypted, GROUND_CIPHER, &plain) || decrypted_plain(decrypted, GROUND_SIGNATURE, &plain));
	assert_int_equal(decrypted_inspect(decrypted, &inside, &err), -1);
	assert_int_equal(decrypted_facts(decrypted)->state, DECRYPT_OPENED);
	assert_string_equal(decrypted_facts(decrypted)->layers, "encrypted/signed");
	assert_int_equal(decrypted_signature(decrypted)->state, SIGNATURE_GOOD);
	decrypted_forget(decrypted);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_theirs),
		cmocka_unit_test(test_whose),
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_layers),
		cmocka_unit_test(test_strict),
		cmocka_unit_test(test_hidden),
		cmocka_unit_test(test_tampered),
		cmocka_unit_test(test_slot),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_spent),
		cmocka_unit_test(test_forgotten),
	};

	return cmocka_run_group_tests(tests, office_open, office_close);
}
