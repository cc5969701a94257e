/* segelctl quarantine key: a key of its own for held mail. */
#include "milter/ctl/quarantine_key.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "smime/key.h"
#include "smime/keygen.h"

static const char keys_folder[] = "/etc/segel/keys", cert_folder[] = "/etc/segel";

const struct ctl_option ctl_quarantine_key_options[] = {
	{ .name = "out", .meta = "DIR", .help = "where all three files go; without it the key goes to /etc/segel/keys, the certificate to /etc/segel" },
	{ .name = "name", .meta = "NAME", .help = "begins the files' names; without it \"quarantine\". A later key has another name" },
	{ .name = NULL },
};

/* One file on its way; it goes again unless all of them are there. */
struct made_file {
	char *path; /* owned */
	bool made;
};

struct made {
	struct made_file key, passphrase, cert;
};

static void
made_done(struct made *made)
{
	struct made_file *const files[] = { &made->key, &made->passphrase, &made->cert };

	for (size_t i = 0; i < N_ELEMENTS(files); i++) {
		if (files[i]->made)
			unlink(files[i]->path);
		free(files[i]->path);
	}
}

static void
keep(struct made *made)
{
	made->key.made = made->passphrase.made = made->cert.made = false;
}

static int
write_all(int fd, const char *path, struct slice bytes, struct err *err)
{
	while (bytes.len) {
		ssize_t put = write(fd, bytes.at, bytes.len);

		if (put == -1 && errno == EINTR)
			continue;
		if (put <= 0)
			return err_set(err, ERR_TEMP, "'%s' cannot be written: %s", path, strerror(errno));
		bytes.at += put;
		bytes.len -= (size_t)put;
	}
	if (fsync(fd) == -1)
		return err_set(err, ERR_TEMP, "'%s' cannot be written to disk: %s", path, strerror(errno));
	return 0;
}

/* Closed from its first moment; what is there already is nobody's to replace: mail may be encrypted to it. */
static int
make_file(struct made_file *file, mode_t mode, struct slice bytes, struct err *err)
{
	AUTO_FD int fd = open(file->path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd == -1 && errno == EEXIST)
		return err_set(err, ERR_CONFIG, "'%s' exists and is never overwritten: held mail may need it; give the new key another --name",
		    file->path);
	if (fd == -1)
		return err_set(err, ERR_CONFIG, "'%s' cannot be made: %s; its folder must exist and be yours to write in", file->path,
		    strerror(errno));
	file->made = true;
	if (write_all(fd, file->path, bytes, err) == -1)
		return -1;
	return fchmod(fd, mode) == 0 ? 0 : err_set(err, ERR_TEMP, "'%s' cannot be given mode %04o: %s", file->path, (unsigned)mode, strerror(errno));
}

/* The key agent reads its keys as the folder's owner. */
static int
give_to_owner(const char *folder, const struct made *made, struct err *err)
{
	const char *const paths[] = { made->key.path, made->passphrase.path };
	struct stat st;

	if (stat(folder, &st) == -1)
		return err_set(err, ERR_TEMP, "'%s': %s", folder, strerror(errno));
	for (size_t i = 0; geteuid() == 0 && i < N_ELEMENTS(paths); i++)
		if (lchown(paths[i], st.st_uid, st.st_gid) == -1)
			return err_set(err, ERR_TEMP, "'%s' cannot be given to uid %u: %s", paths[i], (unsigned)st.st_uid, strerror(errno));
	return 0;
}

static int
sync_folder(const char *folder, struct err *err)
{
	AUTO_FD int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd == -1 || fsync(fd) == -1)
		return err_set(err, ERR_TEMP, "'%s' cannot be written to disk: %s", folder, strerror(errno));
	return 0;
}

/* Read back as the key agent will read it: a key that cannot be used must be found out before mail is encrypted to it. */
static int
check(const struct made *made, const struct new_key *fresh, struct err *err)
{
	AUTO(key_free) struct key *key = NULL;

	if (key_load(made->key.path, made->passphrase.path, false, &key, err) == -1)
		return err_wrap(err, "the new key, read back");
	if (memcmp(key_spki(key), fresh->spki, sizeof(fresh->spki)) != 0)
		return err_set(err, ERR_BUG, "the new key, read back, is another one");
	return 0;
}

static int
write_files(const char *keys, const char *certs, struct made *made, const struct new_key *fresh, struct err *err)
{
	AUTO(xfree) char *line = xasprintf("%s\n", fresh->passphrase);
	int result = make_file(&made->key, 0600, buf_slice(&fresh->key), err);

	if (result == 0)
		result = make_file(&made->passphrase, 0600, slice_of(line), err);
	wipe(line, strlen(line));
	if (result == -1 || make_file(&made->cert, 0644, buf_slice(&fresh->cert), err) == -1 || check(made, fresh, err) == -1
	    || give_to_owner(keys, made, err) == -1 || sync_folder(keys, err) == -1)
		return -1;
	return sync_folder(certs, err);
}

static bool
name_is_good(const char *name)
{
	return *name && *name != '.' && strlen(name) <= 48
	    && name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")] == '\0';
}

/* As the settings file wants a text. */
static void
print_quoted(struct ctl *ctl, const char *before, const char *text, const char *after)
{
	fputs(before, ctl->out);
	fputc('"', ctl->out);
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			fputc('\\', ctl->out);
		fputc(*text, ctl->out);
	}
	fprintf(ctl->out, "\"%s\n", after);
}

static void
print_settings(struct ctl *ctl, const struct made *made)
{
	fputs("# One more entry of keyd.keys:\n", ctl->out);
	print_quoted(ctl, "{ file = ", made->key.path, ";");
	print_quoted(ctl, "  passphrase_file = ", made->passphrase.path, ";");
	fputs("  purpose = \"decrypt\"; }\n\n# In the group quarantine:\n", ctl->out);
	print_quoted(ctl, "certificate = ", made->cert.path, ";");
	fputs("\n# Keep a copy of key and passphrase in two places where no mail is: without them nothing that is held can be read.\n"
	      "# An older key stays among keyd.keys as long as something is held that was encrypted to it.\n", ctl->out);
}

static bool
is_printable(const char *text)
{
	for (const unsigned char *c = (const unsigned char *)text; *c; c++)
		if (*c < 0x20 || *c == 0x7f)
			return false;
	return true;
}

enum ctl_exit
ctl_quarantine_key(struct ctl *ctl)
{
	const char *out = ctl_option(ctl, "out"), *given = ctl_option(ctl, "name");
	const char *name = given ? given : "quarantine";
	AUTO(xfree) char *keys = NULL;
	AUTO(xfree) char *certs = NULL;
	struct made made = { .key = { NULL, false } };
	struct new_key fresh;
	struct err err = { .kind = ERR_NONE };
	int result;

	if (!name_is_good(name))
		return ctl_fail(ctl, CTL_USAGE, "--name '%s': wanted 1 to 48 letters, digits, dots, dashes and underscores", name);
	keys = realpath(out ? out : keys_folder, NULL);
	certs = realpath(out ? out : cert_folder, NULL);
	if (!keys || !certs || !is_printable(keys))
		return ctl_fail(ctl, CTL_USAGE, "the folder '%s' cannot be used: %s; make it, or name another one with --out",
		    out ? out : keys ? cert_folder : keys_folder, keys && certs ? "its name has control characters" : strerror(errno));
	made.key.path = xasprintf("%s/%s.key", keys, name);
	made.passphrase.path = xasprintf("%s/%s.pass", keys, name);
	made.cert.path = xasprintf("%s/%s.crt", certs, name);
	result = keygen_vault(name, ctl->now, &fresh, &err);
	if (result == 0)
		result = write_files(keys, certs, &made, &fresh, &err);
	new_key_done(&fresh);
	if (result == 0) {
		keep(&made);
		print_settings(ctl, &made);
	}
	made_done(&made);
	return result == 0 ? CTL_OK : ctl_fail_err(ctl, err.kind == ERR_CONFIG ? CTL_REFUSED : CTL_UNAVAILABLE, &err);
}
