/* registry_tls: rows and rules to one demand. */
#include "policy/registry/tls.h"

#include <stdio.h>
#include <string.h>

#include "policy/registry/db.h"
#include "policy/registry/pool.h"

static const char *const levels[] = {
	[HOP_LEVEL_UNKNOWN] = "unknown", [HOP_LEVEL_MAY] = "may", [HOP_LEVEL_DANE] = "dane", [HOP_LEVEL_ENCRYPT] = "encrypt",
	[HOP_LEVEL_DANE_ONLY] = "dane-only", [HOP_LEVEL_FINGERPRINT] = "fingerprint", [HOP_LEVEL_VERIFY] = "verify",
	[HOP_LEVEL_SECURE] = "secure",
};

const char *
hop_level_name(enum hop_level level)
{
	return levels[(size_t)level < N_ELEMENTS(levels) ? level : HOP_LEVEL_UNKNOWN];
}

enum hop_level
hop_level_from(const char *name)
{
	for (size_t i = 1; i < N_ELEMENTS(levels); i++)
		if (strcmp(levels[i], name) == 0)
			return (enum hop_level)i;
	return HOP_LEVEL_UNKNOWN;
}

bool
hop_level_is_weak(enum hop_level level)
{
	switch (level) {
	case HOP_LEVEL_ENCRYPT:
	case HOP_LEVEL_DANE_ONLY:
	case HOP_LEVEL_FINGERPRINT:
	case HOP_LEVEL_VERIFY:
	case HOP_LEVEL_SECURE:
		return false;
	case HOP_LEVEL_UNKNOWN:
	case HOP_LEVEL_MAY:
	case HOP_LEVEL_DANE:
		break;
	}
	return true;
}

/* The current row of this key, if any: `ret->answer` says whether there is one. */
static int
ask_row(struct conn *conn, const char *key, int64_t at, struct tls_policy *ret, struct err *err)
{
	sqlite3_stmt *stmt;
	int row;

	if (conn_query(conn, Q_TLS, &stmt, err) == -1 || db_bindf(stmt, "it", at, key) == -1
	    || (row = conn_step(conn, stmt, err)) == -1)
		return -1;
	if (row == 0)
		return 0;
	ret->level = hop_level_from(db_text(stmt, 0));
	if (ret->level == HOP_LEVEL_UNKNOWN || strlen(db_text(stmt, 1)) >= sizeof(ret->match))
		return err_set(err, ERR_CONFIG, "registry '%s' is damaged: the TLS policy of '%.200s' cannot be read; restore a backup",
		    conn->file, key);
	snprintf(ret->match, sizeof(ret->match), "%s", db_text(stmt, 1));
	snprintf(ret->why, sizeof(ret->why), "the policy of '%.200s'%s%.100s", key, *db_text(stmt, 2) ? ", by decision " : "",
	    db_text(stmt, 2));
	ret->answer = TLS_FOUND;
	return 0;
}

/* From the nearest parent outwards, as Postfix asks where it got no answer. */
static int
ask_parents(struct conn *conn, const struct hop *hop, int64_t at, struct tls_policy *ret, struct err *err)
{
	for (const char *parent = strchr(hop->domain, '.'); parent; parent = strchr(parent + 1, '.')) {
		if (ask_row(conn, parent, at, ret, err) == -1)
			return -1;
		if (ret->answer == TLS_FOUND) {
			ret->source = TLS_SOURCE_PARENT;
			return 0;
		}
	}
	return 0;
}

static const char *
domain_phrase(enum domain_answer official)
{
	switch (official) {
	case DOMAIN_OWN:
		return "an own domain";
	case DOMAIN_SHARED:
		return "a shared domain";
	case DOMAIN_PARTNER:
		return "a partner's domain";
	case DOMAIN_NONE:
		return "no official domain";
	case DOMAIN_ODD:
	case DOMAIN_UNAVAILABLE:
		break;
	}
	return "a domain that could not be looked up";
}

/* What an official domain gets at least. */
static void
raise_level(struct tls_policy *ret, const struct hop *hop)
{
	char why[sizeof(ret->why)];

	if (ret->answer == TLS_FOUND && !hop_level_is_weak(ret->level))
		return;
	if (ret->answer == TLS_FOUND)
		snprintf(why, sizeof(why), "%.250s says '%s', which lets mail go in clear; '%.160s' is %s and gets 'encrypt'", ret->why,
		    hop_level_name(ret->level), hop->domain, domain_phrase(ret->official));
	else
		snprintf(why, sizeof(why), "'%.200s' is %s and has no policy of its own", hop->domain, domain_phrase(ret->official));
	memcpy(ret->why, why, sizeof(why));
	ret->raised = ret->answer == TLS_FOUND;
	ret->source = ret->raised ? ret->source : TLS_SOURCE_OFFICIAL;
	ret->answer = TLS_FOUND;
	ret->level = HOP_LEVEL_ENCRYPT;
	ret->match[0] = '\0';
}

static int
ask_official(struct conn *conn, const struct hop *hop, int64_t at, struct tls_policy *ret, struct err *err)
{
	enum domain_answer official = *hop->domain ? DOMAIN_UNAVAILABLE : DOMAIN_NONE;

	if (*hop->domain && conn_domain(conn, hop->domain, at, &official, err) == -1)
		return -1;
	ret->official = official;
	return 0;
}

static int
ask(struct conn *conn, const struct hop *hop, int64_t at, struct tls_policy *ret, struct err *err)
{
	if (ask_row(conn, hop->key, at, ret, err) == -1 || ask_official(conn, hop, at, ret, err) == -1)
		return -1;
	ret->source = ret->answer == TLS_FOUND ? TLS_SOURCE_ROW : TLS_SOURCE_NONE;
	if (ret->official == DOMAIN_NONE) {
		if (ret->answer != TLS_FOUND)
			snprintf(ret->why, sizeof(ret->why), "'%.200s' has no policy, and is no registered domain", hop->key);
		ret->answer = ret->answer == TLS_FOUND ? TLS_FOUND : TLS_NONE;
		return 0;
	}
	if (ret->answer != TLS_FOUND && hop->plain && ask_parents(conn, hop, at, ret, err) == -1)
		return -1;
	raise_level(ret, hop);
	return 0;
}

static void
unavailable(struct tls_policy *ret, const char *why)
{
	*ret = (struct tls_policy){ .answer = TLS_UNAVAILABLE };
	snprintf(ret->why, sizeof(ret->why), "%s", why);
}

static void
ask_registry(struct registry *registry, const struct hop *hop, time_t at, struct tls_policy *ret)
{
	struct err err = { 0 };
	struct conn *conn;
	bool good;

	if (conn_begin(registry, &conn, &err) == -1) {
		unavailable(ret, err.text);
		return;
	}
	good = ask(conn, hop, (int64_t)at, ret, &err) == 0;
	if (!good)
		unavailable(ret, err.text);
	conn_end(registry, conn, good);
}

void
registry_tls(struct registry *registry, const char *next_hop, time_t at, struct tls_policy *ret)
{
	struct hop hop;

	*ret = (struct tls_policy){ .answer = TLS_UNAVAILABLE };
	switch (hop_from(next_hop, &hop)) {
	case HOP_ONE:
		ask_registry(registry, &hop, at, ret);
		return;
	case HOP_NONE:
		*ret = (struct tls_policy){ .answer = TLS_NONE, .official = DOMAIN_NONE };
		snprintf(ret->why, sizeof(ret->why), "'%.200s' is no domain, host or address", next_hop);
		return;
	case HOP_UNKNOWN:
		break;
	}
	unavailable(ret, "the next hop is in letters that cannot be compared with a registered domain (not lower case, or no IDNA)");
}
