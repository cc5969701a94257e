/*
 * segelctl tls client-map: which client certificates Postfix lets in (access(5), key: SHA-256
 * fingerprint), from the registry's bindings for purpose `client`.
 *
 * Nothing in the map depends on the time it is made at, only on what holds then: unchanged
 * content stays the same file. Texts of the registry stand in comments only, escaped.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "milter/ctl/op.h"
#include "milter/ctl/tls.h"

enum { MAP_BYTES = 64 * 1024 * 1024, COMMENT_BYTES = 600, MAP_MODE = 0644 };

/* --- what a certificate counts for --- */

enum client {
	CLIENT_UNKNOWN,  /* the registry says something that we do not know */
	CLIENT_REVOKED,
	CLIENT_HELD,
	CLIENT_REPLACED,
	CLIENT_EXPIRED,
	CLIENT_NOT_YET,
	CLIENT_LATER,    /* its binding begins later */
	CLIENT_ENDED,    /* its binding has ended, or the address, unit or domain it was bound to */
	CLIENT_GOOD,
};

/* What the other side's administrator reads; NULL = let in. */
static const char *const refusals[] = {
	[CLIENT_REVOKED] = "sertifikat klien sudah dicabut (client certificate is revoked; use a new one)",
	[CLIENT_HELD] = "sertifikat klien sedang ditahan oleh OP (client certificate is on hold; ask the registration authority)",
	[CLIENT_REPLACED] = "sertifikat klien sudah diganti (client certificate was replaced; use the new one)",
	[CLIENT_EXPIRED] = "sertifikat klien sudah kedaluwarsa (client certificate has expired; use a new one)",
	[CLIENT_NOT_YET] = "sertifikat klien belum berlaku (client certificate is not valid yet; check the clock)",
	[CLIENT_LATER] = "sertifikat klien belum terdaftar untuk server ini (client certificate is registered from a later date)",
	[CLIENT_ENDED] = "pendaftaran sertifikat klien sudah berakhir (client certificate is no longer registered here)",
	[CLIENT_GOOD] = NULL,
};

/* The columns of LIST_CLIENT. */
enum { C_ID, C_SHA256, C_KIND, C_STATE, C_NOT_BEFORE, C_NOT_AFTER, C_BOUND, C_TO, C_NAME, C_SUBJECT, N_CLIENT_COLUMNS };

static enum client
client_bound(const char *bound)
{
	if (strcmp(bound, "now") == 0)
		return CLIENT_GOOD;
	if (strcmp(bound, "later") == 0)
		return CLIENT_LATER;
	return strcmp(bound, "ended") == 0 ? CLIENT_ENDED : CLIENT_UNKNOWN;
}

/* The graver reason speaks: what is wrong with the certificate, then with its binding. */
static enum client
client_of(const struct list_cell *cells, time_t now)
{
	switch (cert_state_from(cells[C_STATE].text)) {
	case CERT_STATE_REVOKED:
		return CLIENT_REVOKED;
	case CERT_STATE_HELD:
		return CLIENT_HELD;
	case CERT_STATE_REPLACED:
		return CLIENT_REPLACED;
	case CERT_STATE_UNKNOWN:
		return CLIENT_UNKNOWN;
	case CERT_STATE_ACTIVE:
		break;
	}
	if (now < cells[C_NOT_BEFORE].number)
		return CLIENT_NOT_YET;
	return now > cells[C_NOT_AFTER].number ? CLIENT_EXPIRED : client_bound(cells[C_BOUND].text);
}

/* --- the map --- */

struct map {
	time_t now;
	bool relay;   /* relay_clientcerts: whatever is found there may relay, whatever its value says */
	struct buf *text;
	int64_t unknown; /* a certificate whose row says what we do not know; 0 = none */
	size_t n, n_good;
};

/* As Postfix writes it: AB:CD:... */
static bool
add_fingerprint(struct buf *out, const char *hex)
{
	if (strspn(hex, "0123456789abcdef") != 64 || hex[64])
		return false;
	for (size_t i = 0; i < 64; i += 2) {
		const char pair[] = { hex[i], hex[i + 1], '\0' };

		buf_printf(out, "%s%02lX", i ? ":" : "", strtoul(pair, NULL, 16));
	}
	return true;
}

/* Postfix takes a line that begins with a blank for the end of the one before: escaping leaves none. */
static void
add_comment(struct buf *out, const struct list_cell *cells)
{
	AUTO_BUF struct buf text = { 0 };
	AUTO(xfree) char *plain = xasprintf("certificate %lld (%s) of %s %s: %s", (long long)cells[C_ID].number, cells[C_KIND].text,
	    cells[C_TO].text, cells[C_NAME].text, cells[C_SUBJECT].text);

	buf_init(&text, COMMENT_BYTES);
	ctl_escape(&text, plain);
	buf_printf(out, "\n# %s\n", buf_text(&text));
}

static bool
is_whole(const struct list_cell *cells, size_t n)
{
	static const size_t texts[] = { C_SHA256, C_KIND, C_STATE, C_BOUND, C_TO, C_NAME, C_SUBJECT };

	if (n != N_CLIENT_COLUMNS)
		return false;
	for (size_t i = 0; i < N_ELEMENTS(texts); i++) {
		if (!cells[texts[i]].text)
			return false;
	}
	return true;
}

static void
add_entry(struct map *map, const struct list_cell *cells, enum client client)
{
	const char *refusal = refusals[client];

	add_comment(map->text, cells);
	if (map->relay && refusal) {
		buf_printf(map->text, "# not listed: %s\n", refusal);
		return;
	}
	if (!add_fingerprint(map->text, cells[C_SHA256].text))
		map->unknown = cells[C_ID].number;
	if (refusal)
		buf_printf(map->text, " REJECT %s\n", refusal);
	else
		buf_add_text(map->text, " OK\n");
}

static void
each(void *ctx, const struct list_cell *cells, size_t n)
{
	struct map *map = ctx;
	enum client client = is_whole(cells, n) ? client_of(cells, map->now) : CLIENT_UNKNOWN;

	if (client == CLIENT_UNKNOWN) {
		map->unknown = n ? cells[C_ID].number : -1;
		return;
	}
	add_entry(map, cells, client);
	map->n++;
	map->n_good += client == CLIENT_GOOD;
}

static const char ccert_head[] =
    "# Client certificates, by the registry's bindings for purpose client. Made by `segelctl tls client-map`;\n"
    "# make it again after every change in the registry, and often (segel-client-map.timer does): a hold and\n"
    "# an expiry count only from then on. How its database is made: segelctl(8); with texthash: `postfix reload`.\n"
    "#\n"
    "# main.cf, or -o lines of the service that these clients use:\n"
    "#     smtpd_tls_ask_ccert = yes\n"
    "#     smtpd_tls_fingerprint_digest = sha256\n"
    "#     smtpd_client_restrictions = check_ccert_access hash:FILE, reject\n"
    "# Without the `reject` behind it, clients that are not listed, or show no certificate, are let in too.\n";

static const char relay_head[] =
    "# Clients that may relay, by the registry's bindings for purpose client. Made by `segelctl tls client-map\n"
    "# --format relay`; make it again after every change in the registry, and often (segel-client-map.timer):\n"
    "# a hold and an expiry count only from then on. How its database is made: segelctl(8); with texthash: `postfix reload`.\n"
    "# Whatever is listed here may relay, whatever stands behind it: who may not is not listed.\n"
    "#\n"
    "# main.cf, or -o lines of the service that these clients use:\n"
    "#     smtpd_tls_ask_ccert = yes\n"
    "#     smtpd_tls_fingerprint_digest = sha256\n"
    "#     relay_clientcerts = hash:FILE\n"
    "#     smtpd_relay_restrictions = permit_tls_clientcerts, reject_unauth_destination\n";

static enum ctl_exit
make_map(struct ctl *ctl, struct map *map)
{
	AUTO(registry_close) struct registry *registry = op_registry(ctl);
	const struct list_filter filter = { .at = ctl->now, .all = true };
	struct err err = { 0 };

	if (!registry)
		return CTL_UNAVAILABLE;
	buf_add_text(map->text, map->relay ? relay_head : ccert_head);
	if (registry_list(registry, LIST_CLIENT, &filter, each, map, &err) == -1)
		return ctl_fail_err(ctl, CTL_UNAVAILABLE, &err);
	if (map->unknown)
		return ctl_fail(ctl, CTL_UNAVAILABLE, "the registry's row of certificate %lld makes no sense: no map is made; restore "
		    "a backup of the registry", (long long)map->unknown);
	if (buf_full(map->text))
		return ctl_fail(ctl, CTL_UNAVAILABLE, "the map would be larger than %d bytes: no map is made", (int)MAP_BYTES);
	return CTL_OK;
}

/* --- the file --- */

static bool
is_same(const char *file, const struct buf *text)
{
	AUTO_BUF struct buf old = { 0 };
	struct err err;

	return ctl_read_file(file, MAP_BYTES, &old, &err) == 0 && slice_equal(buf_slice(&old), buf_slice(text));
}

static int
write_all(int fd, const struct buf *text)
{
	for (size_t at = 0; at < text->len;) {
		const ssize_t n = write(fd, text->at + at, text->len - at);

		if (n == -1 && errno != EINTR)
			return -1;
		at += n > 0 ? (size_t)n : 0;
	}
	return 0;
}

/* The new name must outlive a power cut as well. */
static int
sync_folder(const char *file)
{
	AUTO(xfree) char *folder = xstrdup(file);
	char *slash = strrchr(folder, '/');
	AUTO_FD int fd = -1;

	if (slash)
		slash[slash == folder] = '\0';
	fd = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd == -1 ? -1 : fsync(fd);
}

/* Whole or not at all: under a name of its own first. */
static int
replace_file(const char *file, const struct buf *text, struct err *err)
{
	AUTO(xfree) char *temporary = xasprintf("%s.XXXXXX", file);
	AUTO_FD int fd = mkostemp(temporary, O_CLOEXEC);

	if (fd == -1)
		return err_set(err, ERR_CONFIG, "'%s' cannot be written: no file can be made beside it: %s", file, strerror(errno));
	if (write_all(fd, text) == -1 || fchmod(fd, MAP_MODE) == -1 || fsync(fd) == -1 || rename(temporary, file) == -1) {
		(void)err_set(err, ERR_TEMP, "'%s' cannot be written: %s; it stays as it was", file, strerror(errno));
		(void)unlink(temporary);
		return -1;
	}
	if (sync_folder(file) == -1)
		return err_set(err, ERR_TEMP, "'%s' was written, but its folder cannot be synced: %s", file, strerror(errno));
	return 0;
}

static enum ctl_exit
keep(struct ctl *ctl, const struct map *map, const char *file)
{
	struct stat st;
	struct err err = { 0 };
	bool same;

	if (stat(file, &st) == 0 && !S_ISREG(st.st_mode))
		return ctl_fail(ctl, CTL_USAGE, "--output '%s' is no file that could be replaced", file);
	same = is_same(file, map->text);
	if (!same && replace_file(file, map->text, &err) == -1)
		return ctl_fail_err(ctl, CTL_UNAVAILABLE, &err);
	fprintf(ctl->out, "%s: %zu certificates, %zu of them let in\n", same ? "unchanged" : "written", map->n, map->n_good);
	return CTL_OK;
}

enum ctl_exit
tls_map(struct ctl *ctl)
{
	static const char *const formats[] = { "ccert", "relay", NULL };
	const char *format = op_word(ctl, "format", formats, "ccert"), *file = ctl_option(ctl, "output");
	AUTO_BUF struct buf text = { 0 };
	struct map map = { .now = ctl->now, .text = &text };
	enum ctl_exit code;

	if (!format)
		return CTL_USAGE;
	map.relay = strcmp(format, "relay") == 0;
	buf_init(&text, MAP_BYTES);
	code = make_map(ctl, &map);
	if (code != CTL_OK)
		return code;
	if (file)
		return keep(ctl, &map, file);
	fwrite(text.at, 1, text.len, ctl->out);
	return CTL_OK;
}

const struct ctl_option tls_map_options[] = {
	{ "format", "WORD", "ccert (usual; for check_ccert_access) or relay (for relay_clientcerts)", false, false },
	{ "output", "FILE", "write it there, whole or not at all, and only where it changed; otherwise print it", false, false },
	{ 0 },
};
