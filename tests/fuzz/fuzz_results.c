/*
 * Authentication-Results. Facts with any texts in them: the field that is written is one, whose id can be read back
 * and whose lines every hop takes. And any field from outside: asked whether it is ours, with ids of any kind; what
 * another reader would take for our id, written in plain, is never left.
 */
#include "tests/fuzz/fuzz.h"

#include "milter/filter/results.h"

#define ID "mx.kota.example"

struct scene {
	struct policy_input input;
	struct config config;
	struct message_facts message;
	struct registry_facts registry;
	struct signature_facts signature;
	struct findings findings;
};

static void
feed_into(struct feed *feed, char *ret, size_t room)
{
	AUTO(xfree) char *text = feed_text(feed, room - 1);

	snprintf(ret, room, "%s", text);
}

static void
make_scene(struct feed *feed, struct scene *scene)
{
	struct cert_facts *signer = &scene->signature.signer;
	const unsigned bits = feed_byte(feed);

	*scene = (struct scene){ .input.now = 1790000000, .input.poison = bits & 1, .input.without_registry = bits & 2 };
	scene->input.config = &scene->config;
	scene->input.message = bits & 4 ? NULL : &scene->message;
	scene->input.signature = bits & 8 ? NULL : &scene->signature;
	scene->input.registry = bits & 16 ? NULL : &scene->registry;
	scene->message.from.state = (enum mailbox_state)(feed_byte(feed) % (MAILBOX_ONE + 1));
	scene->message.sender.state = (enum mailbox_state)(feed_byte(feed) % (MAILBOX_ONE + 1));
	scene->message.outer = (enum layer)(feed_byte(feed) % (LAYER_OTHER + 1));
	scene->message.mime = (enum mime_state)(feed_byte(feed) % (MIME_CLEAR + 1));
	scene->message.n_parts = feed_byte(feed) % 4;
	scene->signature.state = (enum signature_state)(feed_byte(feed) % (SIGNATURE_UNSUPPORTED + 1));
	scene->signature.coverage = (enum coverage)(feed_byte(feed) % (COVERAGE_WHOLE + 1));
	scene->signature.has_signer = bits & 32;
	scene->signature.protection = (enum protection)(feed_byte(feed) % (PROTECTION_MISMATCH + 1));
	scene->signature.chain.state = (enum chain_state)(feed_byte(feed) % (CHAIN_LIMIT + 1));
	scene->signature.chain.anchor = (enum anchor)(feed_byte(feed) % (ANCHOR_PARTNER + 1));
	scene->signature.chain.revocation = (enum revocation_state)(feed_byte(feed) % (REVOCATION_REVOKED + 1));
	scene->registry.signer.answer = (enum registry_answer)(feed_byte(feed) % (REGISTRY_FOUND + 1));
	scene->registry.signer.cert.bound = (enum bound_to)(feed_byte(feed) % (BOUND_DOMAIN + 1));
	for (unsigned n = feed_byte(feed) % (MAX_FINDINGS + 2); n > 0; n--)
		finding_add(&scene->findings, (enum reason)(feed_byte(feed) % (N_REASONS + 2)), "x");
	feed_into(feed, scene->message.from.address, sizeof(scene->message.from.address));
	feed_into(feed, signer->issuer, sizeof(signer->issuer));
	feed_into(feed, signer->serial, sizeof(signer->serial));
	signer->n_addresses = feed_byte(feed) % 3;
	for (size_t i = 0; i < signer->n_addresses; i++)
		feed_into(feed, signer->addresses[i], sizeof(signer->addresses[i]));
}

/* All that "pass" claims. */
static bool
may_pass(const struct scene *scene)
{
	const struct policy_input *input = &scene->input;

	return !input->poison && !input->without_registry && input->message && input->signature && input->registry
	    && scene->signature.state == SIGNATURE_GOOD && scene->signature.coverage == COVERAGE_WHOLE && scene->signature.has_signer
	    && scene->signature.chain.state == CHAIN_GOOD && scene->signature.chain.revocation == REVOCATION_GOOD
	    && scene->registry.signer.answer == REGISTRY_FOUND && !scene->findings.overflow;
}

static void
is_one_field(const char *value, size_t len)
{
	size_t line = strlen("Authentication-Results: "), n_methods = 0;
	bool quoted = false;

	fuzz_must(strlen(value) == len && len <= RESULTS_BYTES, "it fits, and holds no NUL");
	for (size_t i = 0; i < len; i++) {
		fuzz_must(value[i] == '\n' || value[i] == '\t' || (value[i] >= ' ' && value[i] < 0x7f), "printable ASCII");
		fuzz_must(value[i] != '\n' || (value[i + 1] == '\t' && !quoted), "a line end is a fold, and in no string");
		fuzz_must(value[i] != '(' || quoted, "no comment");
		quoted ^= value[i] == '"';
		n_methods += value[i] == ';' && !quoted;
		line = value[i] == '\n' ? 0 : line + 1;
		fuzz_must(line <= 998, "lines that every hop takes");
	}
	fuzz_must(!quoted, "strings end");
	fuzz_must(n_methods == 1, "one method");
}

static void
render(const char *id, const struct scene *scene)
{
	AUTO_BUF struct buf text = { 0 };
	struct field field;

	buf_init(&text, RESULTS_BYTES);
	results_render(id, &scene->input, &scene->findings, &text);
	fuzz_must(!buf_full(&text), "it fits");
	is_one_field(buf_text(&text), text.len);
	fuzz_must(!strstr(buf_text(&text), "smime=pass\n") || may_pass(scene), "pass is established");
	field = (struct field){ .value = buf_slice(&text) };
	fuzz_must(results_claims(&field, id), "ours is read back as ours");
}

/* A field from outside, as it came and with our id before it. */
static void
claim(struct slice value, const char *id)
{
	AUTO_BUF struct buf ours = { 0 };
	struct field field = { .value = value };

	(void)results_claims(&field, id);
	(void)results_claims(&field, ID);
	buf_init(&ours, value.len + 64);
	buf_add_text(&ours, " " ID ";");
	buf_add_slice(&ours, value);
	field.value = buf_slice(&ours);
	fuzz_must(results_claims(&field, ID), "our id in plain is ours");
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	AUTO(xfree) struct scene *scene = xcalloc(1, sizeof(*scene));
	struct feed feed = { bytes, len };
	AUTO(xfree) char *id = feed_text(&feed, 250);

	claim((struct slice){ feed.at, feed.len }, id);
	make_scene(&feed, scene);
	render(id, scene);
	render(ID, scene);
	return 0;
}
