/* segelctl quarantine show: one item in words. */
#include <string.h>

#include "milter/ctl/phrase.h"
#include "milter/ctl/quarantine.h"

AUTO_DEFINE(json_t, json_decref);

/* --- in words --- */

static void
print_label(struct ctl *ctl, const char *label)
{
	fprintf(ctl->out, "%-13s ", label);
}

static void
print_line(struct ctl *ctl, const char *label, const char *text)
{
	if (!*text)
		return;
	print_label(ctl, label);
	ctl_print(ctl, text);
	fputc('\n', ctl->out);
}

static void
print_time(struct ctl *ctl, const char *label, int64_t when, const char *text)
{
	char shown[CTL_TIME_BYTES];

	ctl_time_text(when, shown);
	print_label(ctl, label);
	fprintf(ctl->out, "%s%s\n", shown, text);
}

/* What was found out, as it is on record; below it what that means. */
static void
print_fact(struct ctl *ctl, const json_t *item, const char *label, const char *field, const struct phrase *phrases)
{
	const char *text = review_text(item, field);
	const char *phrase = *text && phrases ? phrase_of_first(phrases, text) : NULL;

	print_line(ctl, label, text);
	if (phrase)
		print_line(ctl, "", phrase);
}

static void
print_retention(struct ctl *ctl, const json_t *item)
{
	const int64_t expires = review_number(item, "expires");

	if (!json_is_true(json_object_get(item, "has_body")))
		print_line(ctl, "kept", "its body is gone; what is listed here stays for quarantine.keep_rows");
	else if (json_is_true(json_object_get(item, "legal_hold")))
		print_line(ctl, "kept", "under legal hold: its body stays until that ends");
	else if (expires)
		print_time(ctl, "kept until", expires, "");
}

static void
print_state(struct ctl *ctl, const json_t *item)
{
	const char *state = review_text(item, "state"), *proposed_by = review_text(item, "proposed_by");
	char when[CTL_TIME_BYTES];

	print_label(ctl, "item");
	ctl_print(ctl, review_text(item, "id"));
	fprintf(ctl->out, " version %lld\n", (long long)review_number(item, "version"));
	print_label(ctl, "state");
	ctl_print(ctl, state);
	fprintf(ctl->out, ": %s\n", phrase_of(item_state_phrases, state));
	if (*proposed_by) {
		ctl_time_text(review_number(item, "proposed_at"), when);
		print_label(ctl, "");
		fputs("first of two: ", ctl->out);
		ctl_print(ctl, proposed_by);
		fprintf(ctl->out, ", %s\n", when);
	}
	if (json_is_true(json_object_get(item, "asked_for")))
		print_line(ctl, "", "its owner asked for its release");
	print_retention(ctl, item);
	print_line(ctl, "outcome", phrase_of(action_phrases, review_text(item, "action")));
}

/* Of an item on its way: how that stands. */
static void
print_release(struct ctl *ctl, const json_t *release)
{
	const int64_t tries = review_number(release, "tries");
	char since[CTL_TIME_BYTES], tried[CTL_TIME_BYTES];

	if (!release)
		return;
	ctl_time_text(review_number(release, "since"), since);
	ctl_time_text(review_number(release, "tried"), tried);
	print_label(ctl, "on its way");
	fprintf(ctl->out, "since %s, released by ", since);
	ctl_print(ctl, review_text(release, "login"));
	fprintf(ctl->out, ", tried %lld time%s, last at %s\n", (long long)tries, tries == 1 ? "" : "s", tried);
	print_line(ctl, "  last answer", review_text(release, "answer"));
	if (json_is_true(json_object_get(release, "settled")))
		print_line(ctl, "", "the mail server has not taken that: it is tried again, or segelctl quarantine recall calls it back");
	else
		print_line(ctl, "", "whether the mail server has it is not known: it is tried again, and cannot be called back");
	if (json_is_true(json_object_get(release, "doubtful")))
		print_line(ctl, "", "an earlier try got no answer: it may have arrived");
}

static void
print_finding(struct ctl *ctl, const json_t *finding)
{
	const char *word = review_text(finding, "reason");
	const enum reason reason = reason_from(word);

	print_line(ctl, "finding", word);
	print_line(ctl, "  evidence", review_text(finding, "evidence"));
	if (reason == REASON_UNKNOWN)
		return; /* of another version of the program */
	print_line(ctl, "  that is", reason_text(reason, LANGUAGE_EN));
	print_line(ctl, "  what to do", reason_row(reason)->hint);
}

static void
print_findings(struct ctl *ctl, const json_t *item)
{
	const json_t *findings = json_object_get(item, "findings");

	for (size_t i = 0; i < json_array_size(findings); i++)
		print_finding(ctl, json_array_get(findings, i));
	if (json_is_true(json_object_get(item, "findings_overflow")))
		print_line(ctl, "", "there were more findings than an item has room for");
	if (json_is_true(json_object_get(item, "unparsed")))
		print_line(ctl, "", "nobody has read this message: what it says of itself is not known");
}

static void
print_recipient(struct ctl *ctl, const json_t *recipient)
{
	const int64_t released = review_number(recipient, "released_at");
	char when[CTL_TIME_BYTES];

	print_label(ctl, "  to");
	fputc('<', ctl->out);
	ctl_print(ctl, review_text(recipient, "address"));
	fputc('>', ctl->out);
	if (*review_text(recipient, "parameters")) {
		fputc(' ', ctl->out);
		ctl_print(ctl, review_text(recipient, "parameters"));
	}
	if (released) {
		ctl_time_text(released, when);
		fprintf(ctl->out, ", released %s", when);
	}
	fputc('\n', ctl->out);
}

static void
print_message(struct ctl *ctl, const json_t *item)
{
	const json_t *recipients = json_object_get(item, "recipients");

	print_time(ctl, "arrived", review_number(item, "arrived"), "");
	print_line(ctl, "From", *review_text(item, "from") ? review_text(item, "from") : "(none, or not one)");
	if (json_object_get(item, "subject"))
		print_line(ctl, "Subject", review_text(item, "subject"));
	else
		print_line(ctl, "Subject", "(your role may not read it)");
	print_line(ctl, "Message-ID", review_text(item, "message_id"));
	print_label(ctl, "envelope");
	fputc('<', ctl->out);
	ctl_print(ctl, review_text(item, "sender"));
	fputs("> ", ctl->out);
	ctl_print(ctl, review_text(item, "sender_parameters"));
	fputc('\n', ctl->out);
	for (size_t i = 0; i < json_array_size(recipients); i++)
		print_recipient(ctl, json_array_get(recipients, i));
	print_label(ctl, "bytes");
	fprintf(ctl->out, "%lld\n", (long long)review_number(item, "size"));
	print_line(ctl, "SHA-256", review_text(item, "sha256"));
}

static void
print_evidence(struct ctl *ctl, const json_t *item)
{
	if (!*review_text(item, "signature"))
		print_line(ctl, "signature", "not looked at");
	print_fact(ctl, item, "signature", "signature", signature_phrases);
	print_fact(ctl, item, "signer", "signer_subject", NULL);
	print_fact(ctl, item, "  issued by", "signer_issuer", NULL);
	print_fact(ctl, item, "  serial", "signer_serial", NULL);
	print_fact(ctl, item, "  SHA-256", "signer_sha256", NULL);
	print_fact(ctl, item, "chain", "chain", chain_phrases);
	print_fact(ctl, item, "revocation", "revocation", revocation_phrases);
	print_fact(ctl, item, "registry", "registry", NULL);
	print_fact(ctl, item, "identity", "identity", identity_phrases);
}

static void
print_connection(struct ctl *ctl, const json_t *item)
{
	const bool tls = json_is_true(json_object_get(item, "tls"));

	print_line(ctl, "client", review_text(item, "client"));
	if (json_is_true(json_object_get(item, "without_smtp")))
		print_line(ctl, "", "by the sendmail command, without SMTP");
	print_line(ctl, "TLS", tls ? review_text(item, "tls_version") : "none");
	print_line(ctl, "  cipher", review_text(item, "cipher"));
	if (*review_text(item, "client_subject"))
		print_line(ctl, "  client cert", review_text(item, "client_cert"));
	print_line(ctl, "    name", review_text(item, "client_subject"));
	print_line(ctl, "    issued by", review_text(item, "client_issuer"));
	print_line(ctl, "login", review_text(item, "login"));
	print_line(ctl, "  by", review_text(item, "auth_type"));
	print_line(ctl, "class", review_text(item, "class"));
	print_line(ctl, "filter", review_text(item, "role"));
	print_line(ctl, "queue id", review_text(item, "queue_id"));
	print_line(ctl, "id", review_text(item, "session"));
}

static void
print_event(struct ctl *ctl, const json_t *event)
{
	char when[CTL_TIME_BYTES];

	ctl_time_text(review_number(event, "at"), when);
	fprintf(ctl->out, "  %s  ", when);
	if (*review_text(event, "login")) {
		ctl_print(ctl, review_text(event, "login"));
		fputc(' ', ctl->out);
	}
	ctl_print(ctl, phrase_of(item_event_phrases, review_text(event, "what")));
	if (*review_text(event, "detail")) {
		fputs(" (", ctl->out);
		ctl_print(ctl, review_text(event, "detail"));
		fputc(')', ctl->out);
	}
	if (*review_text(event, "reason")) {
		fputs(", because: ", ctl->out);
		ctl_print(ctl, review_text(event, "reason"));
	}
	fputc('\n', ctl->out);
}

static void
print_text(struct ctl *ctl, const struct review_answer *answer)
{
	const json_t *item = json_object_get(answer->last, "item");

	print_state(ctl, item);
	print_release(ctl, json_object_get(answer->last, "release"));
	print_findings(ctl, item);
	print_message(ctl, item);
	print_evidence(ctl, item);
	print_connection(ctl, item);
	fputs("history\n", ctl->out);
	for (size_t i = 0; i < json_array_size(answer->rows); i++)
		print_event(ctl, json_array_get(answer->rows, i));
}

/* --- as JSON --- */

static json_t *
finding_json(const json_t *finding)
{
	const enum reason reason = reason_from(review_text(finding, "reason"));
	json_t *object = json_copy((json_t *)(uintptr_t)finding);

	json_object_set_new(object, "text", reason == REASON_UNKNOWN ? json_null() : json_string(reason_text(reason, LANGUAGE_EN)));
	json_object_set_new(object, "hint", reason == REASON_UNKNOWN ? json_null() : json_string(reason_row(reason)->hint));
	return object;
}

/* The item as segel-reviewd gave it, times in seconds since 1970, and what its findings mean. */
static void
print_json(struct ctl *ctl, const struct review_answer *answer)
{
	json_t *item = json_object_get(answer->last, "item");
	const json_t *findings = json_object_get(item, "findings");
	AUTO(json_decref) json_t *object = json_object();
	json_t *explained = json_array();

	for (size_t i = 0; i < json_array_size(findings); i++)
		json_array_append_new(explained, finding_json(json_array_get(findings, i)));
	json_object_set_new(item, "findings", explained);
	json_object_set(object, "item", item);
	json_object_set(object, "own", json_object_get(answer->last, "own"));
	if (json_object_get(answer->last, "release"))
		json_object_set(object, "release", json_object_get(answer->last, "release"));
	json_object_set(object, "history", answer->rows);
	json_dumpf(object, ctl->out, JSON_INDENT(2) | JSON_ENSURE_ASCII);
	fputc('\n', ctl->out);
}

enum ctl_exit
ctl_quarantine_show(struct ctl *ctl)
{
	AUTO_REVIEW struct review review = { .fd = -1 };
	AUTO_ANSWER struct review_answer answer = { 0 };
	AUTO(json_decref) json_t *request = NULL;
	char id[ITEM_ID_BYTES] = "";
	enum ctl_exit code = review_open(ctl, &review);

	if (code == CTL_OK)
		code = review_find(&review, ctl_arg(ctl, 0), id);
	if (code != CTL_OK)
		return code;
	request = json_pack("{s:s, s:s}", "op", "show", "id", id);
	code = review_ask(&review, request, NULL, &answer);
	if (code == CTL_OK && ctl->json)
		print_json(ctl, &answer);
	else if (code == CTL_OK)
		print_text(ctl, &answer);
	return code;
}
