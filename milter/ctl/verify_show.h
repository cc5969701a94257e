/* verify_show: what `segelctl verify` found out about one message, as JSON or for people. */
#ifndef CTL_VERIFY_SHOW_H
#define CTL_VERIFY_SHOW_H

#include "milter/ctl/ctl.h"
#include "policy/decide.h"
#include "policy/identity.h"

struct judged {
	const char *file;                  /* as given */
	struct message_facts message;      /* From as judged (--from) */
	struct signature_facts signature;
	struct registry_facts registry;    /* of it `signer` */
	bool without_registry;
	struct identity_facts identity;
	struct findings findings[N_CLASSES];
	struct verdict verdicts[N_CLASSES];
};

void verify_show_json(struct ctl *ctl, const struct judged *judged);
void verify_show_text(struct ctl *ctl, const struct judged *judged);

/* A file that could not be judged, as JSON; for people ctl_fail says it. */
void verify_show_error(struct ctl *ctl, const char *file, const char *why);

#endif
