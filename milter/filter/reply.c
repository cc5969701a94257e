#include <stdio.h>
#include <string.h>

#include "milter/filter/mta.h"
#include "milter/log.h"

/* smfi_setreply takes '%' as a format, and refuses CR and LF. */
static void
reply_text(const char *text, char *ret, size_t room)
{
	size_t len = 0;

	for (; *text && len + 3 < room; text++) {
		if (*text == '%')
			ret[len++] = '%';
		ret[len++] = *text < 0x20 || *text > 0x7e ? '?' : *text;
	}
	ret[len] = '\0';
}

sfsistat
reply_refuse(SMFICTX *ctx, const struct answer *answer)
{
	const struct reason_row *row = reason_row(answer->reason);
	const bool reject = answer->kind == ANSWER_REJECT;
	char code[8], status[16], text[512];

	/* 530 is for a command that came too early (RFC 3207 4); a message that was sent in full gets 550. */
	snprintf(code, sizeof(code), "%s", answer->kind == ANSWER_APART ? "452" : !reject ? "451" : answer->at_mail ? row->code : "550");
	snprintf(status, sizeof(status), "%s", reject ? row->status : row->defer);
	reply_text(*answer->text ? answer->text : row->english, text, sizeof(text));
	if (smfi_setreply(ctx, code, status, text) != MI_SUCCESS)
		log_line(LOG_LEVEL_WARNING, "%s: the reply text was not taken; the client sees the MTA's own", answer->id);
	return reject ? SMFIS_REJECT : SMFIS_TEMPFAIL;
}
