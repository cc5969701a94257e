/*
 * trust_store: the folder of trust (setting trust.dir) as segelctl writes it and everybody reads it.
 *
 *     anchors/official/ID.pem    roots whose certificates count as official     written by root only
 *     anchors/partner/ID.pem     roots of partner regions                       written by root only
 *     anchors/ID.pem             authorities between root and signer            written by root only
 *     generation                 replaced when an authority comes or goes       written by root only
 *     crl/ID.crl                 the newest CRL of authority ID                 written by trust.user
 *     ocsp/ID.ors                the newest OCSP answer about certificate ID    written by trust.user
 *     state/generation           replaced when one of these comes or goes      written by trust.user
 *     state/lock                 held by a refresh; opened by trust.user only
 *
 * ID is the SHA-256 of the certificate in hex. So the program that speaks to servers of others cannot make
 * an anchor. An authority is one file: lines "Name: value" (where its CRL and its OCSP service are, who added it), then
 * the certificate in PEM, which other programs read as well. Everything is public, and world-readable.
 *
 * A file comes whole under its name, or not at all; what begins with ".new-" is left over from a
 * kill. Readers that see the same two generation files (inode and time) have the newest.
 */
#ifndef CTL_TRUST_STORE_H
#define CTL_TRUST_STORE_H

#include "milter/ctl/ctl.h"
#include "policy/config.h"
#include "smime/authority.h"
#include "smime/cert.h"
#include "smime/trust.h"

enum authority_purpose {
	PURPOSE_OF_NONE,
	PURPOSE_OF_OFFICIAL,
	PURPOSE_OF_PARTNER,
	PURPOSE_OF_ISSUER, /* no anchor: between one and the signer */
	N_AUTHORITY_PURPOSES,
};

enum { TRUST_MOST_URLS = 4 };

/* Everything is owned; texts are as they stand in the file. */
struct authority {
	enum authority_purpose purpose;
	char id[65];
	struct buf der;
	struct cert_facts facts;
	struct text_list crl;  /* URLs, in the order they are asked */
	struct text_list ocsp;
	char *added;
	char *by;
};

struct trust_store {
	const struct config *config; /* borrowed */
	struct authority *at;
	size_t n;
	struct buf problems; /* one line for each file that is no authority */
};

const char *authority_purpose_name(enum authority_purpose purpose);
enum authority_purpose authority_purpose_from(const char *name); /* PURPOSE_OF_NONE: no such word */
bool authority_is_anchor(const struct authority *authority);
void authority_done(struct authority *authority);

/* -1 where a folder is there but cannot be read. No folder is an empty one. */
int trust_store_open(const struct config *config, struct trust_store **ret, struct err *err) MUST_USE;
void trust_store_close(struct trust_store *store);
AUTO_DEFINE(struct trust_store, trust_store_close);

/* By the first digits of its SHA-256 (any case, colons allowed). NULL: none or several, err says which. */
const struct authority *trust_store_find(const struct trust_store *store, const char *text, struct err *err);
/* The one that issued this certificate, in its dates at `at` where there is a choice; NULL = none. */
const struct authority *trust_store_issuer(const struct trust_store *store, struct slice cert, time_t at);

/* Makes the folders that are missing; crl/, ocsp/ and state/ are trust.user's when root does it. */
int trust_store_prepare(const struct config *config, struct err *err) MUST_USE;

/* The folder, its last part one of: anchors, anchors/official, anchors/partner, crl, ocsp, state. Owned. */
char *trust_folder(const struct config *config, const char *part) MUST_USE;
const char *authority_folder(enum authority_purpose purpose);
/* FOLDER/ID.EXTENSION. Owned. */
char *trust_file(const struct config *config, const char *part, const char *id, const char *extension) MUST_USE;

int trust_store_add(const struct config *config, const struct authority *authority, struct err *err) MUST_USE;
/* Also the CRL that it gave. */
int trust_store_remove(const struct config *config, const struct authority *authority, struct err *err) MUST_USE;

/* Whole or not at all, world-readable, and on disk when it returns. */
int trust_write(const char *file, struct slice bytes, struct err *err) MUST_USE;
/* Says to readers that something changed: "generation" in the trust folder or in state/. */
int trust_changed(const char *folder, struct err *err) MUST_USE;
/* Removes what a killed writer left; only whoever holds the lock of state/ may. */
void trust_sweep(const char *folder);

/* How old statements may be, by the settings. */
struct trust_ages trust_ages_of(const struct config *config);

#endif
