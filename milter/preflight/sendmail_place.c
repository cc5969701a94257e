/* What Sendmail thinks of the places that its file names: sockets and files that others could change are not used. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "milter/preflight/sendmail.h"

enum { NOT_OWNER_WRITE = 0022, NOT_OWNER = 0077 };

/* The first folder on the way up that its group or everybody may write to; a sticky one counts, too. NULL: none. */
static char *
writable_above(const char *path)
{
	AUTO(xfree) char *way = xstrdup(path);
	char *slash;

	while ((slash = strrchr(way, '/'))) {
		const bool top = slash == way;
		struct stat st;

		slash[top] = '\0';
		if (stat(way, &st) == 0 && st.st_mode & NOT_OWNER_WRITE)
			return xasprintf("folder '%s' has mode %04o: %s may write to it", way, (unsigned)st.st_mode & 07777,
			    st.st_mode & S_IWOTH ? "everybody" : "its group");
		if (top)
			return NULL;
	}
	return NULL;
}

/* As it is written, and as it is with links followed. */
static char *
writable_on_the_way(const char *path)
{
	char real[PATH_MAX], *found = writable_above(path);
	AUTO(xfree) char *folder = xstrdup(path);
	AUTO(xfree) char *whole = NULL;
	char *slash = strrchr(folder, '/');

	if (found || !slash)
		return found;
	*slash = '\0';
	if (!realpath(*folder ? folder : "/", real))
		return NULL;
	whole = xasprintf("%s/x", real);
	return writable_above(whole);
}

char *
cf_unsafe_socket(const char *path)
{
	struct stat st;

	if (*path != '/')
		return xasprintf("'%s' is no whole path", path);
	if (lstat(path, &st) == 0 && S_ISLNK(st.st_mode))
		return xasprintf("'%s' is a symbolic link", path);
	return writable_on_the_way(path);
}

/* --- files of TLS --- */

/* Sendmail offers STARTTLS only where all four are named; of the folder it asks no more than that. */
static char *
trouble_with(const char *option, const char *path)
{
	const bool key = strcmp(option, "ServerKeyFile") == 0;
	const mode_t wrong = key ? NOT_OWNER : NOT_OWNER_WRITE;
	struct stat st;

	if (strcmp(option, "CACertPath") == 0)
		return NULL;
	if (*path != '/')
		return xasprintf("%s '%s' is no whole path", option, path);
	if (stat(path, &st) == -1)
		return xasprintf("%s '%s': %s", option, path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return xasprintf("%s '%s' is no file", option, path);
	if (st.st_mode & wrong)
		return xasprintf("%s '%s' has mode %04o: others may %s it", option, path, (unsigned)st.st_mode & 07777, key ? "read" : "change");
	return writable_on_the_way(path);
}

static void
add_file(struct sendmail *mta, const char *option, const char *path)
{
	mta->files = xrealloc(mta->files, (mta->n_files + 1) * sizeof(*mta->files));
	mta->files[mta->n_files++] = (struct cf_file){ .option = option, .path = xstrdup(path), .trouble = trouble_with(option, path) };
}

void
cf_look_at_files(struct sendmail *mta)
{
	static const char *const options[] = { "ServerCertFile", "ServerKeyFile", "CACertFile", "CACertPath" };

	for (size_t i = 0; i < N_ELEMENTS(options); i++) {
		AUTO_WORDS struct words paths = { 0 };

		words_split(&paths, sendmail_option(mta, options[i]));
		for (size_t j = 0; j < paths.n; j++)
			add_file(mta, options[i], paths.at[j]);
	}
}
