#include "milter/split/transform.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "milter/ciphertext.h"
#include "milter/recipients.h"
#include "smime/cert.h"
#include "smime/encrypt.h"
#include "smime/head.h"
#include "smime/inspect.h"
#include "smime/verify.h"

/* Everything that one letter is looked at with. */
struct look {
	const struct split_snapshot *snapshot;
	const struct letter *letter;
	const struct trust_held *held; /* NULL: could not be had */
	struct err trust_err;
	time_t now;
	struct slice bytes;
	struct head head;
	struct message_facts facts;
	bool trigger;    /* the sender asked for encryption */
	bool ciphertext; /* its author encrypted it: what it says, its bytes are */
	struct transformed *ret;
};

static bool stop(struct look *look, enum transform_action action, enum reason reason, const char *fmt, ...) PRINTF_LIKE(4, 5);

/* Always false: nothing goes on. */
static bool
stop(struct look *look, enum transform_action action, enum reason reason, const char *fmt, ...)
{
	char *text = look->ret->evidence;
	va_list args;

	look->ret->action = action;
	look->ret->reason = reason;
	va_start(args, fmt);
	vsnprintf(text, sizeof(look->ret->evidence), fmt, args);
	va_end(args);
	for (; *text; text++)
		if (*text < 0x20 || *text > 0x7e)
			*text = '?';
	return false;
}

/* ---- sealed by us? ---- */

static bool
unsealed(struct look *look, const char *why)
{
	const bool reject = look->snapshot->config->split.unsealed == UNSEALED_REJECT;

	return stop(look, reject ? TRANSFORM_REFUSE : TRANSFORM_DEFER, REASON_SEAL_REQUIRED, "%s", why);
}

/* NULL = it holds. Not what a path leads to: the registry names the certificates that seal here, one by one. */
static const char *
signature_fault(const struct signature_facts *signature)
{
	if (signature->state != SIGNATURE_GOOD || !signature->has_signer)
		return "no good signature";
	if (signature->coverage != COVERAGE_WHOLE)
		return "the signature is about a part";
	if (signature->weak || signature->unfit)
		return "the signature is weak or its certificate unfit";
	if (signature->protection == PROTECTION_MISMATCH)
		return "a header field is not the one that was signed";
	if (signature->chain.revocation == REVOCATION_REVOKED)
		return "its certificate is revoked";
	return NULL;
}

static bool
asks_registry(struct look *look, const struct signature_facts *signature)
{
	struct registry_signer signer = { .answer = REGISTRY_UNAVAILABLE };

	registry_signer(look->snapshot->registry, &signature->signer, look->facts.from.address, look->now, &signer);
	switch (signer.answer) {
	case REGISTRY_UNAVAILABLE:
		return stop(look, TRANSFORM_DEFER, REASON_REG_UNAVAILABLE, "%s", signer.why);
	case REGISTRY_NONE:
		return unsealed(look, "its certificate is not registered");
	case REGISTRY_UNUSABLE:
		return unsealed(look, "its certificate is not in force");
	case REGISTRY_FOUND:
		return signer.cert.bound != BOUND_UNKNOWN || unsealed(look, "its certificate does not speak for From");
	}
	return stop(look, TRANSFORM_DEFER, REASON_INTERNAL, "registry");
}

static bool
is_sealed(struct look *look)
{
	const struct verify_request request = { .message = look->bytes, .facts = &look->facts,
		.trust = look->held ? look->held->trust : NULL, .at = look->now };
	struct signature_facts signature = { .state = SIGNATURE_UNKNOWN };
	const char *fault;
	struct err err;

	if (look->facts.from.state != MAILBOX_ONE)
		return unsealed(look, "From names nobody, or more than one");
	snprintf(look->ret->from, sizeof(look->ret->from), "%s", look->facts.from.address);
	if (smime_verify(&request, &signature, &err) == -1 || signature.state == SIGNATURE_UNKNOWN)
		return stop(look, TRANSFORM_DEFER, REASON_INTERNAL, "the signature could not be verified");
	if (signature.has_signer)
		sha256_hex(signature.signer.sha256, look->ret->signer);
	fault = signature_fault(&signature);
	return fault ? unsealed(look, fault) : asks_registry(look, &signature);
}

/* ---- encrypted by its author? ---- */

/* Signatures around it are there to be judged; only what is encrypted outermost may have its own where nobody sees it. */
static bool
is_closed(struct look *look)
{
	if (!look->ciphertext || look->facts.outer != LAYER_ENCRYPTED || look->facts.from.state != MAILBOX_ONE)
		return false;
	snprintf(look->ret->from, sizeof(look->ret->from), "%s", look->facts.from.address);
	return true;
}

/* ---- what its recipient must get ---- */

/* As the filter looks at all of a transaction's (milter/recipients.h). '%' and '!' count as ambiguous: the next hop could read another domain in them. */
static void
gather_recipient(struct look *look, struct recipients *ret)
{
	const struct recipients_told told = { .argument = look->letter->recipient };
	const struct recipients_from from = {
		.config = look->snapshot->config,
		.registry = look->snapshot->registry,
		.trust = look->held ? look->held->trust : NULL,
		.trust_why = look->trust_err.text,
		.sender = look->facts.from.address,
		.trigger = look->trigger,
		.now = look->now,
	};

	recipients_gather(&from, &told, 1, ret);
	look->ret->class = rcpt_class_name(ret->at[0].class);
}

/* ---- the copy ---- */

static bool
begins_with(struct slice name, const char *prefix)
{
	const size_t len = strlen(prefix);

	return name.len >= len && strncasecmp((const char *)name.at, prefix, len) == 0;
}

static bool
is_trigger(const struct look *look, const struct field *field)
{
	const char *trigger = look->snapshot->config->split.trigger;

	return *trigger && slice_equal_nocase(field->name, trigger);
}

static bool
is_structure(const struct field *field)
{
	return begins_with(field->name, "Content-") || slice_equal_nocase(field->name, "MIME-Version");
}

/* The header block without some of its fields, and the empty line not. */
static void
keep_fields(struct look *look, bool structure)
{
	for (size_t i = 0; i < look->head.n_fields; i++) {
		const struct field *field = &look->head.fields[i];

		if (!is_trigger(look, field) && (structure || !is_structure(field)))
			pieces_borrow(&look->ret->message, field->raw);
	}
}

static void
add_text(struct pieces *pieces, const char *text)
{
	pieces_borrow(pieces, slice_of(text));
}

static bool
send_clear(struct look *look)
{
	keep_fields(look, true);
	add_text(&look->ret->message, "\r\n");
	pieces_borrow(&look->ret->message, look->head.body);
	look->ret->action = TRANSFORM_SEND;
	return true;
}

/* A value folded with LF and a tab, with the line ends of the wire. */
static void
add_field(struct buf *ret, const char *name, const char *value)
{
	buf_printf(ret, "%s: ", name);
	for (; *value; value++) {
		if (*value == '\n')
			buf_add_text(ret, "\r");
		buf_add(ret, value, 1);
	}
	buf_add_text(ret, "\r\n");
}

static bool
put_encrypted(struct look *look, struct encrypted **encrypted)
{
	AUTO_BUF struct buf fields = { 0 };

	buf_init(&fields, LIMIT_FIELD_BYTES);
	add_field(&fields, "MIME-Version", "1.0");
	add_field(&fields, "Content-Type", (*encrypted)->content_type);
	add_field(&fields, "Content-Transfer-Encoding", (*encrypted)->transfer_encoding);
	add_field(&fields, "Content-Disposition", (*encrypted)->content_disposition);
	buf_add_text(&fields, "\r\n");
	keep_fields(look, false);
	pieces_take(&look->ret->message, &fields);
	look->ret->encrypted = TAKE(*encrypted);
	look->ret->action = TRANSFORM_SEND;
	return true;
}

/* To its recipient's certificate, and the organisation's where the plan says so. */
static bool
send_encrypted(struct look *look, const struct encryption_plan *plan, const struct recipients *recipients)
{
	const struct recipients_encrypt request = { .recipients = recipients, .plan = plan, .content = &look->ret->content,
		.copy = buf_slice(&look->snapshot->copy_certificate), .now = look->now };
	AUTO(encrypt_free) struct encrypted *encrypted = NULL;
	const char *unfit;
	struct err err;

	encrypt_entity_of(&look->head, &look->ret->content);
	if (recipients_encrypt(&request, &encrypted, &unfit, &err) == -1)
		return stop(look, TRANSFORM_DEFER, REASON_INTERNAL, "%s", err.text);
	if (encrypted->fit != ENCRYPT_FIT)
		return stop(look, *unfit ? TRANSFORM_REFUSE : TRANSFORM_DEFER, REASON_ENC_NO_CERT, "%s certificate: %s",
		    *unfit ? "recipient's" : "organisation's", encrypt_fit_name(encrypted->fit));
	return put_encrypted(look, &encrypted);
}

/* ---- together ---- */

static bool
send_as_planned(struct look *look)
{
	AUTO_RECIPIENTS struct recipients recipients = { .n = 0 };
	AUTO_PLAN struct encryption_plan plan = { .action = PLAN_UNKNOWN };
	struct plan_request request = { .config = look->snapshot->config, .n_rcpts = 1, .ciphertext = look->ciphertext };

	gather_recipient(look, &recipients);
	request.rcpts = recipients.at;
	rcpt_plan(&request, &plan);
	switch (plan.action) {
	case PLAN_CLEAR:
		return send_clear(look);
	case PLAN_ENCRYPT:
		if (plan.n_certs == 1)
			return send_encrypted(look, &plan, &recipients);
		break;
	case PLAN_REFUSE:
		return stop(look, TRANSFORM_REFUSE, plan.reason, "%s", plan.names);
	case PLAN_UNKNOWN:
		return stop(look, TRANSFORM_DEFER, plan.reason, "%s", recipients.at[0].why);
	case PLAN_SPLIT:
		break;
	}
	return stop(look, TRANSFORM_DEFER, REASON_INTERNAL, "no plan for one recipient");
}

static bool
look_at(struct look *look)
{
	const char *trigger = look->snapshot->config->split.trigger;
	struct err err;

	if (look->head.limit || look->head.why)
		return stop(look, TRANSFORM_REFUSE, REASON_PARSE_LIMIT, "header: %s", look->head.limit ? look->head.limit : look->head.why);
	if (smime_inspect(look->bytes, &look->facts, &err) == -1)
		return stop(look, TRANSFORM_DEFER, REASON_INTERNAL, "%s", err.text);
	look->trigger = *trigger && head_find(&look->head, trigger, 0);
	look->ciphertext = ciphertext_of(look->bytes, &look->facts) == CIPHERTEXT_CMS;
	return (is_closed(look) || is_sealed(look)) && send_as_planned(look);
}

static void
only_pretend(struct look *look)
{
	struct transformed *ret = look->ret;

	encrypt_free(TAKE(ret->encrypted));
	pieces_done(&ret->content);
	pieces_done(&ret->message);
	pieces_borrow(&ret->message, look->bytes);
	ret->pretend = true;
	ret->action = TRANSFORM_SEND;
}

void
transform_letter(const struct split_snapshot *snapshot, const struct letter *letter, time_t now, struct transformed *ret)
{
	struct look look = { .snapshot = snapshot, .letter = letter, .now = now, .bytes = buf_slice(&letter->bytes), .ret = ret };

	*ret = (struct transformed){ .action = TRANSFORM_DEFER, .reason = REASON_UNKNOWN };
	look.held = trust_watch_ref(snapshot->trust, now, &look.trust_err);
	head_scan(look.bytes, &look.head);
	(void)look_at(&look);
	ret->would_encrypt = ret->encrypted != NULL;
	if (snapshot->config->pretend)
		only_pretend(&look);
	head_done(&look.head);
	trust_watch_unref(snapshot->trust, look.held);
}

void
transformed_done(struct transformed *transformed)
{
	encrypt_free(transformed->encrypted);
	pieces_done(&transformed->content);
	pieces_done(&transformed->message);
	*transformed = (struct transformed){ .action = TRANSFORM_DEFER };
}
