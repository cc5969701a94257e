/* segelctl quarantine view, export: the body, as safe text or as it is. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "milter/ctl/quarantine.h"
#include "smime/cert.h"
#include "smime/hash.h"

AUTO_DEFINE(json_t, json_decref);

enum { MOST_VIEW = 32 * 1024 * 1024 };

const struct ctl_option ctl_quarantine_export_options[] = {
	{ .name = "reason", .meta = "TEXT", .help = "why, on one line; goes on record with your login", .required = true },
	{ .name = "out", .meta = "FILE", .help = "a new file, readable by you only; without it standard output, which must not be a terminal" },
	{ .name = "version", .meta = "N", .help = "only if it is still this version (show)" },
	{ .name = NULL },
};

/* --- view --- */

static int
keep(void *ctx, struct slice bytes, struct err *err)
{
	struct buf *text = ctx;

	buf_add_slice(text, bytes);
	return buf_full(text) ? err_set(err, ERR_TEMP, "a view of more than %d bytes", MOST_VIEW) : 0;
}

/* segel-reviewd's child has made it safe; it had the mail before it, so it is not believed. */
static void
print_text(struct ctl *ctl, const struct buf *text)
{
	const char *at = buf_text(text), *end = at + text->len;

	while (at < end) {
		const size_t len = strcspn(at, "\n\t");
		AUTO(xfree) char *piece = xstrndup(at, len);

		ctl_print(ctl, piece);
		if (at + len >= end)
			break;
		fputc(at[len] ? at[len] : '?', ctl->out);
		at += len + 1;
	}
}

enum ctl_exit
ctl_quarantine_view(struct ctl *ctl)
{
	AUTO_REVIEW struct review review = { .fd = -1 };
	AUTO_ANSWER struct review_answer answer = { 0 };
	AUTO(json_decref) json_t *request = NULL;
	AUTO_BUF struct buf text = { 0 };
	const struct box_sink sink = { keep, &text };
	enum ctl_exit code = review_open(ctl, &review);

	buf_init(&text, MOST_VIEW);
	if (code == CTL_OK)
		code = review_request(&review, "view", &request);
	if (code == CTL_OK)
		code = review_ask(&review, request, &sink, &answer);
	if (code != CTL_OK)
		return code;
	print_text(ctl, &text);
	if (text.len && text.at[text.len - 1] != '\n')
		fputc('\n', ctl->out);
	return CTL_OK;
}

/* --- export --- */

struct export {
	int fd;
	const char *name;
	size_t n;
	struct hash *hash;
};

static int
write_some(void *ctx, struct slice bytes, struct err *err)
{
	struct export *export = ctx;

	hash_add(export->hash, bytes);
	export->n += bytes.len;
	while (bytes.len) {
		const ssize_t put = write(export->fd, bytes.at, bytes.len);

		if (put == -1 && errno == EINTR)
			continue;
		if (put <= 0)
			return err_set(err, ERR_TEMP, "'%s' cannot be written: %s", export->name, strerror(errno));
		bytes.at += put;
		bytes.len -= (size_t)put;
	}
	return 0;
}

/* The hash that the filter gave with it, which is what it must still have. */
static enum ctl_exit
hash_of_item(struct review *review, const char *id, char ret[65])
{
	AUTO(json_decref) json_t *request = json_pack("{s:s, s:s}", "op", "show", "id", id);
	AUTO_ANSWER struct review_answer answer = { 0 };
	const enum ctl_exit code = review_ask(review, request, NULL, &answer);

	if (code == CTL_OK)
		snprintf(ret, 65, "%s", review_text(json_object_get(answer.last, "item"), "sha256"));
	return code;
}

static enum ctl_exit
compare(struct ctl *ctl, struct export *export, const char *wanted)
{
	unsigned char hash[HASH_BYTES];
	char found[65];

	hash_end(&export->hash, hash);
	sha256_hex(hash, found);
	if (strcmp(found, wanted) != 0)
		return ctl_fail(ctl, CTL_UNAVAILABLE, "what came has SHA-256 %s, and what was held %s: it is worth nothing", found, wanted);
	fprintf(ctl->err, "segelctl: %zu bytes, as they were held (SHA-256 %s)\n", export->n, found);
	return CTL_OK;
}

static enum ctl_exit
take_out(struct ctl *ctl, struct export *export)
{
	AUTO_REVIEW struct review review = { .fd = -1 };
	AUTO_ANSWER struct review_answer answer = { 0 };
	AUTO(json_decref) json_t *request = NULL;
	const struct box_sink sink = { write_some, export };
	char wanted[65] = "";
	enum ctl_exit code = review_open(ctl, &review);

	if (code == CTL_OK)
		code = review_request(&review, "export", &request);
	if (code == CTL_OK)
		code = hash_of_item(&review, review_text(request, "id"), wanted);
	if (code == CTL_OK)
		code = review_ask(&review, request, &sink, &answer);
	return code == CTL_OK ? compare(ctl, export, wanted) : code;
}

static enum ctl_exit
export_to(struct ctl *ctl, int fd, const char *name)
{
	struct export export = { .fd = fd, .name = name, .hash = hash_new() };
	const enum ctl_exit code = take_out(ctl, &export);

	hash_free(export.hash);
	if (code != CTL_OK && export.n)
		(void)ctl_fail(ctl, code, "what was written to '%s' is not the message: do not use it", name);
	return code;
}

/* What was begun and is not whole goes again. */
static enum ctl_exit
export_to_file(struct ctl *ctl, const char *file)
{
	AUTO_FD int fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	enum ctl_exit code;

	if (fd == -1)
		return ctl_fail(ctl, CTL_USAGE, "the file '%s' cannot be made: %s; name one that is not there yet", file, strerror(errno));
	code = export_to(ctl, fd, file);
	if (code == CTL_OK && fsync(fd) == -1)
		code = ctl_fail(ctl, CTL_UNAVAILABLE, "'%s' cannot be written to disk: %s", file, strerror(errno));
	if (code != CTL_OK)
		unlink(file);
	return code;
}

enum ctl_exit
ctl_quarantine_export(struct ctl *ctl)
{
	const char *file = ctl_option(ctl, "out");
	const int fd = fileno(ctl->out);

	if (file)
		return export_to_file(ctl, file);
	if (isatty(fd))
		return ctl_fail(ctl, CTL_USAGE, "a message is not written to a terminal, where its bytes could be commands: give --out FILE, or "
		    "a pipe; `segelctl quarantine view` shows it as safe text");
	return export_to(ctl, fd, "standard output");
}
