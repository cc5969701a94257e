/*
 * mkattack: one signed message with one flaw, as files: PREFIX.eml, and its CMS object alone in PREFIX.p7s.
 *
 *     mkattack --out a5 --signer good --form opaque --flaw no-attributes
 *     mkattack --out a1 --signer good --from 'Camat <camat@kota.example>'
 *     mkattack --out a33 --signer good --find 'boundary=forged' --put 'boundary=forged; boundary=x'
 *
 * The recipes are in tests/pki/attacks.tsv. The DER is tests/support/forge's; signers are PREFIX.crt and PREFIX.key
 * in the working directory. Without an option that says otherwise the message is a good one.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/support/forge.h"

enum { MOST = 8, ROOM = 16 * 1024 * 1024 };

#define TO_DATE_ID "To: siti@penerima.example\r\nSubject: Undangan\r\nDate: Mon, 02 Nov 2026 08:00:00 +0700\r\n" \
	"Message-ID: <1@kota.example>\r\n"
#define FROM "dinas@kota.example"
#define TYPE "Content-Type: text/plain"
#define TEXT "\r\n\r\nRapat Senin pukul 09.00.\r\n"

struct options {
	const char *out, *signer, *other, *digest, *form, *around, *from, *time;
	const char *entity, *entity_file, *econtent, *head, *crl, *cms;
	const char *find[MOST], *put[MOST];
	size_t n_find, n_put;
	unsigned flaws;
	bool protected, confused;
};

static const struct {
	const char *name;
	unsigned flaw;
} flaws[] = {
	{ "pieces", FORGE_PIECES }, { "deep-pieces", FORGE_DEEP_PIECES }, { "type-not-data", FORGE_TYPE_NOT_DATA },
	{ "no-attributes", FORGE_NO_ATTRIBUTES }, { "no-content-type", FORGE_NO_CONTENT_TYPE }, { "no-digest", FORGE_NO_DIGEST },
	{ "two-digests", FORGE_TWO_DIGESTS }, { "two-values", FORGE_TWO_VALUES }, { "ber-attributes", FORGE_BER_ATTRIBUTES },
	{ "odd-time", FORGE_ODD_TIME }, { "ess", FORGE_ESS }, { "ess-other", FORGE_ESS_OTHER }, { "no-signer", FORGE_NO_SIGNER },
	{ "two-signers", FORGE_TWO_SIGNERS }, { "key-id", FORGE_KEY_ID }, { "other-version", FORGE_OTHER_VERSION },
	{ "not-listed", FORGE_NOT_LISTED }, { "other-hash", FORGE_OTHER_HASH }, { "pss", FORGE_PSS }, { "pss-short", FORGE_PSS_SHORT },
	{ "no-certs", FORGE_NO_CERTS }, { "cert-twice", FORGE_CERT_TWICE }, { "many-certs", FORGE_MANY_CERTS },
	{ "many-signers", FORGE_MANY_SIGNERS }, { "trailing", FORGE_TRAILING }, { "bad-signature", FORGE_BAD_SIGNATURE },
	{ "unsigned", FORGE_UNSIGNED }, { "indefinite", FORGE_INDEFINITE }, { "unsorted", FORGE_UNSORTED }, { "none", 0 },
};

static void
fail(const char *what, const char *value)
{
	fprintf(stderr, "mkattack: %s: %s\n", what, value);
	exit(EXIT_FAILURE);
}

/* ---- text ---- */

static int
digit(char c)
{
	const char *digits = "0123456789abcdef", *at = strchr(digits, c);

	return c && at ? (int)(at - digits) : -1;
}

/* One escape behind its backslash; says how long it is. */
static size_t
add_escape(const char *at, struct buf *ret)
{
	static const struct {
		char name;
		char byte;
	} names[] = { { 'r', '\r' }, { 'n', '\n' }, { 't', '\t' }, { '0', '\0' }, { '\\', '\\' }, { '{', '{' } };

	for (size_t i = 0; i < N_ELEMENTS(names); i++) {
		if (names[i].name == *at) {
			buf_add(ret, &names[i].byte, 1);
			return 1;
		}
	}
	if (*at == 'x' && digit(at[1]) >= 0 && digit(at[2]) >= 0) {
		const char byte = (char)(digit(at[1]) << 4 | digit(at[2]));

		buf_add(ret, &byte, 1);
		return 3;
	}
	fail("no such escape; want one of \\r \\n \\t \\0 \\\\ \\{ \\xHH", at);
	return 0;
}

/* The text with its escapes undone; "{20*ab}" is "ab" twenty times. */
static void
add_text(const char *text, size_t len, struct buf *ret)
{
	for (size_t i = 0; i < len;) {
		char *end = NULL;
		const char *close;
		unsigned long times;

		if (text[i] == '\\') {
			i += 1 + add_escape(text + i + 1, ret);
			continue;
		}
		if (text[i] != '{') {
			buf_add(ret, text + i++, 1);
			continue;
		}
		times = strtoul(text + i + 1, &end, 10);
		close = memchr(text + i, '}', len - i);
		if (*end != '*' || !close)
			fail("a '{' that does not go on as {20*text}", text + i);
		for (unsigned long n = 0; n < times; n++)
			add_text(end + 1, (size_t)(close - end - 1), ret);
		i = (size_t)(close - text) + 1;
	}
}

static struct slice
unescape(const char *text, struct buf *room)
{
	buf_init(room, ROOM);
	add_text(text, strlen(text), room);
	return buf_slice(room);
}

static void
read_file(const char *name, struct buf *ret)
{
	FILE *file = fopen(name, "re");
	char bytes[4096];
	size_t len;

	if (!file)
		fail("cannot read", name);
	buf_init(ret, ROOM);
	while ((len = fread(bytes, 1, sizeof(bytes), file)) > 0)
		buf_add(ret, bytes, len);
	fclose(file);
}

static void
write_file(const char *prefix, const char *suffix, struct slice bytes)
{
	char *name = xasprintf("%s%s", prefix, suffix);
	FILE *file = fopen(name, "we");

	if (!file || fwrite(bytes.at, 1, bytes.len, file) != bytes.len || fclose(file) != 0)
		fail("cannot write", name);
	xfree(name);
}

static time_t
parse_time(const char *text)
{
	static const struct {
		char unit;
		long seconds;
	} units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 } };
	char *end = NULL;
	long count = strtol(text, &end, 10);

	if (strcmp(text, "none") == 0)
		return 0;
	for (size_t i = 0; i < N_ELEMENTS(units); i++) {
		if (units[i].unit == end[0] && end[1] == '\0')
			return time(NULL) + count * units[i].seconds;
	}
	fail("want a time like -1d, +1h, or none", text);
	return 0;
}

/* ---- the message ---- */

static void
make_head(const struct options *options, const char *from, struct buf *ret)
{
	AUTO_BUF struct buf more = { 0 }, name = { 0 };

	buf_init(ret, ROOM);
	buf_add_text(ret, "From: ");
	buf_add_slice(ret, unescape(from, &name));
	buf_add_text(ret, "\r\n" TO_DATE_ID);
	if (options->head)
		buf_add_slice(ret, unescape(options->head, &more));
}

/* What is signed. With --protected the fields of a good message stand in its head (RFC 9788). */
static void
make_entity(const struct options *options, struct buf *ret)
{
	AUTO_BUF struct buf text = { 0 };

	buf_init(ret, ROOM);
	if (options->entity_file)
		read_file(options->entity_file, ret);
	else if (options->entity)
		buf_add_slice(ret, unescape(options->entity, &text));
	else if (options->protected)
		buf_add_text(ret, "From: " FROM "\r\n" TO_DATE_ID TYPE "; hp=\"clear\"" TEXT);
	else
		buf_add_text(ret, TYPE TEXT);
}

static void
make_object(const struct options *options, struct slice entity, struct buf *ret, struct buf *content)
{
	AUTO_BUF struct buf econtent = { 0 }, crl = { 0 }, plain = { 0 };
	struct forge forge = {
		.signer = options->signer, .other = options->other, .digest = options->digest, .content = entity,
		.signing_time = parse_time(options->time), .flaws = options->flaws,
	};

	if (options->cms) {
		read_file(options->cms, ret);
		return;
	}
	if (strcmp(options->form, "opaque") == 0 && !options->confused)
		forge.flaws |= FORGE_OPAQUE;
	if (strcmp(options->form, "hollow") == 0)
		forge.flaws &= ~(unsigned)FORGE_OPAQUE;
	if (options->econtent)
		forge.econtent = unescape(options->econtent, &econtent);
	if (options->crl) {
		read_file(options->crl, &crl);
		forge.crl = buf_slice(&crl);
	}
	if (!options->confused) {
		forge_cms(&forge, ret);
		return;
	}
	forge_cms(&forge, &plain);
	forge_confused(buf_slice(&plain), ret, content);
}

static void
make_form(const struct options *options, const char *head, struct slice entity, struct slice cms, struct buf *ret)
{
	if (strcmp(options->form, "clear") == 0) {
		forge_clear_mail(head, entity, cms, ret);
	} else if (strcmp(options->form, "opaque") == 0 || strcmp(options->form, "hollow") == 0) {
		forge_opaque_mail(head, cms, ret);
	} else if (strcmp(options->form, "plain") == 0) {
		buf_init(ret, ROOM);
		buf_printf(ret, "%sMIME-Version: 1.0\r\n", head);
		buf_add_slice(ret, entity);
	} else {
		fail("no such form; want clear, opaque, hollow or plain", options->form);
	}
}

/* The signed entity (with rfc822 the signed message) as a part of another message, of whoever is in --from. */
static void
put_around(const struct options *options, const char *head, struct slice entity, struct slice cms, struct buf *ret)
{
	const bool message = strcmp(options->around, "rfc822") == 0 || strcmp(options->around, "mixed-rfc822") == 0;
	AUTO_BUF struct buf inner = { 0 }, own = { 0 };

	make_head(options, FROM, &own);
	make_form(options, message ? buf_text(&own) : "", entity, cms, &inner);
	buf_init(ret, ROOM);
	if (strcmp(options->around, "rfc822") == 0) {
		buf_printf(ret, "%sMIME-Version: 1.0\r\nContent-Type: message/rfc822\r\n\r\n", head);
		buf_add_slice(ret, buf_slice(&inner));
		return;
	}
	buf_printf(ret, "%sMIME-Version: 1.0\r\nContent-Type: multipart/%s; boundary=luar\r\n\r\n--luar\r\n\r\nBayar sekarang.\r\n--luar\r\n%s", head,
	    message ? "mixed" : options->around, message ? "Content-Type: message/rfc822\r\n\r\n" : "");
	buf_add_slice(ret, buf_slice(&inner));
	buf_add_text(ret, "\r\n--luar--\r\n");
}

/* The first place where it stands: of what is in the head and in the signed part, the head's. */
static void
change(const char *find, const char *put, struct buf *mail)
{
	AUTO_BUF struct buf changed = { 0 }, old_room = { 0 }, new_room = { 0 };
	const struct slice old = unescape(find, &old_room), new = unescape(put, &new_room);
	const unsigned char *at = memmem(mail->at, mail->len, old.at, old.len);
	struct buf swap = *mail;

	if (!at)
		fail("this is not in the message", find);
	buf_init(&changed, ROOM);
	buf_add(&changed, mail->at, (size_t)(at - mail->at));
	buf_add_slice(&changed, new);
	buf_add(&changed, at + old.len, (size_t)(mail->at + mail->len - at) - old.len);
	*mail = changed;
	changed = swap;
}

static void
make(const struct options *options)
{
	AUTO_BUF struct buf head = { 0 }, entity = { 0 }, cms = { 0 }, content = { 0 }, mail = { 0 };

	make_head(options, options->from, &head);
	make_entity(options, &entity);
	make_object(options, buf_slice(&entity), &cms, &content);
	(strcmp(options->around, "none") == 0 ? make_form : put_around)(options, buf_text(&head),
	    buf_slice(content.len ? &content : &entity), buf_slice(&cms), &mail);
	for (size_t i = 0; i < options->n_find; i++)
		change(options->find[i], options->put[i], &mail);
	if (buf_full(&mail))
		fail("too large", options->out);
	write_file(options->out, ".eml", buf_slice(&mail));
	write_file(options->out, ".p7s", buf_slice(&cms));
}

/* ---- options ---- */

static int
usage(void)
{
	fputs("usage: mkattack --out PREFIX --signer PREFIX [--form clear|opaque|hollow|plain] [--other PREFIX] [--digest sha256] [--time T|none]\n"
	      "    [--flaw NAME]... [--confused] [--crl FILE] [--cms FILE] [--protected] [--entity TEXT | --entity-file FILE] [--econtent TEXT]\n"
	      "    [--from TEXT] [--head FIELDS] [--around mixed|related|alternative|rfc822|mixed-rfc822] [--find TEXT --put TEXT]...\n"
	      "TEXT has escapes (\\r \\n \\t \\0 \\xHH) and repetitions ({20*ab}); T is like -1d or +1h\nflaws:",
	    stderr);
	for (size_t i = 0; i < N_ELEMENTS(flaws); i++)
		fprintf(stderr, " %s", flaws[i].name);
	fputs("\n", stderr);
	return 2;
}

static unsigned
flaw_of(const char *name)
{
	for (size_t i = 0; i < N_ELEMENTS(flaws); i++) {
		if (strcmp(flaws[i].name, name) == 0)
			return flaws[i].flaw;
	}
	fail("no such flaw", name);
	return 0;
}

static void
keep(const char *list[MOST], size_t *n, const char *value)
{
	if (*n == MOST)
		fail("too many of one kind", value);
	list[(*n)++] = value;
}

static bool
read_options(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
		{ "out", required_argument, NULL, 'o' }, { "signer", required_argument, NULL, 's' }, { "other", required_argument, NULL, 'O' },
		{ "digest", required_argument, NULL, 'd' }, { "form", required_argument, NULL, 'f' }, { "around", required_argument, NULL, 'a' },
		{ "from", required_argument, NULL, 'F' }, { "time", required_argument, NULL, 't' }, { "entity", required_argument, NULL, 'e' },
		{ "entity-file", required_argument, NULL, 'E' }, { "econtent", required_argument, NULL, 'c' },
		{ "head", required_argument, NULL, 'h' }, { "crl", required_argument, NULL, 'C' }, { "cms", required_argument, NULL, 'm' },
		{ "find", required_argument, NULL, '1' }, { "put", required_argument, NULL, '2' }, { "flaw", required_argument, NULL, 'x' },
		{ "protected", no_argument, NULL, 'p' }, { "confused", no_argument, NULL, 'u' }, { NULL, 0, NULL, 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (option) {
		case 'o': o->out = optarg; break;
		case 's': o->signer = optarg; break;
		case 'O': o->other = strcmp(optarg, "none") == 0 ? NULL : optarg; break;
		case 'd': o->digest = optarg; break;
		case 'f': o->form = optarg; break;
		case 'a': o->around = optarg; break;
		case 'F': o->from = optarg; break;
		case 't': o->time = optarg; break;
		case 'e': o->entity = optarg; break;
		case 'E': o->entity_file = optarg; break;
		case 'c': o->econtent = *optarg ? optarg : NULL; break;
		case 'h': o->head = optarg; break;
		case 'C': o->crl = strcmp(optarg, "none") == 0 ? NULL : optarg; break;
		case 'm': o->cms = strcmp(optarg, "none") == 0 ? NULL : optarg; break;
		case '1': keep(o->find, &o->n_find, optarg); break;
		case '2': keep(o->put, &o->n_put, optarg); break;
		case 'x': o->flaws |= flaw_of(optarg); break;
		case 'p': o->protected = true; break;
		case 'u': o->confused = true; break;
		default: return false;
		}
	}
	return o->out && o->signer && optind == argc && o->n_find == o->n_put;
}

int
main(int argc, char **argv)
{
	struct options options = { .form = "clear", .around = "none", .from = FROM, .time = "-1m" };

	if (!read_options(argc, argv, &options))
		return usage();
	make(&options);
	return 0;
}
