#include "milter/ctl/trust_store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "milter/ctl/fetch.h"
#include "milter/priv.h"

enum {
	FILE_BYTES = 8 * LIMIT_CERT_BYTES,
	PROBLEM_BYTES = 64 * 1024,
	LINE_BYTES = 2 * 1024,
	MOST_AUTHORITIES = 1000,
};

static const char temporary_prefix[] = ".new-";

static const struct {
	const char *name;
	const char *folder;
} purposes[N_AUTHORITY_PURPOSES] = {
	[PURPOSE_OF_NONE] = { "none", NULL },
	[PURPOSE_OF_OFFICIAL] = { "official", "anchors/official" },
	[PURPOSE_OF_PARTNER] = { "partner", "anchors/partner" },
	[PURPOSE_OF_ISSUER] = { "issuer", "anchors" },
};

const char *
authority_purpose_name(enum authority_purpose purpose)
{
	return purposes[purpose].name;
}

enum authority_purpose
authority_purpose_from(const char *name)
{
	for (enum authority_purpose p = PURPOSE_OF_OFFICIAL; p < N_AUTHORITY_PURPOSES; p++)
		if (strcmp(purposes[p].name, name) == 0)
			return p;
	return PURPOSE_OF_NONE;
}

const char *
authority_folder(enum authority_purpose purpose)
{
	return purposes[purpose].folder;
}

bool
authority_is_anchor(const struct authority *authority)
{
	return authority->purpose == PURPOSE_OF_OFFICIAL || authority->purpose == PURPOSE_OF_PARTNER;
}

static void
texts_done(struct text_list *list)
{
	for (size_t i = 0; i < list->n; i++)
		free(list->at[i]);
	free(list->at);
}

void
authority_done(struct authority *authority)
{
	buf_done(&authority->der);
	texts_done(&authority->crl);
	texts_done(&authority->ocsp);
	free(authority->added);
	free(authority->by);
}

void
trust_store_close(struct trust_store *store)
{
	if (!store)
		return;
	for (size_t i = 0; i < store->n; i++)
		authority_done(&store->at[i]);
	free(store->at);
	buf_done(&store->problems);
	free(store);
}

struct trust_ages
trust_ages_of(const struct config *config)
{
	return (struct trust_ages){ .grace = config->trust.grace / 1000, .ocsp_most = TRUST_OCSP_MOST, .skew = TRUST_SKEW };
}

char *
trust_folder(const struct config *config, const char *part)
{
	return xasprintf("%s/%s", config->trust.dir, part);
}

char *
trust_file(const struct config *config, const char *part, const char *id, const char *extension)
{
	return xasprintf("%s/%s/%s.%s", config->trust.dir, part, id, extension);
}

/* --- reading --- */

/* The line's value where it is called so, without blanks around it. Owned; NULL = another line. */
static char *
value_of(const char *line, size_t len, const char *name)
{
	const size_t n = strlen(name);

	if (len <= n || strncmp(line, name, n) != 0 || line[n] != ':')
		return NULL;
	return slice_dup(slice_trim((struct slice){ (const unsigned char *)line + n + 1, len - n - 1 }));
}

static int
add_url(struct text_list *list, char **url, struct err *err)
{
	if (fetch_check_url(*url, err) == -1)
		return -1;
	if (list->n == TRUST_MOST_URLS)
		return err_set(err, ERR_CONFIG, "more than %d URLs of one kind", TRUST_MOST_URLS);
	list->at = xrealloc(list->at, (list->n + 1) * sizeof(*list->at));
	list->at[list->n++] = TAKE(*url);
	return 0;
}

static void
set_once(char **at, char **value)
{
	if (*value && !*at)
		*at = TAKE(*value);
}

/* What a line says that is not known here is somebody's note. */
static int
read_line(struct authority *authority, const char *line, size_t len, struct err *err)
{
	AUTO(xfree) char *crl = value_of(line, len, "CRL");
	AUTO(xfree) char *ocsp = value_of(line, len, "OCSP");
	AUTO(xfree) char *added = value_of(line, len, "Added");
	AUTO(xfree) char *by = value_of(line, len, "By");

	set_once(&authority->added, &added);
	set_once(&authority->by, &by);
	if (crl)
		return add_url(&authority->crl, &crl, err);
	return ocsp ? add_url(&authority->ocsp, &ocsp, err) : 0;
}

static int
read_lines(struct authority *authority, const char *text, struct err *err)
{
	const char *line;
	size_t len;

	while ((line = text_line(&text, &len)) && strncmp(line, "-----", 5) != 0)
		if (read_line(authority, line, len, err) == -1)
			return -1;
	return 0;
}

static int
read_authority(struct authority *authority, const char *path, struct err *err)
{
	AUTO_BUF struct buf file = { 0 };

	if (ctl_read_file(path, FILE_BYTES, &file, err) == -1)
		return -1;
	if (cert_read(buf_slice(&file), &authority->der, err) == -1
	    || cert_inspect(buf_slice(&authority->der), &authority->facts, err) == -1)
		return -1;
	sha256_hex(authority->facts.sha256, authority->id);
	return read_lines(authority, buf_text(&file), err);
}

/* Its name must be its SHA-256: what stands here under another name was not put here by us. */
static int
check_name(const struct authority *authority, const char *name, struct err *err)
{
	if (strncmp(name, authority->id, 64) != 0 || strcmp(name + 64, ".pem") != 0)
		return err_set(err, ERR_CONFIG, "is called otherwise than %s.pem; add it with `segelctl trust add`", authority->id);
	return 0;
}

static void
load_file(struct trust_store *store, enum authority_purpose purpose, const char *folder, const char *name)
{
	AUTO(xfree) char *path = xasprintf("%s/%s", folder, name);
	struct authority authority = { .purpose = purpose };
	struct err err = { 0 };

	if (store->n == MOST_AUTHORITIES)
		(void)err_set(&err, ERR_CONFIG, "there are more than %d authorities", MOST_AUTHORITIES);
	if (err.kind != ERR_NONE || read_authority(&authority, path, &err) == -1 || check_name(&authority, name, &err) == -1) {
		buf_printf(&store->problems, "%s: %s\n", path, err.text);
		authority_done(&authority);
		return;
	}
	store->at = xrealloc(store->at, (store->n + 1) * sizeof(*store->at));
	store->at[store->n++] = authority;
}

static int
is_pem(const struct dirent *entry)
{
	const size_t len = strlen(entry->d_name);

	return entry->d_name[0] != '.' && len > 4 && strcmp(entry->d_name + len - 4, ".pem") == 0;
}

static int
by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int
load_folder(struct trust_store *store, enum authority_purpose purpose, struct err *err)
{
	AUTO(xfree) char *folder = trust_folder(store->config, authority_folder(purpose));
	struct dirent **entries = NULL;
	const int n = scandir(folder, &entries, is_pem, by_name);

	if (n == -1 && errno == ENOENT)
		return 0;
	if (n == -1)
		return err_set(err, ERR_CONFIG, "cannot read the folder '%s' of authorities: %s", folder, strerror(errno));
	for (int i = 0; i < n; i++) {
		load_file(store, purpose, folder, entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
	return 0;
}

int
trust_store_open(const struct config *config, struct trust_store **ret, struct err *err)
{
	AUTO(trust_store_close) struct trust_store *store = xcalloc(1, sizeof(*store));

	store->config = config;
	buf_init(&store->problems, PROBLEM_BYTES);
	for (enum authority_purpose p = PURPOSE_OF_OFFICIAL; p < N_AUTHORITY_PURPOSES; p++)
		if (load_folder(store, p, err) == -1)
			return -1;
	*ret = TAKE(store);
	return 0;
}

/* Hex digits in lower case, without colons; false = something else is among them, or nothing. */
static bool
plain_digits(const char *text, char ret[65])
{
	size_t n = 0;

	for (; *text; text++) {
		if (*text == ':')
			continue;
		if (n == 64 || !strchr("0123456789abcdefABCDEF", *text))
			return false;
		ret[n++] = (char)(*text >= 'A' && *text <= 'F' ? *text - 'A' + 'a' : *text);
	}
	ret[n] = '\0';
	return n > 0;
}

const struct authority *
trust_store_find(const struct trust_store *store, const char *text, struct err *err)
{
	const struct authority *found = NULL;
	char digits[65];

	if (!plain_digits(text, digits)) {
		(void)err_set(err, ERR_CONFIG, "'%.80s' is no SHA-256; wanted its first hex digits as `segelctl trust list` shows them", text);
		return NULL;
	}
	for (size_t i = 0; i < store->n; i++) {
		if (strncmp(store->at[i].id, digits, strlen(digits)) != 0)
			continue;
		if (found) {
			(void)err_set(err, ERR_CONFIG, "several authorities begin with '%s'; give more digits", digits);
			return NULL;
		}
		found = &store->at[i];
	}
	if (!found)
		(void)err_set(err, ERR_CONFIG, "no authority begins with '%s'; `segelctl trust list` shows them", digits);
	return found;
}

const struct authority *
trust_store_issuer(const struct trust_store *store, struct slice cert, time_t at)
{
	const struct authority *found = NULL;

	for (size_t i = 0; i < store->n; i++) {
		const struct authority *authority = &store->at[i];

		if (!authority_issued(buf_slice(&authority->der), cert))
			continue;
		if (cert_time_at(&authority->facts, at) == CERT_TIME_VALID)
			return authority;
		found = authority;
	}
	return found;
}

/* --- writing --- */

static int
make_folder(const char *path, uid_t uid, gid_t gid, bool give, struct err *err)
{
	if (mkdir(path, 0755) == -1) {
		if (errno == EEXIST)
			return 0;
		return err_set(err, ERR_CONFIG, "folder '%s' cannot be made: %s", path, strerror(errno));
	}
	if (chmod(path, 0755) == -1 || (give && chown(path, uid, gid) == -1))
		return err_set(err, ERR_CONFIG, "folder '%s' cannot be handed to its owner: %s", path, strerror(errno));
	return 0;
}

int
trust_store_prepare(const struct config *config, struct err *err)
{
	static const struct {
		const char *part;
		bool given; /* to trust.user */
	} parts[] = {
		{ ".", false }, { "anchors", false }, { "anchors/official", false }, { "anchors/partner", false },
		{ "crl", true }, { "ocsp", true }, { "state", true },
	};
	const bool root = geteuid() == 0;
	uid_t uid = geteuid();
	gid_t gid = getegid();

	if (root && priv_user(config->trust.user, &uid, &gid, err) == -1)
		return err_wrap(err, "trust.user");
	for (size_t i = 0; i < N_ELEMENTS(parts); i++) {
		AUTO(xfree) char *path = i == 0 ? xstrdup(config->trust.dir) : trust_folder(config, parts[i].part);

		if (make_folder(path, uid, gid, root && parts[i].given, err) == -1)
			return -1;
	}
	return 0;
}

static int
write_all(int fd, struct slice bytes)
{
	while (bytes.len) {
		const ssize_t n = write(fd, bytes.at, bytes.len);

		if (n == -1 && errno != EINTR)
			return -1;
		bytes.at += n > 0 ? n : 0;
		bytes.len -= n > 0 ? (size_t)n : 0;
	}
	return 0;
}

/* A name that came or went must outlive a power cut as well. */
static int
sync_folder_of(const char *file, struct err *err)
{
	AUTO(xfree) char *folder = xstrndup(file, (size_t)(strrchr(file, '/') - file));
	AUTO_FD int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd == -1 || fsync(fd) == -1)
		return err_set(err, ERR_TEMP, "folder '%s' cannot be synced: %s", folder, strerror(errno));
	return 0;
}

int
trust_write(const char *file, struct slice bytes, struct err *err)
{
	const size_t folder = (size_t)(strrchr(file, '/') - file);
	AUTO(xfree) char *temporary = xasprintf("%.*s/%sXXXXXX", (int)folder, file, temporary_prefix);
	AUTO_FD int fd = mkostemp(temporary, O_CLOEXEC);

	if (fd == -1)
		return err_set(err, ERR_CONFIG, "'%s' cannot be written: no file can be made beside it: %s", file, strerror(errno));
	if (write_all(fd, bytes) == -1 || fchmod(fd, 0644) == -1 || fsync(fd) == -1 || rename(temporary, file) == -1) {
		(void)err_set(err, ERR_TEMP, "'%s' cannot be written: %s; what was there stays", file, strerror(errno));
		(void)unlink(temporary);
		return -1;
	}
	return sync_folder_of(file, err);
}

int
trust_changed(const char *folder, struct err *err)
{
	AUTO(xfree) char *file = xasprintf("%s/generation", folder);

	return trust_write(file, slice_of("Replaced when something in this part of the trust folder changed.\n"), err);
}

void
trust_sweep(const char *folder)
{
	DIR *dir = opendir(folder);
	const struct dirent *entry;

	if (!dir)
		return;
	while ((entry = readdir(dir)))
		if (strncmp(entry->d_name, temporary_prefix, strlen(temporary_prefix)) == 0)
			(void)unlinkat(dirfd(dir), entry->d_name, 0);
	(void)closedir(dir);
}

static void
add_urls(struct buf *text, const char *name, const struct text_list *urls)
{
	for (size_t i = 0; i < urls->n; i++)
		buf_printf(text, "%s: %s\n", name, urls->at[i]);
}

/* The name of the subject is the certificate's own text: escaped, or it could begin a line of ours. */
static void
render(const struct authority *authority, struct buf *ret)
{
	AUTO_BUF struct buf subject = { 0 };

	buf_init(&subject, LINE_BYTES);
	ctl_escape(&subject, authority->facts.subject);
	buf_printf(ret, "# An authority; added and removed with `segelctl trust`.\nSubject: %s\nPurpose: %s\nAdded: %s\nBy: %s\n",
	    buf_text(&subject), authority_purpose_name(authority->purpose), authority->added, authority->by);
	add_urls(ret, "CRL", &authority->crl);
	add_urls(ret, "OCSP", &authority->ocsp);
	authority_pem(buf_slice(&authority->der), ret);
}

int
trust_store_add(const struct config *config, const struct authority *authority, struct err *err)
{
	AUTO(xfree) char *file = trust_file(config, authority_folder(authority->purpose), authority->id, "pem");
	AUTO_BUF struct buf text = { 0 };

	buf_init(&text, FILE_BYTES);
	render(authority, &text);
	if (buf_full(&text))
		return err_set(err, ERR_CONFIG, "the authority's file would be larger than %d bytes", FILE_BYTES);
	if (trust_write(file, buf_slice(&text), err) == -1)
		return -1;
	return trust_changed(config->trust.dir, err);
}

static int
remove_file(const char *file, struct err *err)
{
	if (unlink(file) == -1 && errno == ENOENT)
		return 0;
	if (access(file, F_OK) == 0)
		return err_set(err, ERR_CONFIG, "'%s' cannot be removed: %s", file, strerror(errno));
	return sync_folder_of(file, err);
}

int
trust_store_remove(const struct config *config, const struct authority *authority, struct err *err)
{
	AUTO(xfree) char *file = trust_file(config, authority_folder(authority->purpose), authority->id, "pem");
	AUTO(xfree) char *crl = trust_file(config, "crl", authority->id, "crl");

	if (remove_file(file, err) == -1 || remove_file(crl, err) == -1)
		return -1;
	return trust_changed(config->trust.dir, err);
}
