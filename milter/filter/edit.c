#include "milter/filter/edit.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

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

static void
plan_deletions(struct edit_plan *plan, const struct head *head, bool sealing)
{
	for (size_t i = head->n_fields; i-- > 0;) {
		struct slice name = head->fields[i].name;
		char *text;

		if (!has_prefix(name, OUR_PREFIX) && !(sealing && describes_body(name)))
			continue;
		text = slice_dup(name);
		plan_edit(plan, EDIT_DELETE, text, ordinal_of(head, i), NULL);
		free(text);
	}
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
plan_sealed_head(struct edit_plan *plan, const struct sealed *sealed)
{
	plan_edit(plan, EDIT_ADD, "MIME-Version", 0, "1.0");
	plan_edit(plan, EDIT_ADD, "Content-Type", 0, sealed->content_type);
	if (sealed->transfer_encoding)
		plan_edit(plan, EDIT_ADD, "Content-Transfer-Encoding", 0, sealed->transfer_encoding);
	if (sealed->content_disposition)
		plan_edit(plan, EDIT_ADD, "Content-Disposition", 0, sealed->content_disposition);
}

const struct edit *
edit_of(const struct edit_plan *plan, const struct head *head, size_t i)
{
	const unsigned ordinal = ordinal_of(head, i);

	for (size_t e = 0; e < plan->n; e++)
		if (plan->edits[e].kind != EDIT_ADD && plan->edits[e].ordinal == ordinal
		    && slice_equal_nocase(head->fields[i].name, plan->edits[e].name))
			return &plan->edits[e];
	return NULL;
}

struct edit_plan *
edit_plan_new(const struct head *head, struct sealed **sealed, const char *sender)
{
	struct edit_plan *plan = xcalloc(1, sizeof(*plan));

	plan->sealed = TAKE(*sealed);
	plan_deletions(plan, head, plan->sealed != NULL);
	if (!plan->sealed)
		return plan;
	plan_sender(plan, head, sender);
	plan_sealed_head(plan, plan->sealed);
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
	seal_free(plan->sealed);
	free(plan);
}
