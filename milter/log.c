#include "milter/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "smime/limits.h"

enum { LOG_LINE_BYTES = 4096 };

static const struct {
	int priority;
	const char *word; /* before the text, "" = none */
} levels[] = {
	[LOG_LEVEL_PANIC] = { LOG_CRIT, "panic: " },
	[LOG_LEVEL_FATAL] = { LOG_CRIT, "fatal: " },
	[LOG_LEVEL_ERROR] = { LOG_ERR, "error: " },
	[LOG_LEVEL_WARNING] = { LOG_WARNING, "warning: " },
	[LOG_LEVEL_INFO] = { LOG_INFO, "" },
	[LOG_LEVEL_DEBUG] = { LOG_DEBUG, "debug: " },
};

/* Written by log_open before threads start; only the level may change later. */
static struct {
	char program[64];
	enum log_target target;
	atomic_int most;
} setup = { "segel", LOG_TO_STDERR, LOG_LEVEL_INFO };

void
log_level_set(enum log_level most)
{
	atomic_store(&setup.most, (int)most);
}

void
log_open(const char *program, enum log_target target, enum log_level most)
{
	snprintf(setup.program, sizeof(setup.program), "%s", program);
	setup.target = target;
	log_level_set(most);
	if (target == LOG_TO_SYSLOG)
		openlog(setup.program, LOG_PID | LOG_NDELAY, LOG_MAIL);
}

/* File names and error texts may hold a line end; none may begin a line of its own. */
static void
one_line(char *text)
{
	for (; *text; text++) {
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			*text = '?';
	}
}

/* One write, so that lines of several threads do not mix. */
static void
to_stderr(const char *word, const char *text)
{
	char line[LOG_LINE_BYTES + 128];
	int len = snprintf(line, sizeof(line), "%s[%ld]: %s%s\n", setup.program, (long)getpid(), word, text);

	if (len > 0)
		(void)!write(STDERR_FILENO, line, (size_t)len < sizeof(line) ? (size_t)len : sizeof(line) - 1);
}

static void
put(enum log_level level, const char *word, const char *text)
{
	if (setup.target == LOG_TO_SYSLOG)
		syslog(levels[level].priority, "%s%s", word, text);
	else
		to_stderr(word, text);
}

void
log_line(enum log_level level, const char *fmt, ...)
{
	char text[LOG_LINE_BYTES];
	va_list args;

	if ((int)level > atomic_load(&setup.most))
		return;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	one_line(text);
	put(level, levels[level].word, text);
}

void
log_message(enum log_level level, const struct buf *line)
{
	if ((int)level <= atomic_load(&setup.most))
		put(level, "", buf_text(line));
}

/* '%' and '"' are printable, but would let a value end or forge another's escape. */
static bool
is_plain(unsigned char c)
{
	return c >= ' ' && c < 0x7f && c != '%' && c != '"';
}

static void
add_escaped(struct buf *line, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (is_plain((unsigned char)text[i]))
			buf_add(line, text + i, 1);
		else
			buf_printf(line, "%%%02X", (unsigned char)text[i]);
	}
}

void
log_escape(struct buf *line, const char *text)
{
	size_t len = text ? strnlen(text, LIMIT_TOKEN_BYTES + 1) : 0;
	bool cut = len > LIMIT_TOKEN_BYTES;
	bool quote = len == 0 || memchr(text, ' ', len) != NULL;

	if (quote)
		buf_add_text(line, "\"");
	/* What was cut says so, within the same bound. */
	add_escaped(line, text, cut ? LIMIT_TOKEN_BYTES - 3 : len);
	if (cut)
		buf_add_text(line, "...");
	if (quote)
		buf_add_text(line, "\"");
}
