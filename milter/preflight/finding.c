#include "milter/preflight/finding.h"

#include <string.h>

static bool
is_same(const struct finding *a, const struct finding *b)
{
	return strcmp(a->id, b->id) == 0 && strcmp(a->what, b->what) == 0 && strcmp(a->mend, b->mend) == 0;
}

static void
add_where(struct finding *finding, const char *where)
{
	char *both;

	if (strcmp(finding->where, where) == 0)
		return;
	both = xasprintf("%s, %s", finding->where, where);
	xfree(finding->where);
	finding->where = both;
}

void
findings_add(struct findings *list, const struct finding *one)
{
	struct finding *copy;

	for (size_t i = 0; i < list->n; i++) {
		if (is_same(&list->at[i], one)) {
			add_where(&list->at[i], one->where);
			return;
		}
	}
	list->at = xrealloc(list->at, (list->n + 1) * sizeof(*list->at));
	copy = &list->at[list->n++];
	*copy = *one;
	copy->where = xstrdup(one->where);
	copy->what = xstrdup(one->what);
	copy->mend = xstrdup(one->mend);
}

size_t
findings_count(const struct findings *list, enum severity severity)
{
	size_t n = 0;

	for (size_t i = 0; i < list->n; i++)
		n += list->at[i].severity == severity;
	return n;
}

const struct finding *
findings_find(const struct findings *list, const char *id)
{
	for (size_t i = 0; i < list->n; i++)
		if (strcmp(list->at[i].id, id) == 0)
			return &list->at[i];
	return NULL;
}

void
findings_done(struct findings *list)
{
	for (size_t i = 0; i < list->n; i++) {
		xfree(list->at[i].where);
		xfree(list->at[i].what);
		xfree(list->at[i].mend);
	}
	xfree(list->at);
	*list = (struct findings){ 0 };
}

const char *
severity_word(enum severity severity)
{
	switch (severity) {
	case SEVERITY_WARN:
		return "warn";
	case SEVERITY_REFUSE:
		return "refuse";
	case SEVERITY_UNKNOWN:
		break;
	}
	return "unknown";
}
