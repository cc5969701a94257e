/* Making a registry, and bringing an older one up to date. */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "policy/registry/schema.h"
#include "policy/registry/writer.h"

/* Removes the unfinished file and what SQLite put beside it. */
static void
remove_draft(char *draft)
{
	static const char *const suffixes[] = { "", "-wal", "-shm", "-journal" };

	for (size_t i = 0; i < N_ELEMENTS(suffixes); i++) {
		AUTO(xfree) char *name = xasprintf("%s%s", draft, suffixes[i]);

		unlink(name);
	}
	free(draft);
}
AUTO_DEFINE(char, remove_draft);

/* Readers under another uid reach it through the folder's group. */
static int
set_owner(const char *file, int fd, struct err *err)
{
	AUTO(xfree) char *copy = xstrdup(file);
	struct stat folder;

	if (stat(dirname(copy), &folder) == -1 || fchmod(fd, 0640) == -1)
		return err_set(err, ERR_TEMP, "registry '%s' cannot be made: %s", file, strerror(errno));
	if (geteuid() == 0 && fchown(fd, (uid_t)-1, folder.st_gid) == -1)
		return err_set(err, ERR_TEMP, "registry '%s' cannot be given to group %d: %s", file, (int)folder.st_gid,
		    strerror(errno));
	return 0;
}

static int
make_draft(const char *file, char **ret, struct err *err)
{
	AUTO(xfree) char *draft = xasprintf("%s.XXXXXX", file);
	AUTO_FD int fd = mkostemp(draft, O_CLOEXEC);

	if (fd == -1)
		return err_set(err, ERR_TEMP, "registry '%s' cannot be made: %s; its folder must exist and be yours to write in",
		    file, strerror(errno));
	*ret = TAKE(draft);
	return set_owner(file, fd, err);
}

static enum write_outcome
found(struct registry_writer *writer, const struct founder *founder, struct err *err)
{
	enum write_outcome outcome;

	writer->officer = 1;
	outcome = writer_act(writer, "init", founder->login, founder->appointment, err);
	if (outcome == WRITE_DONE)
		outcome = writer_run(writer, NULL, err,
		    "INSERT INTO person(id, name, category, policy, from_at, act) VALUES (1, ?1, ?2, ?3, ?4, ?5)", "tttii",
		    founder->name, founder->category, founder->policy, writer->now, writer->act);
	if (outcome == WRITE_DONE)
		outcome = writer_run(writer, NULL, err,
		    "INSERT INTO officer(id, person, login, appointment, from_at, act) VALUES (1, 1, ?1, ?2, ?3, ?4)", "ttii",
		    founder->login, founder->appointment, writer->now, writer->act);
	return outcome;
}

static enum write_outcome
fill(const char *draft, const struct founder *founder, time_t now, struct err *err)
{
	AUTO(registry_write_close) struct registry_writer *writer = NULL;
	enum write_outcome outcome = writer_open_file(draft, founder->login, now, 0, &writer, err);

	if (outcome == WRITE_DONE)
		outcome = write_begin(writer, err);
	if (outcome == WRITE_DONE && schema_apply(writer->db, 0, err) == -1)
		return WRITE_UNAVAILABLE;
	if (outcome == WRITE_DONE)
		outcome = found(writer, founder, err);
	if (outcome == WRITE_DONE)
		outcome = write_commit(writer, err);
	/* Only now: nothing of the draft may remain in a -wal that goes by the draft's name. */
	return outcome == WRITE_DONE ? writer_run(writer, NULL, err, "PRAGMA journal_mode=WAL", "") : outcome;
}

/* link() refuses to overwrite. A -wal of an earlier registry would be read as part of this one. */
static enum write_outcome
publish(const char *draft, const char *file, struct err *err)
{
	AUTO(xfree) char *wal = xasprintf("%s-wal", file);

	if (access(wal, F_OK) == 0)
		return writer_fail(WRITE_REFUSED, err, "'%s' is left over from an earlier registry and would be read as part of the "
		    "new one; move it away together with its registry", wal);
	if (link(draft, file) == 0)
		return WRITE_DONE;
	return writer_fail(errno == EEXIST ? WRITE_REFUSED : WRITE_UNAVAILABLE, err, "registry '%s' cannot be made: %s", file,
	    strerror(errno));
}

enum write_outcome
registry_create(const char *file, const struct founder *founder, time_t now, bool dry_run, struct err *err)
{
	AUTO(remove_draft) char *draft = NULL;
	AUTO(registry_write_close) struct registry_writer *writer = NULL;
	enum write_outcome outcome;

	if (access(file, F_OK) == 0)
		return writer_fail(WRITE_REFUSED, err, "'%s' exists; a registry is never overwritten (an older schema: "
		    "`segelctl init --migrate`)", file);
	if (make_draft(file, &draft, err) == -1)
		return WRITE_UNAVAILABLE;
	outcome = fill(draft, founder, now, err);
	if (outcome != WRITE_DONE || dry_run)
		return outcome;
	outcome = publish(draft, file, err);
	if (outcome != WRITE_DONE)
		return outcome;
	/* Opened once under its name, so that the -wal and -shm that readers need are there. */
	return registry_write_open(file, founder->login, now, &writer, err);
}

static enum write_outcome
apply_missing(struct registry_writer *writer, int from, bool dry_run, struct err *err)
{
	char detail[64];
	enum write_outcome outcome = write_begin(writer, err);

	snprintf(detail, sizeof(detail), "schema %d to %d", from, SCHEMA_VERSION);
	if (outcome == WRITE_DONE)
		outcome = writer_act(writer, "migrate", "registry", detail, err);
	if (outcome == WRITE_DONE && schema_apply(writer->db, from, err) == -1)
		outcome = WRITE_UNAVAILABLE;
	if (outcome != WRITE_DONE || dry_run) {
		write_rollback(writer);
		return outcome;
	}
	return write_commit(writer, err);
}

enum write_outcome
registry_migrate(const char *file, const char *login, time_t now, bool dry_run, int *from, struct err *err)
{
	AUTO(registry_write_close) struct registry_writer *writer = NULL;
	enum write_outcome outcome;
	int64_t version = 0;

	if (access(file, F_OK) == -1)
		return writer_fail(WRITE_UNAVAILABLE, err, "there is no registry '%s' to migrate; make it with `segelctl init`", file);
	outcome = writer_open_file(file, login, now, 0, &writer, err);
	if (outcome != WRITE_DONE)
		return outcome;
	switch (schema_check(writer->db, file, err)) {
	case SCHEMA_UNREADABLE:
	case SCHEMA_FOREIGN:
	case SCHEMA_NEWER:
		return WRITE_UNAVAILABLE;
	case SCHEMA_OLDER:
	case SCHEMA_OURS:
		break;
	}
	outcome = writer_ask(writer, &version, err, "PRAGMA user_version", "");
	*from = (int)version;
	if (outcome == WRITE_DONE)
		outcome = writer_officer(writer, err);
	if (outcome != WRITE_DONE || version == SCHEMA_VERSION)
		return outcome;
	return apply_missing(writer, (int)version, dry_run, err);
}
