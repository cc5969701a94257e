/* segel-split behind the submission service: does all mail go that way, to the addresses that it really goes to, and once? */
#include <string.h>

#include "milter/preflight/judge.h"

static bool
is_split(const struct look *look)
{
	return look->config->encrypt.use && look->config->encrypt.split;
}

/* Where Postfix hands over, as content_filter has it. */
static void
add_way(const struct look *look, struct buf *ret)
{
	const char *socket = look->config->split.socket, *colon = strrchr(socket, ':');
	const size_t queue = strlen(look->mta->queue_folder);

	if (*socket == '/' && strncmp(socket, look->mta->queue_folder, queue) == 0 && socket[queue] == '/')
		buf_printf(ret, "segel-split:unix:%s", socket + queue + 1);
	else if (*socket == '/' || !colon)
		buf_printf(ret, "segel-split:unix:%s", socket);
	else if (*socket == '[')
		buf_printf(ret, "segel-split:%s", socket);
	else
		buf_printf(ret, "segel-split:[%.*s]%s", (int)(colon - socket), socket, colon);
}

static bool
goes_past_split(const struct look *look, struct say *say)
{
	AUTO_BUF struct buf way = { 0 };

	if (!is_split(look) || !service_milter(look->service, ROLE_SUBMISSION) || *look_text(look, "content_filter"))
		return false;
	buf_init(&way, 4096);
	add_way(look, &way);
	buf_printf(&say->what, "encrypt.split = true (%s), and ", look->config->file);
	say_value(look, say, "content_filter");
	mend_service(look, say, "content_filter", "%s", buf_text(&way));
	return true;
}

static bool
has_mappings_off(const struct look *look)
{
	return text_has_word(look_text(look, "receive_override_options"), "no_address_mappings");
}

static bool
follows_aliases_late(const struct look *look, struct say *say)
{
	if (!is_split(look) || !service_milter(look->service, ROLE_SUBMISSION) || !has_mappings_off(look))
		return false;
	buf_printf(&say->what, "encrypt.split = true (%s), and ", look->config->file);
	say_value(look, say, "receive_override_options");
	mend_service(look, say, "receive_override_options", "%s", "");
	return true;
}

static bool
follows_aliases_again(const struct look *look, struct say *say)
{
	if (!look->service->from_split || has_mappings_off(look))
		return false;
	buf_add_text(&say->what, "takes mail back from segel-split (split.next_hop), and ");
	say_value(look, say, "receive_override_options");
	mend_service(look, say, "receive_override_options", "%s", "no_address_mappings");
	return true;
}

const struct rule split_rules[] = {
	{ "split-missing", SEVERITY_REFUSE, OVER_LOGIN,
	  "the filter leaves it to segel-split to encrypt, and mail of this service does not go there: it leaves in clear", .found = goes_past_split },
	{ "split-alias", SEVERITY_REFUSE, OVER_LOGIN,
	  "aliases are followed behind segel-split, which decided for the alias: mail goes in clear to whom it must not", .found = follows_aliases_late },
	{ "split-twice", SEVERITY_REFUSE, OVER_SMTPD,
	  "aliases are followed, and copies made, a second time and behind segel-split", .found = follows_aliases_again },
	{ .id = NULL },
};
