/* writer: what the files that implement write.h share. */
#ifndef POLICY_REGISTRY_WRITER_H
#define POLICY_REGISTRY_WRITER_H

#include <sqlite3.h>

#include "policy/registry/write.h"

struct registry_writer {
	sqlite3 *db;
	char *file;
	char *login;
	int64_t officer;
	int64_t now;
	int64_t act;  /* the act under way; what segel_act() says */
};

/* Opens the file for us, with the functions the triggers ask for. `flags`: SQLITE_OPEN_... */
enum write_outcome writer_open_file(const char *file, const char *login, time_t now, int flags,
    struct registry_writer **ret, struct err *err) MUST_USE;

/* Who acts: the current officer with the writer's login. */
enum write_outcome writer_officer(struct registry_writer *writer, struct err *err) MUST_USE;

/* Records who does what; rows written from now on belong to this act. */
enum write_outcome writer_act(struct registry_writer *writer, const char *verb, const char *object,
    const char *detail, struct err *err) MUST_USE;

/* Runs one statement (types as db_bind). A broken law is WRITE_REFUSED. `id`: the row inserted; may be NULL. */
enum write_outcome writer_run(struct registry_writer *writer, int64_t *id, struct err *err, const char *sql,
    const char *types, ...) MUST_USE;

/*
 * The one row a question finds: its first column. None is WRITE_NOT_FOUND, several WRITE_REFUSED;
 * both without a text.
 */
enum write_outcome writer_ask(struct registry_writer *writer, int64_t *ret, struct err *err, const char *sql,
    const char *types, ...) MUST_USE;

enum write_outcome writer_fail(enum write_outcome outcome, struct err *err, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Current things by the name officers use; the error says how to register one. */
enum write_outcome writer_unit(struct registry_writer *writer, const char *code, int64_t *id, struct err *err) MUST_USE;
enum write_outcome writer_person(struct registry_writer *writer, const char *person, int64_t *id, struct err *err) MUST_USE;
enum write_outcome writer_domain(struct registry_writer *writer, const char *name, int64_t *id, struct err *err) MUST_USE;
enum write_outcome writer_address(struct registry_writer *writer, const char *address, int64_t *id, struct err *err) MUST_USE;
enum write_outcome writer_cert(struct registry_writer *writer, const char *cert, int64_t *id, struct err *err) MUST_USE;

/* The domain after the @ and the form compared there. */
enum write_outcome writer_normalise(struct registry_writer *writer, const char *address, int64_t *domain,
    char *norm, struct err *err) MUST_USE;

#endif
