/*
 * list: what stands in the registry, row by row, for people (segelctl).
 * Not for decisions about mail: that is registry_lookup. Texts are as stored; the caller
 * escapes them.
 */
#ifndef POLICY_REGISTRY_LIST_H
#define POLICY_REGISTRY_LIST_H

#include <time.h>

#include "policy/registry/registry.h"

enum list_what {
	LIST_UNKNOWN,
	LIST_UNIT,
	LIST_PERSON,
	LIST_SYSTEM,
	LIST_DOMAIN,
	LIST_ADDRESS,
	LIST_LOGIN,
	LIST_OFFICER,
	LIST_REVIEWER,
	LIST_CERT,
	LIST_CERT_DETAIL,
	LIST_BINDING,
	LIST_CLIENT,  /* certificates that are or were bound for purpose client; bound: now, later or ended */
	LIST_TLS,
	LIST_ACT,
	N_LISTS,
};

enum list_kind { LIST_KIND_NONE, LIST_KIND_TEXT, LIST_KIND_NUMBER, LIST_KIND_TIME, LIST_KIND_BOOL, LIST_KIND_HASH };

/* A kind of LIST_KIND_NONE is null. Text is borrowed for the callback; LIST_KIND_HASH is hex text. */
struct list_cell {
	enum list_kind kind;
	const char *text;
	int64_t number;
};

struct list_filter {
	time_t at;
	bool all;     /* what has ended, too */
	int64_t id;   /* only this row; for LIST_BINDING, only this certificate's. 0 = any */
};

enum { LIST_MAX_COLUMNS = 24 };

/* Column names, `*n` of them. */
const char *const *list_columns(enum list_what what, size_t *n);

/* Calls back per row, by id. */
int registry_list(struct registry *registry, enum list_what what, const struct list_filter *filter,
    void (*each)(void *ctx, const struct list_cell *cells, size_t n_cells), void *ctx, struct err *err) MUST_USE;

/*
 * The certificate meant by a number or the first digits of a SHA-256: 1 found, 0 none or
 * several (err says which), -1 could not ask.
 */
int registry_cert_id(struct registry *registry, const char *text, int64_t *ret, struct err *err) MUST_USE;

/* The certificate's bytes, checked against its SHA-256; `der` is the caller's. -1 also when it is damaged. */
int registry_cert_der(struct registry *registry, int64_t id, unsigned char **der, size_t *len, struct err *err) MUST_USE;

#endif
