#include "milter/filter/poison_list.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "milter/log.h"
#include "smime/buf.h"

enum {
	MAX_ENTRIES = 4096, /* the oldest suspicions fall out first */
	LIST_BYTES = 1024 * 1024,
	LINE_BYTES = 300,
	SUSPICION_DAYS = 60, /* a message that has not come again by then will not */
};

void
poison_hex(const unsigned char *bytes, size_t n, char *ret)
{
	for (size_t i = 0; i < n; i++)
		snprintf(ret + 2 * i, 3, "%02x", bytes[i]);
}

static bool
unhex(const char *text, size_t n, unsigned char *ret)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < 2 * n; i++) {
		const char *digit = text[i] ? strchr(digits, text[i] >= 'A' && text[i] <= 'F' ? text[i] | 0x20 : text[i]) : NULL;

		if (!digit)
			return false;
		ret[i / 2] = (unsigned char)((i % 2 ? ret[i / 2] << 4 : 0) | (digit - digits));
	}
	return true;
}

/* "HASH 2026-11-21T08:00:00Z 2 poison signal 11". False for what is no such line. */
static bool
entry_parse(const char *line, struct poison_entry *ret)
{
	struct tm tm = { 0 };
	char state[16] = "";
	const char *rest;
	int used = 0;

	*ret = (struct poison_entry){ 0 };
	if (strlen(line) < 64 || !unhex(line, 32, ret->hash) || line[64] != ' ')
		return false;
	rest = strptime(line + 65, "%Y-%m-%dT%H:%M:%SZ", &tm);
	if (!rest || sscanf(rest, " %5u %15s %n", &ret->times, state, &used) != 2)
		return false;
	ret->at = timegm(&tm);
	ret->poison = strcmp(state, "poison") == 0;
	snprintf(ret->words, sizeof(ret->words), "%s", used > 0 ? rest + used : "");
	return ret->poison || strcmp(state, "suspected") == 0;
}

static void
entry_write(const struct poison_entry *entry, struct buf *ret)
{
	char hash[65], at[32];
	struct tm tm;

	poison_hex(entry->hash, 32, hash);
	if (!gmtime_r(&entry->at, &tm) || strftime(at, sizeof(at), "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		snprintf(at, sizeof(at), "1970-01-01T00:00:00Z");
	buf_printf(ret, "%s %s %u %s %s\n", hash, at, entry->times, entry->poison ? "poison" : "suspected", entry->words);
}

struct poison_entry *
poison_list_find(struct poison_list *list, const unsigned char hash[32])
{
	for (size_t i = 0; i < list->n; i++)
		if (memcmp(list->entries[i].hash, hash, 32) == 0)
			return &list->entries[i];
	return NULL;
}

static void
drop(struct poison_list *list, size_t i)
{
	list->n--;
	memmove(&list->entries[i], &list->entries[i + 1], (list->n - i) * sizeof(*list->entries));
}

/* The oldest suspicion; where there is none, the oldest of all. */
static size_t
least_needed(const struct poison_list *list)
{
	size_t least = 0;

	for (size_t i = 1; i < list->n; i++) {
		const struct poison_entry *a = &list->entries[i], *b = &list->entries[least];

		if (a->poison == b->poison ? a->at < b->at : b->poison)
			least = i;
	}
	return least;
}

struct poison_entry *
poison_list_add(struct poison_list *list, const struct poison_entry *entry)
{
	struct poison_entry *known = poison_list_find(list, entry->hash);

	if (known)
		return known;
	if (list->n == MAX_ENTRIES)
		drop(list, least_needed(list));
	list->entries[list->n] = *entry;
	return &list->entries[list->n++];
}

/* False for what is no line of ours. */
static bool
read_line(struct poison_list *list, const char *line)
{
	struct poison_entry entry;

	if (strncmp(line, "# counted ", 10) == 0 && unhex(line + 10, 16, list->counted))
		return true;
	if (*line == '#' || *line == '\0')
		return true;
	if (!entry_parse(line, &entry))
		return false;
	(void)poison_list_add(list, &entry);
	return true;
}

static void
read_lines(struct poison_list *list, const char *text)
{
	const char *line;
	size_t len, number = 0, n_bad = 0, first_bad = 0;

	list->n = 0;
	memset(list->counted, 0, sizeof(list->counted));
	while ((line = text_line(&text, &len))) {
		AUTO(xfree) char *copy = xstrndup(line, len < LINE_BYTES ? len : LINE_BYTES);

		number++;
		if (!read_line(list, copy) && n_bad++ == 0)
			first_bad = number;
	}
	if (n_bad)
		log_line(LOG_LEVEL_WARNING, "list of poison '%s': %zu lines are none, the first is line %zu (wanted: hash, time, times, "
		    "'poison' or 'suspected', words); going on without them", list->path, n_bad, first_bad);
}

static int
read_all(int fd, const char *path, struct buf *ret, struct err *err)
{
	char block[8192];
	ssize_t got;

	while ((got = read(fd, block, sizeof(block))) > 0)
		buf_add(ret, block, (size_t)got);
	if (got == -1)
		return err_set(err, ERR_TEMP, "list of poison '%s' cannot be read: %s", path, strerror(errno));
	for (size_t i = 0; i < ret->len; i++)
		if (ret->at[i] == '\0')
			ret->at[i] = '?'; /* what lies behind it counts, too */
	if (buf_full(ret))
		return err_set(err, ERR_CONFIG, "list of poison '%s' has more than %d bytes; remove old lines, or move it aside", path, LIST_BYTES);
	return 0;
}

/* No file is an empty list. */
int
poison_list_read(struct poison_list *list, struct err *err)
{
	AUTO_FD int fd = open(list->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	AUTO_BUF struct buf text = { 0 };
	struct stat st = { 0 };

	buf_init(&text, LIST_BYTES);
	if (fd == -1 && errno != ENOENT)
		return err_set(err, ERR_CONFIG, "list of poison '%s' cannot be opened: %s; make it readable for uid %d", list->path,
		    strerror(errno), (int)geteuid());
	if (fd != -1 && (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode)))
		return err_set(err, ERR_CONFIG, "list of poison '%s' is no regular file; move it aside", list->path);
	if (fd != -1 && read_all(fd, list->path, &text, err) == -1)
		return -1;
	list->read = st;
	read_lines(list, buf_text(&text));
	return 0;
}

static bool
is_same_file(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec
	    && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* What an administrator changed counts with the next message. Where the file cannot be read the list stays as it is. */
void
poison_list_refresh(struct poison_list *list)
{
	struct err err = { .text = "" };
	struct stat now = { 0 };

	if (stat(list->path, &now) == -1)
		now = (struct stat){ 0 };
	if (is_same_file(&now, &list->read))
		return;
	if (poison_list_read(list, &err) == 0)
		list->told = false;
	else if (!list->told) {
		log_line(LOG_LEVEL_WARNING, "%s; going on with what was read before", err.text);
		list->told = true;
	}
}

static void
list_text(const struct poison_list *list, struct buf *ret)
{
	char counted[33];

	poison_hex(list->counted, 16, counted);
	buf_printf(ret, "# Messages that made a process die: hash, time, times, poison or suspected, words. A line that is removed\n"
	    "# lets the message be read again. Lines of one's own do not stay.\n# counted %s\n", counted);
	for (size_t i = 0; i < list->n; i++)
		entry_write(&list->entries[i], ret);
}

static bool
write_all(int fd, struct slice text)
{
	while (text.len) {
		const ssize_t n = write(fd, text.at, text.len);

		if (n == -1)
			return false;
		text.at += n;
		text.len -= (size_t)n;
	}
	return fsync(fd) == 0;
}

static int
sync_folder(const char *dir, struct err *err)
{
	AUTO_FD int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd == -1 || fsync(fd) == -1)
		return err_set(err, ERR_TEMP, "folder '%s' cannot be synced: %s", dir, strerror(errno));
	return 0;
}

/* Beside the old one, then in its place: a crash leaves one or the other. */
int
poison_list_write(struct poison_list *list, struct err *err)
{
	AUTO(xfree) char *beside = xasprintf("%s.new", list->path);
	AUTO_BUF struct buf text = { 0 };
	AUTO_FD int fd = -1;

	buf_init(&text, LIST_BYTES);
	list_text(list, &text);
	(void)unlink(beside);
	fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (fd == -1 || !write_all(fd, buf_slice(&text)) || rename(beside, list->path) == -1)
		return err_set(err, ERR_TEMP, "list of poison '%s' cannot be written: %s; free space, or give the folder to uid %d",
		    list->path, strerror(errno), (int)geteuid());
	if (fstat(fd, &list->read) == -1)
		list->read = (struct stat){ 0 };
	return sync_folder(list->dir, err);
}

size_t
poison_list_age(struct poison_list *list, time_t now)
{
	size_t n = 0;

	for (size_t i = list->n; i-- > 0;) {
		const struct poison_entry *entry = &list->entries[i];

		if (!entry->poison && entry->at < now - (time_t)SUSPICION_DAYS * 24 * 3600) {
			drop(list, i);
			n++;
		}
	}
	return n;
}

void
poison_list_remove(struct poison_list *list, const struct poison_entry *entry)
{
	drop(list, (size_t)(entry - list->entries));
}

void
poison_list_init(struct poison_list *list, const char *dir)
{
	*list = (struct poison_list){
		.dir = xstrdup(dir),
		.path = xasprintf("%s/poison", dir),
		.entries = xcalloc(MAX_ENTRIES, sizeof(*list->entries)),
	};
}

void
poison_list_done(struct poison_list *list)
{
	free(list->entries);
	free(list->path);
	free(list->dir);
	*list = (struct poison_list){ 0 };
}
