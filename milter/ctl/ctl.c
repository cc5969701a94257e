#include "milter/ctl/ctl.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "milter/ctl/frame.h"
#include "policy/config.h"

enum { PROBLEM_BYTES = 16 * 1024, FAIL_BYTES = 8 * 1024 };

static const char default_registry[] = "/var/lib/segel/registry.db";

enum ctl_exit
ctl_main(const struct ctl_noun *nouns, int argc, char **argv, FILE *out, FILE *err)
{
	struct ctl ctl = { .now = time(NULL), .out = out, .err = err };
	enum ctl_exit code = frame_parse(&ctl, nouns, argc, argv);

	if (code != CTL_OK)
		return code;
	if (ctl_flag(&ctl, "help")) {
		frame_help(&ctl, nouns);
		return CTL_OK;
	}
	ctl.config_file = ctl_option(&ctl, "config");
	ctl.registry_file = ctl_option(&ctl, "registry");
	ctl.json = ctl_flag(&ctl, "json");
	ctl.dry_run = ctl_flag(&ctl, "dry-run");
	code = ctl.command->run(&ctl);
	/* An answer that did not arrive must not look like one that did. */
	if ((fflush(out) == EOF || ferror(out)) && code == CTL_OK)
		return ctl_fail(&ctl, CTL_UNAVAILABLE, "the answer could not be written: %s", strerror(errno));
	return code;
}

enum ctl_exit
ctl_fail(struct ctl *ctl, enum ctl_exit code, const char *fmt, ...)
{
	AUTO_BUF struct buf text = { 0 };
	va_list args;
	char *line = NULL;

	va_start(args, fmt);
	if (vasprintf(&line, fmt, args) == -1)
		line = NULL;
	va_end(args);
	buf_init(&text, FAIL_BYTES);
	ctl_escape(&text, line ? line : "out of memory");
	free(line);
	fprintf(ctl->err, "segelctl: %s\n", buf_text(&text));
	return code;
}

enum ctl_exit
ctl_fail_err(struct ctl *ctl, enum ctl_exit code, const struct err *err)
{
	return ctl_fail(ctl, code, "%s", err->text);
}

/* Length of the UTF-8 character at `c` that may be shown, 0 if it may not. */
static size_t
shown_len(const unsigned char *c)
{
	unsigned long code;
	size_t len;

	if (c[0] >= 0x20 && c[0] < 0x7f)
		return 1;
	len = c[0] >= 0xf0 && c[0] < 0xf5 ? 4 : c[0] >= 0xe0 && c[0] < 0xf0 ? 3 : c[0] >= 0xc2 && c[0] < 0xe0 ? 2 : 0;
	if (len == 0)
		return 0;
	code = c[0] & (0x7fU >> len);
	for (size_t i = 1; i < len; i++) {
		if ((c[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (c[i] & 0x3f);
	}
	if ((len == 3 && code < 0x800) || (len == 4 && (code < 0x10000 || code > 0x10ffff)) || (code >= 0xd800 && code < 0xe000))
		return 0;
	/* C1 controls, marks of direction, line separators, zero width */
	if (code < 0xa0 || code == 0xad || code == 0x61c || (code >= 0x200b && code <= 0x200f) || (code >= 0x2028 && code <= 0x202e)
	    || (code >= 0x2060 && code <= 0x206f) || code == 0xfeff || code >= 0xe0000)
		return 0;
	return len;
}

void
ctl_escape(struct buf *out, const char *text)
{
	for (const unsigned char *c = (const unsigned char *)text; *c;) {
		size_t len = shown_len(c);

		if (len)
			buf_add(out, c, len);
		else
			buf_printf(out, "\\x%02X", *c);
		c += len ? len : 1;
	}
}

void
ctl_print(struct ctl *ctl, const char *text)
{
	AUTO_BUF struct buf shown = { 0 };

	buf_init(&shown, 4 * strlen(text) + 1);
	ctl_escape(&shown, text);
	fputs(buf_text(&shown), ctl->out);
}

/* Without -c and without the usual file there are no settings, and the default holds. */
char *
ctl_registry_file(struct ctl *ctl)
{
	AUTO(config_free) struct config *config = NULL;
	AUTO_BUF struct buf problems = { 0 };
	const char *file = ctl->config_file ? ctl->config_file : CONFIG_FILE;

	if (ctl->registry_file)
		return xstrdup(ctl->registry_file);
	if (!ctl->config_file && access(file, F_OK) == -1 && errno == ENOENT)
		return xstrdup(default_registry);
	buf_init(&problems, PROBLEM_BYTES);
	if (config_load(file, &config, &problems) == 0)
		return xstrdup(config->registry.file);
	(void)ctl_fail(ctl, CTL_UNAVAILABLE, "the settings do not say where the registry is: %s", buf_text(&problems));
	return NULL;
}

static int
read_all(int fd, const char *file, size_t cap, struct buf *ret, struct err *err)
{
	unsigned char block[4096];
	ssize_t n;

	while ((n = read(fd, block, sizeof(block))) != 0) {
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return err_set(err, ERR_CONFIG, "file '%s' cannot be read: %s", file, strerror(errno));
		buf_add(ret, block, (size_t)n);
		if (buf_full(ret))
			return err_set(err, ERR_CONFIG, "file '%s' is larger than %zu bytes, the most that is read here", file, cap);
	}
	return 0;
}

int
ctl_read_file(const char *file, size_t cap, struct buf *ret, struct err *err)
{
	AUTO_FD int fd = -1;

	buf_init(ret, cap);
	if (strcmp(file, "-") == 0)
		return read_all(STDIN_FILENO, "standard input", cap, ret, err);
	fd = open(file, O_RDONLY | O_CLOEXEC);
	if (fd == -1)
		return err_set(err, ERR_CONFIG, "file '%s' cannot be opened: %s", file, strerror(errno));
	return read_all(fd, file, cap, ret, err);
}

/* SUDO_UID is believed only where sudo could have set it: nobody else gets real uid 0. */
static int
actor_uid(uid_t *ret, struct err *err)
{
	const char *sudo = getenv("SUDO_UID");
	char *end = NULL;
	unsigned long uid;

	*ret = getuid();
	if (*ret != 0 || !sudo)
		return 0;
	errno = 0;
	uid = strtoul(sudo, &end, 10);
	if (errno || sudo[0] < '0' || sudo[0] > '9' || *end || uid > (uid_t)-2)
		return err_set(err, ERR_CONFIG, "SUDO_UID is '%.20s', wanted a number; who acts cannot be told", sudo);
	*ret = (uid_t)uid;
	return 0;
}

int
ctl_actor(char **ret, struct err *err)
{
	struct passwd entry, *found = NULL;
	char room[16 * 1024];
	uid_t uid;

	if (actor_uid(&uid, err) == -1)
		return -1;
	if (getpwuid_r(uid, &entry, room, sizeof(room), &found) != 0 || !found)
		return err_set(err, ERR_TEMP, "uid %lu has no login name; who acts cannot be told", (unsigned long)uid);
	*ret = xstrdup(found->pw_name);
	return 0;
}

bool
ctl_time_from(const char *text, time_t *ret)
{
	static const char *const forms[] = { "%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%MZ" };

	for (size_t i = 0; i < N_ELEMENTS(forms); i++) {
		struct tm tm = { 0 }, back;
		const char *end = strptime(text, forms[i], &tm);
		int day = tm.tm_mday;

		if (!end || *end)
			continue;
		*ret = timegm(&tm);
		/* 31 February becomes a day in March: not what was written. */
		return gmtime_r(ret, &back) && back.tm_mday == day;
	}
	return false;
}
