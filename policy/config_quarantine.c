#include "policy/config_quarantine.h"

#include <string.h>

#include "policy/endpoint.h"
#include "policy/reason.h"
#include "policy/registry/registry.h"

enum { SOCKET_BYTES = 107 };

/* A user or group by name or number. */
static bool
is_user_name(const char *name)
{
	return *name && *name != '-' && !strpbrk(name, "/:,; \t\r\n");
}

static void
check_users(const struct config *config, const char *setting, const struct text_list *users, struct buf *problems)
{
	for (size_t i = 0; i < users->n; i++)
		if (!is_user_name(users->at[i]))
			buf_printf(problems, "%s: %s: '%s': wanted one user, by name or number\n", config->file, setting, users->at[i]);
}

static void
check_findings(const struct config *config, const char *setting, const struct text_list *findings, struct buf *problems)
{
	for (size_t i = 0; i < findings->n; i++)
		if (reason_from(findings->at[i]) == REASON_UNKNOWN)
			buf_printf(problems, "%s: %s: no finding '%s'; `segelctl policy show` lists them\n", config->file, setting,
			    findings->at[i]);
}

static void
check_retention(const struct config *config, struct buf *problems)
{
	const struct retention_setting *rows = config->quarantine.retention.rows;

	for (size_t i = 0; i < config->quarantine.retention.n; i++) {
		check_findings(config, "quarantine.retention", &rows[i].findings, problems);
		if (rows[i].findings.n == 0)
			buf_printf(problems, "%s: quarantine.retention, row %zu: names no finding, so it would fit nothing; name some, or set "
			    "quarantine.keep for all\n", config->file, i + 1);
	}
}

/* The programs go to "/", and a reload finds a file from there too. */
static void
check_path(const struct config *config, const char *setting, const char *path, struct buf *problems)
{
	if (path && *path != '/')
		buf_printf(problems, "%s: %s: '%s': wanted a path from '/' on\n", config->file, setting, path);
}

static void
check_socket(const struct config *config, const char *setting, const char *path, struct buf *problems)
{
	check_path(config, setting, path, problems);
	if (path && strlen(path) > SOCKET_BYTES)
		buf_printf(problems, "%s: %s: a path of %zu bytes is too long for a socket; wanted at most %d\n", config->file, setting,
		    strlen(path), SOCKET_BYTES);
}

static size_t
folder_len(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? (size_t)(slash - path) : 0;
}

/* Whoever may enter a socket's folder may try the sockets in it: those who review and those who hold are not the same. */
static void
check_sockets(const struct config *config, struct buf *problems)
{
	const char *hold = config->quarantine.hold_socket, *review = config->quarantine.review_socket;

	check_socket(config, "quarantine.hold_socket", hold, problems);
	check_socket(config, "quarantine.review_socket", review, problems);
	if (hold && review && folder_len(hold) == folder_len(review) && strncmp(hold, review, folder_len(hold)) == 0)
		buf_printf(problems, "%s: quarantine.review_socket: '%s' is in the folder of quarantine.hold_socket; each needs one of its own, "
		    "which only its group may enter\n", config->file, review);
}

static void
check_paths(const struct config *config, struct buf *problems)
{
	const char *certificate = config->quarantine.certificate;

	check_sockets(config, problems);
	check_path(config, "quarantine.dir", config->quarantine.dir, problems);
	check_path(config, "quarantine.audit_dir", config->quarantine.audit_dir, problems);
	check_path(config, "quarantine.sendmail", config->quarantine.sendmail, problems);
	if (certificate && *certificate)
		check_path(config, "quarantine.certificate", certificate, problems);
}

static void
check_release_to(const struct config *config, struct buf *problems)
{
	struct endpoint endpoint;
	struct err err;

	if (config->quarantine.release_to && endpoint_from(config->quarantine.release_to, &endpoint, &err) == -1)
		buf_printf(problems, "%s: quarantine.release_to: %s\n", config->file, err.text);
}

static void
check_address(const struct config *config, const char *setting, const char *address, struct buf *problems)
{
	char form[LIMIT_ADDRESS_BYTES + 1];

	if (!address_normalise(address, false, form))
		buf_printf(problems, "%s: %s: '%s' is no address; wanted user@domain\n", config->file, setting, address);
}

/* Empty digest_from switches the digest off, whoever would get it. */
static void
check_digest(const struct config *config, struct buf *problems)
{
	const char *from = config->quarantine.digest_from;

	if (from && *from) {
		check_address(config, "quarantine.digest_from", from, problems);
		if (config->quarantine.digest_to.n == 0)
			buf_printf(problems, "%s: quarantine.digest_to: is empty, but quarantine.digest_from is given; name who gets the digest\n",
			    config->file);
	}
	for (size_t i = 0; i < config->quarantine.digest_to.n; i++)
		check_address(config, "quarantine.digest_to", config->quarantine.digest_to.at[i], problems);
}

static void
check_limits(const struct config *config, struct buf *problems)
{
	if (config->quarantine.max_size < config_largest(config, false))
		buf_printf(problems, "%s: quarantine.max_size: is less than the largest message that is read (%lld bytes: limits.message_size, sealed "
		    "and encrypted), which could never be held; wanted at least as much\n", config->file, config_largest(config, false));
}

static void
check_holders(const struct config *config, struct buf *problems)
{
	check_users(config, "quarantine.holders", &config->quarantine.holders, problems);
	if (config->quarantine.certificate && *config->quarantine.certificate && config->quarantine.holders.n == 0)
		buf_printf(problems, "%s: quarantine.holders: is empty, so nobody could hold mail; wanted \"segel-inbound\", or no "
		    "quarantine.certificate\n", config->file);
}

/* A key opens what is held, or it seals: never both, and the certificate is not where a key is. */
static void
check_key(const struct config *config, const struct keyd_key_setting *keys, size_t i, struct buf *problems)
{
	const char *certificate = config->quarantine.certificate;

	if (!keys[i].file)
		return; /* reported already */
	for (size_t j = 0; j < i; j++)
		if (keys[j].file && strcmp(keys[j].file, keys[i].file) == 0)
			buf_printf(problems, "%s: keyd.keys: '%s' is listed twice; a key has one entry and one purpose\n", config->file, keys[i].file);
	if (certificate && strcmp(certificate, keys[i].file) == 0)
		buf_printf(problems, "%s: quarantine.certificate: '%s' is a key of keyd.keys; wanted its certificate, in a file of its own\n",
		    config->file, certificate);
	if (keys[i].purpose != KEY_PURPOSE_DECRYPT && keys[i].unwrappers.n)
		buf_printf(problems, "%s: keyd.keys: '%s' is of purpose seal, which never unwraps; remove its unwrappers, or set purpose = "
		    "\"decrypt\"\n", config->file, keys[i].file);
	if (keys[i].purpose != KEY_PURPOSE_DECRYPT)
		return;
	check_users(config, "keyd.keys", &keys[i].unwrappers, problems);
	if (keys[i].signers.n)
		buf_printf(problems, "%s: keyd.keys: '%s' is of purpose decrypt, which never signs; remove its signers: its unwrappers may use "
		    "it\n", config->file, keys[i].file);
	if (config->keyd.unwrappers.n == 0)
		buf_printf(problems, "%s: keyd.unwrappers: is empty, so nobody could use the key '%s' of purpose decrypt; wanted \"segel-reviewd\"\n",
		    config->file, keys[i].file);
}

static void
check_keys(const struct config *config, struct buf *problems)
{
	size_t n;
	const struct keyd_key_setting *keys = config_keys(config, &n);

	check_users(config, "keyd.unwrappers", &config->keyd.unwrappers, problems);
	for (size_t i = 0; i < n; i++)
		check_key(config, keys, i, problems);
}

void
config_check_quarantine(const struct config *config, struct buf *problems)
{
	check_keys(config, problems);
	check_holders(config, problems);
	check_paths(config, problems);
	check_limits(config, problems);
	check_retention(config, problems);
	check_findings(config, "quarantine.two_persons", &config->quarantine.two_persons, problems);
	check_release_to(config, problems);
	check_digest(config, problems);
}

static size_t
count_held(const struct action_table *table)
{
	static const enum class classes[] = { CLASS_INBOUND_OFFICIAL, CLASS_INBOUND_OTHER };
	size_t n = 0;

	for (size_t i = 0; i < N_ELEMENTS(classes); i++)
		for (int reason = 0; reason < N_REASONS; reason++) {
			const struct cell *cell = &table->cells[reason][classes[i]];

			n += cell->reachable && (cell->action == ACTION_HOLD || cell->action == ACTION_REJECT_HOLD);
		}
	return n;
}

static bool
has_decrypt_key(const struct config *config)
{
	size_t n;
	const struct keyd_key_setting *keys = config_keys(config, &n);

	for (size_t i = 0; i < n; i++)
		if (keys[i].purpose == KEY_PURPOSE_DECRYPT)
			return true;
	return false;
}

void
config_notes(const struct config *config, struct buf *ret)
{
	const bool quarantine = config->quarantine.certificate && *config->quarantine.certificate;
	size_t held = count_held(&config->table);

	if (!quarantine && held)
		buf_printf(ret, "quarantine.certificate is empty, so there is no quarantine: what %zu of the policy's cells for inbound mail would "
		    "hold is deferred instead; `segelctl quarantine key` makes a certificate\n", held);
	if (quarantine && !has_decrypt_key(config))
		buf_printf(ret, "quarantine.certificate is given, but none of keyd.keys is of purpose decrypt: unless segel-keyd has other "
		    "settings, what is held cannot be opened here\n");
}
