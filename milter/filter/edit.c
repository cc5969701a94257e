#include "milter/filter/edit.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "milter/filter/results.h"
#include "smime/canon.h"
#include "smime/fold.h"

#define RESULTS_FIELD "Authentication-Results"

static void
plan_edit(struct edit_plan *plan, enum edit_kind kind, const char *name, unsigned ordinal, const char *value)
{
	plan->edits = xrealloc(plan->edits, (plan->n + 1) * sizeof(*plan->edits));
	plan->edits[plan->n++] = (struct edit){
		.kind = kind,
		.name = xstrdup(name),
		.ordinal = ordinal,
		.value = value ? xstrdup(value) : NULL,
	};
}

static bool
has_prefix(struct slice name, const char *prefix)
{
	size_t len = strlen(prefix);

	return name.len >= len && strncasecmp((const char *)name.at, prefix, len) == 0;
}

/* The fields that describe the body: inside the sealed entity they say what it is, outside the seal does. */
static bool
describes_body(struct slice name)
{
	return has_prefix(name, "Content-") || slice_equal_nocase(name, "MIME-Version");
}

/* How many fields of the same name stand before field i, itself included. */
static unsigned
ordinal_of(const struct head *head, size_t i)
{
	unsigned ordinal = 0;

	for (size_t j = 0; j <= i; j++)
		if (head->fields[j].name.len == head->fields[i].name.len
		    && strncasecmp((const char *)head->fields[j].name.at, (const char *)head->fields[i].name.at,
			   head->fields[i].name.len) == 0)
			ordinal++;
	return ordinal;
}

/* What the outer head says about the body once it is sealed or encrypted. */
struct outer {
	const char *name;
	const char *value; /* NULL = no such field */
};

enum { N_OUTER = 4 };

static void
outer_fields(const struct edit_plan *plan, struct outer ret[N_OUTER])
{
	const struct sealed *sealed = plan->sealed;
	const struct encrypted *encrypted = plan->encrypted;

	ret[0] = (struct outer){ "MIME-Version", "1.0" };
	ret[1] = (struct outer){ "Content-Type", encrypted ? encrypted->content_type : sealed->content_type };
	ret[2] = (struct outer){ "Content-Transfer-Encoding", encrypted ? encrypted->transfer_encoding : sealed->transfer_encoding };
	ret[3] = (struct outer){ "Content-Disposition", encrypted ? encrypted->content_disposition : sealed->content_disposition };
}

/* The first field of a name that gets a value stays, to be changed: deleting and adding costs the MTA twice. */
static bool
is_kept(const struct head *head, size_t i, const struct outer outer[N_OUTER])
{
	for (size_t n = 0; n < N_OUTER; n++) {
		if (outer[n].value && slice_equal_nocase(head->fields[i].name, outer[n].name))
			return ordinal_of(head, i) == 1;
	}
	return false;
}

bool
edit_is_forged(const struct field *field, const char *authserv_id)
{
	return has_prefix(field->name, OUR_PREFIX)
	    || (authserv_id && slice_equal_nocase(field->name, RESULTS_FIELD) && results_claims(field, authserv_id));
}

/* What goes from a head, and why. */
struct removal {
	const char *authserv_id;
	const struct outer *outer;    /* of the new body; NULL = the body stays */
	const char *const *triggers;  /* two names; NULL = none */
	bool hide_subject;
};

static bool
is_trigger(const struct removal *removal, struct slice name)
{
	for (size_t i = 0; removal->triggers && i < 2; i++)
		if (removal->triggers[i] && *removal->triggers[i] && slice_equal_nocase(name, removal->triggers[i]))
			return true;
	return false;
}

static void
plan_deletions(struct edit_plan *plan, const struct head *head, const struct removal *removal)
{
	for (size_t i = head->n_fields; i-- > 0;) {
		struct slice name = head->fields[i].name;
		char *text;

		if (!edit_is_forged(&head->fields[i], removal->authserv_id) && !is_trigger(removal, name)
		    && !(removal->hide_subject && canon_tells_subject(name))
		    && !(removal->outer && describes_body(name) && !is_kept(head, i, removal->outer)))
			continue;
		text = slice_dup(name);
		plan_edit(plan, EDIT_DELETE, text, ordinal_of(head, i), NULL);
		free(text);
	}
}

/* A message has one Subject; where it has more, each of them tells. */
static void
plan_subject(struct edit_plan *plan, const struct head *head)
{
	for (size_t i = 0; i < head->n_fields; i++)
		if (slice_equal_nocase(head->fields[i].name, "Subject"))
			plan_edit(plan, EDIT_CHANGE, "Subject", ordinal_of(head, i), SEAL_HIDDEN_SUBJECT);
}

static void
plan_sender(struct edit_plan *plan, const struct head *head, const char *sender)
{
	if (!sender)
		return;
	if (head_count(head, "Sender") > 0)
		plan_edit(plan, EDIT_CHANGE, "Sender", 1, sender);
	else
		plan_edit(plan, EDIT_ADD, "Sender", 0, sender);
}

static void
plan_changes(struct edit_plan *plan, const struct head *head, const struct outer outer[N_OUTER])
{
	for (size_t n = 0; n < N_OUTER; n++) {
		const struct field *field = outer[n].value ? head_find(head, outer[n].name, 0) : NULL;

		if (field && !slice_equal(slice_trim(field->value), slice_of(outer[n].value)))
			plan_edit(plan, EDIT_CHANGE, outer[n].name, 1, outer[n].value);
	}
}

static void
plan_additions(struct edit_plan *plan, const struct head *head, const struct outer outer[N_OUTER])
{
	for (size_t n = 0; n < N_OUTER; n++) {
		if (outer[n].value && head_count(head, outer[n].name) == 0)
			plan_edit(plan, EDIT_ADD, outer[n].name, 0, outer[n].value);
	}
}

const struct edit *
edit_of(const struct edit_plan *plan, const struct head *head, size_t i)
{
	const unsigned ordinal = ordinal_of(head, i);

	for (size_t e = 0; e < plan->n; e++)
		if (plan->edits[e].ordinal == ordinal
		    && slice_equal_nocase(head->fields[i].name, plan->edits[e].name))
			return &plan->edits[e];
	return NULL;
}

struct edit_plan *
edit_plan_inbound(const struct head *head, const char *authserv_id, const char *results)
{
	const struct removal removal = { .authserv_id = authserv_id };
	struct edit_plan *plan = xcalloc(1, sizeof(*plan));

	plan_deletions(plan, head, &removal);
	if (results)
		plan_edit(plan, EDIT_INSERT, RESULTS_FIELD, 0, results);
	return plan;
}

/* A value as libmilter takes it: folds are LF, and the blank behind the colon is put there by whoever applies it. */
static char *
plain_value(struct slice value)
{
	AUTO_BUF struct buf text = { 0 };

	buf_init(&text, value.len);
	if (value.len && (*value.at == ' ' || *value.at == '\t')) {
		value.at++;
		value.len--;
	}
	for (size_t i = 0; i < value.len; i++)
		if (value.at[i] != '\r')
			buf_add(&text, value.at + i, 1);
	return xstrdup(buf_text(&text));
}

static void
plan_plain_field(struct edit_plan *plan, enum edit_kind kind, const struct plain_field *field)
{
	char *value = plain_value(field->value);

	plan_edit(plan, kind, field->name, kind == EDIT_CHANGE ? 1 : 0, value);
	free(value);
}

static bool
is_ascii(struct slice text)
{
	for (size_t i = 0; i < text.len; i++)
		if (text.at[i] >= 0x80)
			return false;
	return true;
}

/* Whoever offers it has seen to that, too: who a message is from, and what we say of it, no stranger writes. */
static bool
may_come_out(const struct opened *opened, const struct plain_field *field)
{
	static const char *const never[] = { "From", "Sender", RESULTS_FIELD };
	const struct slice name = slice_of(field->name);

	for (size_t i = 0; i < N_ELEMENTS(never); i++)
		if (slice_equal_nocase(name, never[i]))
			return false;
	return opened->author && !has_prefix(name, OUR_PREFIX) && (opened->utf8 || is_ascii(field->value));
}

/* Those that stand outside are changed; the others are added behind. */
static void
plan_hidden(struct edit_plan *plan, const struct head *head, const struct opened *opened, enum edit_kind kind)
{
	for (size_t i = 0; i < opened->plain->n_hidden; i++) {
		const struct plain_field *field = &opened->plain->hidden[i];

		if (may_come_out(opened, field) && (head_count(head, field->name) > 0) == (kind == EDIT_CHANGE))
			plan_plain_field(plan, kind, field);
	}
}

static void
plan_content(struct edit_plan *plan, const struct plain *plain)
{
	plan_edit(plan, EDIT_ADD, "MIME-Version", 0, "1.0");
	for (size_t i = 0; i < plain->n_content; i++)
		plan_plain_field(plan, EDIT_ADD, &plain->content[i]);
}

/* Postfix takes these two; of others it says that it does not. */
static char *
without_content(const char *parameters)
{
	const char *at = parameters ? parameters : "";

	for (size_t len; *at; at += len + (at[len] == ' ')) {
		len = strcspn(at, " ");
		if (len > 6 && strncasecmp(at, "ENVID=", 6) == 0)
			return xasprintf("RET=HDRS %.*s", (int)len, at);
	}
	return xstrdup("RET=HDRS");
}

struct edit_plan *
edit_plan_opened(const struct head *head, struct opened *opened)
{
	static const struct outer nothing[N_OUTER] = { { NULL, NULL } };
	const struct removal removal = { .authserv_id = opened->authserv_id, .outer = nothing };
	struct edit_plan *plan = xcalloc(1, sizeof(*plan));

	plan->decrypted = TAKE(opened->decrypted);
	plan->plain = opened->plain->body.len ? opened->plain->body : slice_of("\r\n"); /* an empty one would leave the body as it is */
	plan->sender = xasprintf("<%s>", opened->sender);
	plan->parameters = without_content(opened->parameters);
	plan_deletions(plan, head, &removal);
	plan_hidden(plan, head, opened, EDIT_CHANGE);
	plan_content(plan, opened->plain);
	plan_hidden(plan, head, opened, EDIT_ADD);
	if (opened->results)
		plan_edit(plan, EDIT_INSERT, RESULTS_FIELD, 0, opened->results);
	return plan;
}

/* A line that a later hop would break in a word, and the seal's word of it with it. What cannot be folded was not sealed. */
static void
plan_folds(struct edit_plan *plan, const struct head *head)
{
	for (size_t i = 0; i < head->n_fields; i++) {
		const struct field *field = &head->fields[i];
		AUTO_BUF struct buf folded = { 0 };
		AUTO(xfree) char *name = NULL, *value = NULL;

		if (!canon_is_protected(field->name) || !fold_is_due(field) || edit_of(plan, head, i))
			continue;
		buf_init(&folded, 2 * LIMIT_FIELD_BYTES);
		if (!fold_value(field, &folded))
			continue;
		name = slice_dup(field->name);
		value = plain_value(buf_slice(&folded));
		plan_edit(plan, EDIT_CHANGE, name, ordinal_of(head, i), value);
	}
}

struct edit_plan *
edit_plan_outgoing(const struct head *head, struct outgoing *outgoing)
{
	struct edit_plan *plan = xcalloc(1, sizeof(*plan));
	struct removal removal = { .authserv_id = outgoing->authserv_id, .triggers = outgoing->triggers, .hide_subject = outgoing->hide_subject };
	struct outer outer[N_OUTER];

	plan->sealed = TAKE(outgoing->sealed);
	plan->encrypted = TAKE(outgoing->encrypted);
	plan->content = outgoing->content; /* `encrypted` borrows its list */
	outgoing->content = (struct pieces){ .n = 0 };
	if (plan->sealed || plan->encrypted) {
		outer_fields(plan, outer);
		removal.outer = outer;
	}
	plan_deletions(plan, head, &removal);
	if (removal.outer)
		plan_changes(plan, head, outer);
	if (plan->sealed)
		plan_sender(plan, head, outgoing->sender);
	if (outgoing->hide_subject)
		plan_subject(plan, head);
	if (removal.outer)
		plan_folds(plan, head);
	if (removal.outer)
		plan_additions(plan, head, outer);
	if (outgoing->wish)
		plan_edit(plan, EDIT_ADD, outgoing->wish, 0, "yes");
	return plan;
}

void
edit_plan_free(struct edit_plan *plan)
{
	if (!plan)
		return;
	for (size_t i = 0; i < plan->n; i++) {
		free(plan->edits[i].name);
		free(plan->edits[i].value);
	}
	free(plan->edits);
	encrypt_free(plan->encrypted);
	pieces_done(&plan->content);
	seal_free(plan->sealed);
	decrypted_free(plan->decrypted);
	free(plan->sender);
	free(plan->parameters);
	free(plan);
}
