/*
 * trust_status: what the trust folder holds about revocation, one statement (a CRL, an OCSP answer) at a time, and
 * how old it is. For the fetcher, which compares, and for people. What a message's signer is judged by is the
 * snapshot (smime/trust.h), which asks the same of the same files.
 */
#ifndef CTL_TRUST_STATUS_H
#define CTL_TRUST_STATUS_H

#include "milter/ctl/trust_store.h"
#include "smime/crl.h"
#include "smime/ocsp.h"

enum age {
	AGE_NONE,  /* there is no such statement, or it cannot be used */
	AGE_DEAD,  /* past its next update and the grace period: counts as none */
	AGE_GRACE, /* past its next update */
	AGE_FRESH,
};

const char *age_name(enum age age); /* none dead grace fresh */

/* When a statement ends to be fresh; one without nextUpdate after a day. */
time_t age_until(const struct config *config, time_t this_update, time_t next_update);
enum age age_of(const struct config *config, time_t until, time_t now);
/* Is it from the future, by more than clocks differ? */
bool age_is_ahead(const struct config *config, time_t this_update, time_t now);

/* One statement as it stands in the folder. `why` is set where there is a file that cannot be used. */
struct stored {
	enum age age;
	time_t until;
	union {
		struct crl_facts crl;
		struct ocsp_facts ocsp;
	};
	char why[256];
};

/* A certificate whose status is asked by OCSP; all borrowed. */
struct subject {
	char id[65];
	const char *name;
	struct slice der;
	const struct authority *authority; /* who issued it */
};

void stored_crl(const struct config *config, const struct authority *authority, time_t now, struct stored *ret);
void stored_ocsp(const struct config *config, const struct subject *subject, time_t now, struct stored *ret);

/*
 * Every certificate that an authority with an OCSP service has issued: the authorities below it, and what the
 * registry holds as aktif or ditahan and not expired. Owned by the list.
 */
struct subjects {
	struct subject *at;
	size_t n;
	struct buf *ders; /* one for each */
	char **names;
	struct err err;   /* why those of the registry are not among them; ERR_NONE = they are */
};
struct subjects *subjects_load(const struct trust_store *store, const char *registry_file, time_t now) MUST_USE;
void subjects_free(struct subjects *subjects);
AUTO_DEFINE(struct subjects, subjects_free);

#endif
