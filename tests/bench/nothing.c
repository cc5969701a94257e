/*
 * nothing SOCKET: a milter that does nothing, at the cost of one that needs what Segel needs: the same
 * headers and body without a reply each, the same macros' worth of callbacks, the whole message kept in
 * memory until its end. The measure that Segel is held against.
 */
#include <libmilter/mfapi.h>
#include <sys/stat.h>

#include "tests/bench/bench.h"

struct kept {
	unsigned char *at;
	size_t len, room;
};

static void
keep(SMFICTX *ctx, const void *bytes, size_t len)
{
	struct kept *kept = smfi_getpriv(ctx);

	if (!kept)
		return;
	if (kept->len + len > kept->room) {
		kept->room = (kept->len + len) * 2;
		kept->at = realloc(kept->at, kept->room);
		must(kept->at != NULL, "memory");
	}
	memcpy(kept->at + kept->len, bytes, len);
	kept->len += len;
}

static sfsistat
on_negotiate(SMFICTX *ctx, unsigned long actions, unsigned long steps, unsigned long unused2, unsigned long unused3,
    unsigned long *want_actions, unsigned long *want_steps, unsigned long *want2, unsigned long *want3)
{
	(void)ctx;
	(void)actions;
	(void)steps;
	(void)unused2;
	(void)unused3;
	*want_actions = SMFIF_ADDHDRS | SMFIF_CHGHDRS | SMFIF_CHGBODY;
	*want_steps = SMFIP_NOHELO | SMFIP_NODATA | SMFIP_NOUNKNOWN | SMFIP_NOEOH | SMFIP_NR_CONN | SMFIP_NR_RCPT
	    | SMFIP_NR_HDR | SMFIP_NR_BODY | SMFIP_HDR_LEADSPC;
	*want2 = *want3 = 0;
	return SMFIS_CONTINUE;
}

static sfsistat
on_connect(SMFICTX *ctx, char *host, _SOCK_ADDR *address)
{
	(void)host;
	(void)address;
	smfi_setpriv(ctx, calloc(1, sizeof(struct kept)));
	return SMFIS_NOREPLY;
}

static sfsistat
on_mail(SMFICTX *ctx, char **arguments)
{
	struct kept *kept = smfi_getpriv(ctx);

	(void)arguments;
	if (kept)
		kept->len = 0;
	return SMFIS_CONTINUE;
}

static sfsistat
on_rcpt(SMFICTX *ctx, char **arguments)
{
	(void)ctx;
	(void)arguments;
	return SMFIS_NOREPLY;
}

static sfsistat
on_header(SMFICTX *ctx, char *name, char *value)
{
	keep(ctx, name, strlen(name));
	keep(ctx, value, strlen(value));
	return SMFIS_NOREPLY;
}

static sfsistat
on_body(SMFICTX *ctx, unsigned char *bytes, size_t len)
{
	keep(ctx, bytes, len);
	return SMFIS_NOREPLY;
}

static sfsistat
on_eom(SMFICTX *ctx)
{
	(void)ctx;
	return SMFIS_ACCEPT;
}

static sfsistat
on_close(SMFICTX *ctx)
{
	struct kept *kept = smfi_getpriv(ctx);

	if (kept)
		free(kept->at);
	free(kept);
	smfi_setpriv(ctx, NULL);
	return SMFIS_CONTINUE;
}

int
main(int argc, char **argv)
{
	static char name[] = "nothing";
	struct smfiDesc description = {
		.xxfi_name = name,
		.xxfi_version = SMFI_VERSION,
		.xxfi_flags = SMFIF_ADDHDRS | SMFIF_CHGHDRS | SMFIF_CHGBODY,
		.xxfi_connect = on_connect,
		.xxfi_envfrom = on_mail,
		.xxfi_envrcpt = on_rcpt,
		.xxfi_header = on_header,
		.xxfi_body = on_body,
		.xxfi_eom = on_eom,
		.xxfi_close = on_close,
		.xxfi_negotiate = on_negotiate,
	};

	must(argc == 2, "usage: nothing SOCKET");
	umask(0);
	must(smfi_register(description) == MI_SUCCESS && smfi_setconn(argv[1]) == MI_SUCCESS, "a milter");
	return smfi_main() == MI_SUCCESS ? 0 : 1;
}
