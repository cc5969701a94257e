#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/un.h>

#include "milter/filter/mta.h"
#include "milter/filter/pipeline.h"
#include "milter/log.h"

/* Set once by mta_register before any thread starts. */
static struct filter *the_filter;

static uint64_t
new_session_id(void)
{
	uint64_t id = 0;

	if (getrandom(&id, sizeof(id), 0) != sizeof(id))
		id = (uint64_t)(uintptr_t)&id;
	return id;
}

static void
client_address(const _SOCK_ADDR *address, char *ret, size_t room)
{
	const struct sockaddr_in *v4 = (const void *)address;
	const struct sockaddr_in6 *v6 = (const void *)address;

	snprintf(ret, room, "local");
	if (!address)
		return;
	if (address->sa_family == AF_INET)
		(void)inet_ntop(AF_INET, &v4->sin_addr, ret, (socklen_t)room);
	else if (address->sa_family == AF_INET6)
		(void)inet_ntop(AF_INET6, &v6->sin6_addr, ret, (socklen_t)room);
}

/*
 * What the filter needs of the protocol: edits, field values exactly as they are, and to be spared
 * what it does not use: other callbacks, and a round trip for every field and piece of body. Where mail is decrypted, the
 * envelope, too (SMFIF_CHGFROM): an MTA that does not let us gets it as it came. It is not deferred: that would end in a bounce days later,
 * and what is encrypted is lost to nobody (segelctl decrypt).
 */
#define NEEDED_ACTIONS (SMFIF_ADDHDRS | SMFIF_CHGHDRS | SMFIF_CHGBODY)
#define NEEDED_STEPS (SMFIP_NOHELO | SMFIP_NODATA | SMFIP_NOUNKNOWN | SMFIP_NOEOH | SMFIP_NR_CONN | SMFIP_NR_RCPT \
	| SMFIP_NR_HDR | SMFIP_NR_BODY | SMFIP_HDR_LEADSPC)

static sfsistat
on_negotiate(SMFICTX *ctx, unsigned long actions, unsigned long steps, unsigned long unused2, unsigned long unused3,
    unsigned long *want_actions, unsigned long *want_steps, unsigned long *want2, unsigned long *want3)
{
	const bool opens = pipeline_opens(the_filter);
	struct session *session;

	(void)unused2;
	(void)unused3;
	*want2 = 0;
	*want3 = 0;
	if ((actions & NEEDED_ACTIONS) != NEEDED_ACTIONS) {
		log_line(LOG_LEVEL_ERROR, "the MTA does not let a filter change header and body (it offers 0x%lx); "
		    "nothing can be sealed, and no result added", actions);
		return SMFIS_REJECT;
	}
	if ((steps & NEEDED_STEPS) != NEEDED_STEPS) {
		log_line(LOG_LEVEL_ERROR, "the MTA speaks too old a milter protocol (it offers 0x%lx); wanted Postfix 2.6, "
		    "Sendmail 8.14 or later", steps);
		return SMFIS_REJECT;
	}
	macros_request(ctx);
	session = session_new(the_filter, new_session_id(), NULL, true);
	session_set_asks_rcpt(session, pipeline_asks_rcpt(the_filter));
	smfi_setpriv(ctx, session);
	if (opens && !(actions & SMFIF_CHGFROM))
		log_line(LOG_LEVEL_ERROR, "the MTA does not let a filter change the envelope sender's parameters (it offers 0x%lx), so a bounce "
		    "could carry what was decrypted; nothing is, and passes as it came", actions);
	session_set_opens(session, opens && (actions & SMFIF_CHGFROM));
	*want_actions = NEEDED_ACTIONS | (opens ? actions & SMFIF_CHGFROM : 0);
	*want_steps = session_asks_rcpt(session) ? NEEDED_STEPS & ~(unsigned long)SMFIP_NR_RCPT : NEEDED_STEPS;
	return SMFIS_CONTINUE;
}

static sfsistat
on_connect(SMFICTX *ctx, char *host, _SOCK_ADDR *address)
{
	char client[INET6_ADDRSTRLEN];

	(void)host;
	client_address(address, client, sizeof(client));
	if (smfi_getpriv(ctx))
		session_set_client(smfi_getpriv(ctx), client);
	return SMFIS_NOREPLY;
}

/* The answer of a step as libmilter's status. */
static sfsistat
carry(SMFICTX *ctx, const struct event *event, struct answer *answer)
{
	struct session *session = smfi_getpriv(ctx);

	if (!session) {
		log_line(LOG_LEVEL_PANIC, "an event without a session; the message is deferred");
		return SMFIS_TEMPFAIL;
	}
	session_step(session, event, answer);
	switch (answer->kind) {
	case ANSWER_CONTINUE:
		return SMFIS_CONTINUE;
	case ANSWER_ACCEPT:
		return SMFIS_ACCEPT;
	case ANSWER_DISCARD:
		return SMFIS_DISCARD;
	case ANSWER_DEFER:
	case ANSWER_APART:
	case ANSWER_REJECT:
		return reply_refuse(ctx, answer);
	}
	return SMFIS_TEMPFAIL;
}

static sfsistat
on_mail(SMFICTX *ctx, char **arguments)
{
	struct transport_facts transport;
	struct answer answer;
	const struct event event = {
		.kind = EV_MAIL, .text = arguments[0], .transport = &transport, .resolved = macros_sender(ctx),
		.parameters = arguments + 1, .mta = macros_mta(ctx), .now = time(NULL),
	};

	macros_transport(ctx, &transport);
	return carry(ctx, &event, &answer);
}

/*
 * Events that the MTA awaits no reply to. One that defers ends the message, so that its end finds
 * none and is deferred.
 */
static sfsistat
carry_quietly(SMFICTX *ctx, const struct event *event)
{
	struct session *session = smfi_getpriv(ctx);
	struct answer answer;

	if (session)
		session_step(session, event, &answer);
	return SMFIS_NOREPLY;
}

static sfsistat
on_rcpt(SMFICTX *ctx, char **arguments)
{
	const struct event event = {
		.kind = EV_RCPT, .text = arguments[0], .resolved = macros_recipient(ctx), .parameters = arguments + 1, .now = time(NULL),
	};
	const struct session *session = smfi_getpriv(ctx);
	struct answer answer;

	return session && session_asks_rcpt(session) ? carry(ctx, &event, &answer) : carry_quietly(ctx, &event);
}

static sfsistat
on_header(SMFICTX *ctx, char *name, char *value)
{
	const struct event event = { .kind = EV_HEADER, .text = name, .value = value };

	return carry_quietly(ctx, &event);
}

static sfsistat
on_body(SMFICTX *ctx, unsigned char *bytes, size_t len)
{
	const struct event event = { .kind = EV_BODY, .bytes = bytes, .len = len };

	return carry_quietly(ctx, &event);
}

static sfsistat
on_eom(SMFICTX *ctx)
{
	char queue_id[64];
	const struct event event = { .kind = EV_EOM, .queue_id = queue_id, .now = time(NULL) };
	struct session *session = smfi_getpriv(ctx);
	struct answer answer = { .kind = ANSWER_DEFER };
	const char *why = NULL;
	sfsistat status;

	snprintf(queue_id, sizeof(queue_id), "%s", macros_queue_id(ctx));
	status = carry(ctx, &event, &answer);
	if (answer.plan && apply_edits(ctx, answer.plan, &why) == -1) {
		pipeline_not_applied(the_filter, &answer, why);
		status = SMFIS_TEMPFAIL;
	}
	if (session)
		session_applied(session, &answer);
	return status;
}

static sfsistat
on_abort(SMFICTX *ctx)
{
	const struct event event = { .kind = EV_ABORT };

	(void)carry_quietly(ctx, &event);
	return SMFIS_CONTINUE;
}

/* May find no session: libmilter closes connections it never opened. */
static sfsistat
on_close(SMFICTX *ctx)
{
	session_free(smfi_getpriv(ctx));
	smfi_setpriv(ctx, NULL);
	return SMFIS_CONTINUE;
}

int
mta_register(struct filter *filter, struct err *err)
{
	static char name[] = "segel-milter";
	struct smfiDesc description = {
		.xxfi_name = name,
		.xxfi_version = SMFI_VERSION,
		.xxfi_flags = NEEDED_ACTIONS,
		.xxfi_connect = on_connect,
		.xxfi_envfrom = on_mail,
		.xxfi_envrcpt = on_rcpt,
		.xxfi_header = on_header,
		.xxfi_body = on_body,
		.xxfi_eom = on_eom,
		.xxfi_abort = on_abort,
		.xxfi_close = on_close,
		.xxfi_negotiate = on_negotiate,
	};

	the_filter = filter;
	if (smfi_register(description) != MI_SUCCESS)
		return err_set(err, ERR_BUG, "libmilter did not take the filter's description");
	return 0;
}
