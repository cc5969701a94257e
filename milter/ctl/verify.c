/*
 * segelctl verify: judges messages in files, offline: from their bytes, folders of certificates, CRLs and OCSP
 * answers, a registry, and a time. Nothing else is asked, so the same inputs always give the same output:
 * no clock (with --at), no network, and no settings but those of -c.
 */
#include <string.h>

#include "milter/ctl/crlf.h"
#include "milter/ctl/nouns.h"
#include "milter/ctl/trust_store.h"
#include "milter/ctl/verify_show.h"
#include "policy/check.h"
#include "policy/config.h"
#include "smime/address.h"
#include "smime/head.h"
#include "smime/inspect.h"
#include "smime/verify.h"

enum { PROBLEM_BYTES = 64 * 1024 };

/* What all files are judged by. */
struct court {
	struct config *config;
	struct trust *trust;
	struct registry *registry; /* NULL = not asked */
	const char *from;          /* NULL = the message's own */
	time_t at;
	bool any_strength;
};

static void
court_done(struct court *court)
{
	config_free(court->config);
	trust_free(court->trust);
	registry_close(court->registry);
}

static enum ctl_exit
load_config(struct ctl *ctl, struct court *court)
{
	AUTO_BUF struct buf problems = { 0 };

	buf_init(&problems, PROBLEM_BYTES);
	if (config_load(ctl->config_file, &court->config, &problems) == 0)
		return CTL_OK;
	return ctl_fail(ctl, CTL_UNAVAILABLE, "the settings cannot be read: %s", buf_text(&problems));
}

/* Each file that was not taken is named; what is missing then shows in the verdict. */
static void
print_problems(struct ctl *ctl, const struct buf *problems)
{
	const char *text = buf_text(problems), *line;
	size_t len;

	while ((line = text_line(&text, &len)))
		(void)ctl_fail(ctl, CTL_OK, "%.*s", (int)len, line);
}

static enum ctl_exit
load_trust(struct ctl *ctl, struct court *court)
{
	const struct trust_folders folders = {
		.anchors = ctl_option(ctl, "trust"), .crls = ctl_option(ctl, "crl"), .ocsp = ctl_option(ctl, "ocsp"),
	};
	const struct trust_ages ages = trust_ages_of(court->config);
	AUTO_BUF struct buf problems = { 0 };
	struct err err = { 0 };
	int result;

	buf_init(&problems, PROBLEM_BYTES);
	result = trust_load(&folders, &ages, &court->trust, &problems, &err);
	print_problems(ctl, &problems);
	return result == 0 ? CTL_OK : ctl_fail_err(ctl, CTL_UNAVAILABLE, &err);
}

static enum ctl_exit
open_registry(struct ctl *ctl, struct court *court)
{
	struct err err = { 0 };

	if (!ctl->registry_file || registry_open(ctl->registry_file, (int)court->config->registry.timeout, &court->registry, &err) == 0)
		return CTL_OK;
	return ctl_fail_err(ctl, CTL_UNAVAILABLE, &err);
}

static enum ctl_exit
read_options(struct ctl *ctl, struct court *court)
{
	const char *at = ctl_option(ctl, "at");

	court->at = ctl->now;
	court->from = ctl_option(ctl, "from");
	court->any_strength = ctl_flag(ctl, "no-algorithm-policy");
	if (at && !ctl_time_from(at, &court->at))
		return ctl_fail(ctl, CTL_USAGE, "--at '%s' is no time; wanted 2026-11-21 or 2026-11-21T08:00:00Z (UTC)", at);
	if (court->from && (strlen(court->from) > LIMIT_ADDRESS_BYTES || !addr_spec_is_plain(slice_of(court->from), true)))
		return ctl_fail(ctl, CTL_USAGE, "--from '%s' is no address; wanted one as local@domain, without name and brackets",
		    court->from);
	return CTL_OK;
}

static enum ctl_exit
open_court(struct ctl *ctl, struct court *court)
{
	enum ctl_exit code = read_options(ctl, court);

	if (code == CTL_OK)
		code = load_config(ctl, court);
	if (code == CTL_OK)
		code = load_trust(ctl, court);
	return code == CTL_OK ? open_registry(ctl, court) : code;
}

/* Without a single header field it is something else: a certificate, an archive, an empty file. */
static bool
is_message(struct slice bytes)
{
	AUTO_HEAD struct head head = { 0 };

	head_scan(bytes, &head);
	return head.n_fields > 0;
}

static int
find_facts(const struct court *court, struct slice bytes, struct judged *ret, struct err *err)
{
	struct message_facts facts;
	const struct verify_request request = {
		.message = bytes, .facts = &facts, .trust = court->trust, .at = court->at, .any_strength = court->any_strength,
	};

	if (smime_inspect(bytes, &facts, err) == -1 || smime_verify(&request, &ret->signature, err) == -1)
		return -1;
	if (court->any_strength)
		ret->signature.weak = false;
	ret->message = facts;
	if (court->from) {
		ret->message.from = (struct mailbox_facts){ .state = MAILBOX_ONE };
		snprintf(ret->message.from.address, sizeof(ret->message.from.address), "%s", court->from);
	}
	ret->without_registry = court->registry == NULL;
	if (court->registry && ret->signature.has_signer)
		registry_signer(court->registry, &ret->signature.signer,
		    ret->message.from.state == MAILBOX_ONE ? ret->message.from.address : "", court->at, &ret->registry.signer);
	return 0;
}

/* In every class, as if it had come that way; the connection and the envelope are nobody's business here. */
static void
judge(const struct court *court, struct judged *judged)
{
	static const struct transport_facts no_transport;
	static const struct envelope_facts no_envelope;
	struct policy_input input = {
		.config = court->config, .transport = &no_transport, .envelope = &no_envelope, .message = &judged->message,
		.registry = &judged->registry, .signature = &judged->signature, .without_registry = judged->without_registry,
		.now = court->at,
	};

	identity_judge(&input, &judged->identity);
	for (int class = CLASS_SUBMISSION; class < N_CLASSES; class++) {
		input.class = (enum class)class;
		check_all(&input, STAGE_CONTENT, &judged->findings[class]);
		judged->verdicts[class] = policy_decide(input.class, &judged->findings[class], &court->config->table);
	}
}

/* One JSON object a file, whatever became of it. */
static enum ctl_exit
fail(struct ctl *ctl, enum ctl_exit code, const char *file, const char *why)
{
	if (ctl->json)
		verify_show_error(ctl, file, why);
	return ctl_fail(ctl, code, "%s: %s", file, why);
}

static enum ctl_exit
verify_file(struct ctl *ctl, const struct court *court, const char *file)
{
	AUTO_BUF struct buf message = { 0 };
	AUTO(xfree) struct judged *judged = xcalloc(1, sizeof(*judged));
	struct err err = { 0 };

	buf_init(&message, LIMIT_MESSAGE_BYTES);
	judged->file = file;
	if (ctl_read_received(file, &message, &err) == -1)
		return fail(ctl, CTL_UNAVAILABLE, file, err.text);
	if (!is_message(buf_slice(&message)))
		return fail(ctl, CTL_FALSE, file, "this is no message: it does not begin with a header field");
	if (find_facts(court, buf_slice(&message), judged, &err) == -1)
		return fail(ctl, CTL_UNAVAILABLE, file, err.text);
	judge(court, judged);
	if (ctl->json)
		verify_show_json(ctl, judged);
	else
		verify_show_text(ctl, judged);
	return CTL_OK;
}

static enum ctl_exit
verify_files(struct ctl *ctl, const struct court *court)
{
	enum ctl_exit worst = CTL_OK;

	for (size_t i = 0; ctl_arg(ctl, i); i++) {
		enum ctl_exit code;

		if (i > 0 && !ctl->json)
			fputc('\n', ctl->out);
		code = verify_file(ctl, court, ctl_arg(ctl, i));
		if (code > worst)
			worst = code;
	}
	return worst;
}

static enum ctl_exit
verify(struct ctl *ctl)
{
	struct court court = { .config = NULL };
	enum ctl_exit code = open_court(ctl, &court);

	if (code == CTL_OK)
		code = verify_files(ctl, &court);
	court_done(&court);
	return code;
}

static const struct ctl_option options[] = {
	{ .name = "at", .meta = "TIME", .help = "when the message was received (now)" },
	{ .name = "trust", .meta = "DIR", .help = "trusted and issuing authorities, PEM or DER; sub-folders official and partner (none)" },
	{ .name = "crl", .meta = "DIR", .help = "CRLs, PEM or DER (none)" },
	{ .name = "ocsp", .meta = "DIR", .help = "OCSP answers (none)" },
	{ .name = "from", .meta = "ADDRESS", .help = "judge for this address instead of the one in From" },
	{ .name = "no-algorithm-policy", .help = "weak digests and keys are no finding" },
	{ .name = NULL },
};

const struct ctl_command ctl_verify_commands[] = {
	{ "", CTL_READS, { "FILE..." }, options, "judge the signatures of messages, offline (--registry: ask the OP's registry)", verify },
	{ .run = NULL },
};
