#include "policy/config_encrypt.h"

#include <string.h>
#include <strings.h>

#include "policy/network.h"
#include "policy/pattern.h"

#define PATTERNS "wanted \"user@domain\", \"domain\" or \".domain\""

/* Fits `first` whatever `later` fits? A row behind such a one is never reached, and whoever wrote it thinks otherwise. */
static bool
is_covered(const struct encrypt_rule_setting *first, const struct encrypt_rule_setting *later)
{
	return first->to && first->unit && strcasecmp(first->to, later->to) == 0
	    && (!*first->unit || strcmp(first->unit, later->unit) == 0);
}

static void
check_rules(const struct config *config, struct buf *problems)
{
	const struct encrypt_rule_setting *rules = config->encrypt.rules.rows;

	for (size_t i = 0; i < config->encrypt.rules.n; i++) {
		if (!rules[i].to || !rules[i].unit)
			continue; /* reported already */
		if (*rules[i].to && !pattern_is(rules[i].to))
			buf_printf(problems, "%s: encrypt.rules: to '%s': " PATTERNS "\n", config->file, rules[i].to);
		for (size_t j = 0; j < i; j++)
			if (is_covered(&rules[j], &rules[i]))
				buf_printf(problems, "%s: encrypt.rules: row %zu (to '%s', unit '%s') is never reached: row %zu fits before it; "
				    "remove or move one of them\n", config->file, i + 1, rules[i].to, rules[i].unit, j + 1);
	}
}

static void
check_patterns(const struct config *config, const char *setting, const struct text_list *list, struct buf *problems)
{
	for (size_t i = 0; i < list->n; i++)
		if (!pattern_is(list->at[i]))
			buf_printf(problems, "%s: %s: '%s': " PATTERNS "\n", config->file, setting, list->at[i]);
}

static void
check_peers(const struct config *config, struct buf *problems)
{
	struct network network;

	for (size_t i = 0; i < config->encrypt.peers.n; i++)
		if (!network_from(config->encrypt.peers.at[i], &network))
			buf_printf(problems, "%s: encrypt.peers: '%s': wanted a block such as \"192.0.2.0/24\", with no bit set behind the "
			    "prefix, or one address\n", config->file, config->encrypt.peers.at[i]);
}

/* A field that is removed on the way must be no field that means something: a name of its own, that no standard has. */
static bool
is_own_field(const char *name)
{
	static const char signs[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-";

	return strncasecmp(name, "X-", 2) == 0 && name[2] && !name[strspn(name, signs)] && strlen(name) <= 76;
}

/* Asking for encryption must reach segel-split, and nobody but the filter may say it there. */
static void
check_trigger(const struct config *config, struct buf *problems)
{
	const char *trigger = config->encrypt.trigger, *inner = config->split.trigger;

	if (!trigger || !inner || !*trigger)
		return;
	if (!is_own_field(trigger))
		buf_printf(problems, "%s: encrypt.trigger: '%s': wanted \"X-\" and letters, digits and dashes, at most 76 of all\n",
		    config->file, trigger);
	if (strcasecmp(trigger, inner) == 0)
		buf_printf(problems, "%s: split.trigger: '%s' is what senders write (encrypt.trigger); wanted a name that nobody guesses: "
		    "`segelctl encrypt name` makes one\n", config->file, inner);
	if (config->encrypt.use && config->encrypt.split && !*inner)
		buf_printf(problems, "%s: split.trigger: is empty, so that segel-split would not hear of a sender's wish (encrypt.trigger); "
		    "`segelctl encrypt name` makes one\n", config->file);
}

/* One seal serves those who get a message in clear and those who get it encrypted: it says of the Subject what is true of both. */
static void
check_subject(const struct config *config, struct buf *problems)
{
	if (config->encrypt.use && config->encrypt.split && config->encrypt.hide_subject)
		buf_printf(problems, "%s: encrypt.hide_subject: is true, and the filter seals before segel-split (encrypt.split) encrypts for "
		    "some recipients and not for others: that seal cannot hide the Subject; set it to false, and the Subject of encrypted mail "
		    "can be read on its way\n", config->file);
}

void
config_check_encrypt(const struct config *config, struct buf *problems)
{
	const char *copy = config->encrypt.copy_certificate;

	check_rules(config, problems);
	check_patterns(config, "egress.unsealed", &config->egress.unsealed, problems);
	check_peers(config, problems);
	check_trigger(config, problems);
	check_subject(config, problems);
	if (copy && *copy && *copy != '/')
		buf_printf(problems, "%s: encrypt.copy_certificate: '%s': wanted a path from '/' on\n", config->file, copy);
}
