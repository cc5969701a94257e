#include "milter/tlspol/answer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct answerer {
	struct registry *registry;
	char *map;
	enum tls_version minimum;
};

/* Fingerprints hold colons, so that Postfix splits them at another character. */
static void
add_match(const struct tls_policy *policy, struct buf *ret)
{
	const char separator = policy->level == HOP_LEVEL_FINGERPRINT ? '|' : ':';

	if (!*policy->match)
		return;
	buf_add_text(ret, " match=");
	for (const char *c = policy->match; *c; c++)
		buf_add(ret, *c == ' ' ? &separator : c, 1);
}

/* Of what is demanded of others, the least is what counts as TLS from them (setting.c). */
static const char *
minimum_name(enum tls_version minimum)
{
	return minimum == TLS_VERSION_1_3 ? "TLSv1.3" : "TLSv1.2";
}

void
answer_policy(const struct tls_policy *policy, enum tls_version minimum, struct buf *ret)
{
	buf_add_text(ret, hop_level_name(policy->level));
	add_match(policy, ret);
	if (!hop_level_is_weak(policy->level))
		buf_printf(ret, " protocols=>=%s", minimum_name(minimum));
}

int
answerer_open(const struct answerer_settings *settings, struct answerer **ret, struct err *err)
{
	AUTO(answerer_close) struct answerer *answerer = xcalloc(1, sizeof(*answerer));

	answerer->map = xstrdup(settings->map);
	answerer->minimum = settings->minimum;
	if (registry_open(settings->registry, settings->timeout_ms, &answerer->registry, err) == -1)
		return -1;
	*ret = TAKE(answerer);
	return 0;
}

void
answerer_close(struct answerer *answerer)
{
	if (!answerer)
		return;
	registry_close(answerer->registry);
	free(answerer->map);
	free(answerer);
}

static void
say(struct answer *ret, enum answered what, const char *why)
{
	ret->what = what;
	snprintf(ret->why, sizeof(ret->why), "%s", why);
}

static void
answer_key(struct answerer *answerer, const char *key, time_t now, struct buf *reply, struct answer *ret)
{
	struct tls_policy policy;
	AUTO_BUF struct buf text = { 0 };

	registry_tls(answerer->registry, key, now, &policy);
	switch (policy.answer) {
	case TLS_NONE:
		say(ret, ANSWERED_NONE, policy.why);
		reply_render("NOTFOUND", "", reply);
		return;
	case TLS_FOUND:
		buf_init(&text, REPLY_BYTES / 2 + TLS_MATCH_BYTES);
		answer_policy(&policy, answerer->minimum, &text);
		if (buf_full(&text) || text.len > REPLY_BYTES - 16)
			break;
		say(ret, policy.raised ? ANSWERED_RAISED : ANSWERED_FOUND, policy.why);
		reply_render("OK", buf_text(&text), reply);
		return;
	case TLS_UNAVAILABLE:
		break;
	}
	say(ret, ANSWERED_UNAVAILABLE, policy.why);
	/* The cause is in our log; this text may come back to a sender in a bounce. */
	reply_render("TEMP", "the registry of TLS policies cannot be asked now", reply);
}

void
answerer_answer(struct answerer *answerer, struct slice payload, time_t now, struct buf *reply, struct answer *ret)
{
	struct request request = { .key = "" };

	*ret = (struct answer){ .key = "" };
	switch (request_parse(payload, answerer->map, &request)) {
	case REQUEST_GOOD:
		memcpy(ret->key, request.key, sizeof(ret->key));
		answer_key(answerer, request.key, now, reply, ret);
		return;
	case REQUEST_FOR_OTHER_MAP:
		request.why = "it asks for another map than tlspol.map; correct smtp_tls_policy_maps";
		break;
	case REQUEST_BAD:
		break;
	}
	say(ret, ANSWERED_BAD, request.why);
	reply_render("PERM", request.why, reply);
}
