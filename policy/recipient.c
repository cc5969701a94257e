#include "policy/recipient.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "policy/network.h"
#include "policy/pattern.h"

static const char *const classes[N_RCPT_CLASSES] = {
	[RCPT_UNKNOWN] = "unknown",     [RCPT_INTERNAL] = "internal", [RCPT_MUST] = "must",          [RCPT_MUST_NONE] = "must-none",
	[RCPT_MAY] = "may",             [RCPT_NEVER] = "never",       [RCPT_FORBIDDEN] = "forbidden",
};

static const char *const levels[] = {
	[LEVEL_UNKNOWN] = "unknown", [LEVEL_MUST] = "must",     [LEVEL_MAY] = "may",
	[LEVEL_NEVER] = "never",     [LEVEL_FORBID] = "forbid", [LEVEL_INTERNAL] = "internal",
};

static const char *const actions[] = {
	[PLAN_UNKNOWN] = "unknown", [PLAN_CLEAR] = "clear", [PLAN_ENCRYPT] = "encrypt", [PLAN_SPLIT] = "split", [PLAN_REFUSE] = "refuse",
};

static const char *const ciphers[] = {
	[CONTENT_UNKNOWN] = "unknown", [CONTENT_AES256_CBC] = "aes-256-cbc", [CONTENT_AES256_GCM] = "aes-256-gcm",
};

const char *
rcpt_class_name(enum rcpt_class class)
{
	return classes[(size_t)class < N_RCPT_CLASSES ? class : RCPT_UNKNOWN];
}

const char *
level_name(enum level level)
{
	return levels[(size_t)level < N_ELEMENTS(levels) ? level : LEVEL_UNKNOWN];
}

const char *
plan_action_name(enum plan_action action)
{
	return actions[(size_t)action < N_ELEMENTS(actions) ? action : PLAN_UNKNOWN];
}

const char *
content_cipher_name(enum content_cipher cipher)
{
	return ciphers[(size_t)cipher < N_ELEMENTS(ciphers) ? cipher : CONTENT_UNKNOWN];
}

/* --- one address --- */

static void
ambiguous(struct rcpt_address *ret, const char *why, const char *what)
{
	ret->form = RCPT_FORM_AMBIGUOUS;
	snprintf(ret->why, sizeof(ret->why), "%s%s", why, what);
}

/* Without angle brackets and without a dot at the end. False: too long to be an address. */
static bool
strip(const char *text, char ret[LIMIT_ADDRESS_BYTES + 1])
{
	size_t len = strlen(text);

	if (len >= 2 && text[0] == '<' && text[len - 1] == '>') {
		text++;
		len -= 2;
	}
	if (len > 1 && text[len - 1] == '.' && memchr(text, '@', len))
		len--;
	if (len > LIMIT_ADDRESS_BYTES)
		return false;
	memcpy(ret, text, len);
	ret[len] = '\0';
	return true;
}

static bool
is_postmaster(const char *argument, const char *resolved)
{
	return strcasecmp(argument, "postmaster") == 0 && strncasecmp(resolved, "postmaster@", strlen("postmaster@")) == 0;
}

/* Sendmail names a mailbox on its own machine without a domain. */
static bool
is_mailbox_here(const char *resolved)
{
	return *resolved && !strpbrk(resolved, "@%!/|:\"\\ ");
}

/* Old mailers go on from these to another address. */
static bool
has_path(const char *address)
{
	return strpbrk(address, "%!") != NULL;
}

void
rcpt_read(const char *argument, const char *resolved, struct rcpt_address *ret)
{
	char asked[LIMIT_ADDRESS_BYTES + 1] = "", told[LIMIT_ADDRESS_BYTES + 1] = "";

	*ret = (struct rcpt_address){ .form = RCPT_FORM_UNKNOWN };
	if (!strip(argument, asked) || !strip(resolved ? resolved : "", told))
		ambiguous(ret, "longer than an address can be", "");
	else if (*asked == '@')
		ambiguous(ret, "a route: ", asked);
	else if (!address_normalise(is_postmaster(asked, told) ? told : asked, false, ret->address))
		ambiguous(ret, "no plain address: ", asked);
	else if (*told && !is_mailbox_here(told) && !is_postmaster(asked, told) && !address_equal(asked, told, true))
		ambiguous(ret, "the mail server reads it as ", told);
	else if ((!*told || is_mailbox_here(told)) && has_path(asked))
		ambiguous(ret, "some mail servers go on from it to another address: ", asked);
	else
		ret->form = RCPT_FORM_PLAIN;
	if (ret->form != RCPT_FORM_PLAIN)
		ret->address[0] = '\0';
}

bool
rcpt_is_listed(const char *address, const char *const *listed, size_t n_listed)
{
	for (size_t i = 0; i < n_listed; i++)
		if (address_equal(address, listed[i], true))
			return true;
	return false;
}

/* --- rules --- */

bool
encrypt_wants_unit(const struct config *config)
{
	const struct encrypt_rule_setting *rules = config->encrypt.rules.rows;

	for (size_t i = 0; config->encrypt.use && i < config->encrypt.rules.n; i++)
		if (*rules[i].unit)
			return true;
	return false;
}

/* Whether something holds, where that may not be known. */
enum sure { SURE_UNKNOWN, SURE_NO, SURE_YES };

/* A rule that names nobody is about all but internal recipients. */
static enum sure
fits_recipient(const struct encrypt_rule_setting *rule, const struct rcpt *rcpt)
{
	if (*rule->to)
		return pattern_fits(rule->to, rcpt->address.address) ? SURE_YES : SURE_NO;
	if (rcpt->domain == DOMAIN_UNAVAILABLE)
		return SURE_UNKNOWN;
	return rcpt->domain == DOMAIN_OWN ? SURE_NO : SURE_YES;
}

static enum sure
fits_sender(const struct encrypt_rule_setting *rule, const struct rcpt_sender *sender)
{
	if (!*rule->unit)
		return SURE_YES;
	switch (sender->unit_answer) {
	case UNIT_UNAVAILABLE:
		return SURE_UNKNOWN;
	case UNIT_NONE:
		return SURE_NO;
	case UNIT_FOUND:
		return strcmp(rule->unit, sender->unit) == 0 ? SURE_YES : SURE_NO;
	}
	return SURE_UNKNOWN;
}

static enum sure
fits(const struct encrypt_rule_setting *rule, const struct rcpt_sender *sender, const struct rcpt *rcpt)
{
	const enum sure recipient = fits_recipient(rule, rcpt), from = fits_sender(rule, sender);

	if (recipient == SURE_NO || from == SURE_NO)
		return SURE_NO;
	return recipient == SURE_YES && from == SURE_YES ? SURE_YES : SURE_UNKNOWN;
}

/* For whom no rule stands. */
static enum level
usual_level(enum domain_answer domain)
{
	switch (domain) {
	case DOMAIN_UNAVAILABLE:
		return LEVEL_UNKNOWN;
	case DOMAIN_OWN:
		return LEVEL_INTERNAL;
	case DOMAIN_NONE:
	case DOMAIN_ODD:
	case DOMAIN_SHARED:
	case DOMAIN_PARTNER:
		return LEVEL_MUST;
	}
	return LEVEL_UNKNOWN;
}

static enum level
raised(enum level level, bool trigger)
{
	return trigger && (level == LEVEL_MAY || level == LEVEL_NEVER) ? LEVEL_MUST : level;
}

enum level
rcpt_level(const struct config *config, const struct rcpt_sender *sender, const struct rcpt *rcpt, size_t *rule)
{
	const struct encrypt_rule_setting *rules = config->encrypt.rules.rows;
	size_t none;

	rule = rule ? rule : &none;
	*rule = 0;
	if (!config->encrypt.use)
		return LEVEL_NEVER;
	if (rcpt->address.form != RCPT_FORM_PLAIN)
		return LEVEL_FORBID;
	for (size_t i = 0; i < config->encrypt.rules.n; i++) {
		const enum sure sure = fits(&rules[i], sender, rcpt);

		if (sure == SURE_NO)
			continue;
		*rule = i + 1;
		return sure == SURE_YES ? raised((enum level)rules[i].level, sender->trigger) : LEVEL_UNKNOWN;
	}
	return usual_level(rcpt->domain);
}

bool
level_wants_cert(enum level level)
{
	return level == LEVEL_MUST || level == LEVEL_MAY;
}

/* --- class --- */

/* With a certificate, without, or not found out. */
static enum sure
has_cert(const struct rcpt_cert *cert)
{
	if (!cert->asked)
		return SURE_UNKNOWN;
	switch (cert->answer) {
	case ENCRYPT_UNAVAILABLE:
	case ENCRYPT_UNDECIDED:
		return SURE_UNKNOWN;
	case ENCRYPT_NONE:
	case ENCRYPT_UNUSABLE:
	case ENCRYPT_REFUSED:
		return SURE_NO;
	case ENCRYPT_FOUND:
		return SURE_YES;
	}
	return SURE_UNKNOWN;
}

static enum rcpt_class
class_with_cert(enum level level, const struct rcpt_cert *cert)
{
	switch (has_cert(cert)) {
	case SURE_UNKNOWN:
		/* Also where it only may be encrypted: an outage is no reason to send in clear. */
		return RCPT_UNKNOWN;
	case SURE_NO:
		return level == LEVEL_MAY ? RCPT_MAY : RCPT_MUST_NONE;
	case SURE_YES:
		return level == LEVEL_MAY ? RCPT_MAY : RCPT_MUST;
	}
	return RCPT_UNKNOWN;
}

static enum rcpt_class
class_of_level(enum level level, const struct rcpt_cert *cert)
{
	switch (level) {
	case LEVEL_MUST:
	case LEVEL_MAY:
		return class_with_cert(level, cert);
	case LEVEL_NEVER:
		return RCPT_NEVER;
	case LEVEL_FORBID:
		return RCPT_FORBIDDEN;
	case LEVEL_INTERNAL:
		return RCPT_INTERNAL;
	case LEVEL_UNKNOWN:
		break;
	}
	return RCPT_UNKNOWN;
}

/* Which rule, and why it speaks. */
static void
explain_rule(const struct config *config, const struct rcpt_sender *sender, const struct rcpt *rcpt, char *ret, size_t room)
{
	const struct encrypt_rule_setting *rules = config->encrypt.rules.rows;

	if (!config->encrypt.use)
		snprintf(ret, room, "encrypt.use is off");
	else if (rcpt->address.form != RCPT_FORM_PLAIN)
		snprintf(ret, room, "%s", *rcpt->address.why ? rcpt->address.why : "the address was not read");
	else if (rcpt->rule)
		snprintf(ret, room, "rule %zu (to '%.100s', unit '%.60s', %s)%s", rcpt->rule, rules[rcpt->rule - 1].to,
		    rules[rcpt->rule - 1].unit, level_name((enum level)rules[rcpt->rule - 1].level),
		    rcpt->level == LEVEL_UNKNOWN ? ": the registry could not be asked whether it fits"
		    : rcpt->level != (enum level)rules[rcpt->rule - 1].level ? ", and the sender asked for encryption" : "");
	else if (rcpt->level == LEVEL_UNKNOWN)
		snprintf(ret, room, "the registry could not be asked whose domain it is");
	else
		snprintf(ret, room, "no rule; %s%s", rcpt->level == LEVEL_INTERNAL ? "an own domain" : "not in an own domain",
		    rcpt->level == LEVEL_INTERNAL && sender->trigger ? ", where the sender's wish changes nothing" : "");
}

void
rcpt_judge(const struct config *config, const struct rcpt_sender *sender, struct rcpt *rcpt)
{
	size_t len;

	rcpt->level = rcpt_level(config, sender, rcpt, &rcpt->rule);
	rcpt->class = class_of_level(rcpt->level, &rcpt->cert);
	explain_rule(config, sender, rcpt, rcpt->why, sizeof(rcpt->why));
	len = strlen(rcpt->why);
	if (level_wants_cert(rcpt->level))
		snprintf(rcpt->why + len, sizeof(rcpt->why) - len, "; %s", rcpt->cert.asked ? rcpt->cert.why : "no certificate was looked for");
}

/* --- the transaction --- */

static bool
has_certificate(const struct rcpt *rcpt)
{
	return has_cert(&rcpt->cert) == SURE_YES;
}

/* Reads mail in clear only: nothing that is encrypted may go to it. */
static bool
wants_clear(const struct rcpt *rcpt)
{
	switch (rcpt->class) {
	case RCPT_INTERNAL:
	case RCPT_NEVER:
		return true;
	case RCPT_MAY:
		return !has_certificate(rcpt);
	case RCPT_UNKNOWN:
	case RCPT_MUST:
	case RCPT_MUST_NONE:
	case RCPT_FORBIDDEN:
	case N_RCPT_CLASSES:
		return false;
	}
	return false;
}

static bool
wants_cipher(const struct rcpt *rcpt)
{
	return rcpt->class == RCPT_MUST;
}

static bool
may_cipher(const struct rcpt *rcpt)
{
	return rcpt->class == RCPT_MUST || (rcpt->class == RCPT_MAY && has_certificate(rcpt));
}

static bool
is_unknown(const struct rcpt *rcpt)
{
	return !wants_clear(rcpt) && !may_cipher(rcpt) && rcpt->class != RCPT_MUST_NONE && rcpt->class != RCPT_FORBIDDEN;
}

static bool
is_without_cert(const struct rcpt *rcpt)
{
	return rcpt->class == RCPT_MUST_NONE;
}

static bool
is_ambiguous(const struct rcpt *rcpt)
{
	return rcpt->class == RCPT_FORBIDDEN && rcpt->address.form != RCPT_FORM_PLAIN;
}

static bool
is_forbidden(const struct rcpt *rcpt)
{
	return rcpt->class == RCPT_FORBIDDEN;
}

bool
rcpt_joins(const struct rcpt *before, size_t n_before, const struct rcpt *next)
{
	bool clear = wants_clear(next), cipher = wants_cipher(next);

	for (size_t i = 0; i < n_before; i++) {
		clear |= wants_clear(&before[i]);
		cipher |= wants_cipher(&before[i]);
	}
	return !(clear && cipher);
}

bool
encrypt_is_peer(const struct config *config, const char *client)
{
	struct network network;

	for (size_t i = 0; i < config->encrypt.peers.n; i++)
		if (network_from(config->encrypt.peers.at[i], &network) && network_has(&network, client))
			return true;
	return false;
}

static bool
any(const struct plan_request *request, bool (*is)(const struct rcpt *rcpt))
{
	for (size_t i = 0; i < request->n_rcpts; i++)
		if (is(&request->rcpts[i]))
			return true;
	return false;
}

enum { ROOM_FOR_MORE = sizeof(" and 1000 more") };

/* "word=a@x,b@y and 3 more"; as many as fit before `end` of the names. */
static void
name_those(const struct plan_request *request, bool (*is)(const struct rcpt *rcpt), const char *word, size_t end, char *names)
{
	size_t len = strlen(names), left = 0;
	const char *between = "";

	len += (size_t)snprintf(names + len, end - len, "%s%s=", len ? " " : "", word);
	for (size_t i = 0; i < request->n_rcpts; i++) {
		const struct rcpt *rcpt = &request->rcpts[i];
		const char *name = *rcpt->address.address ? rcpt->address.address : rcpt->address.why;

		if (!is(rcpt))
			continue;
		if (len + strlen(between) + strlen(name) + ROOM_FOR_MORE > end) {
			left++;
			continue;
		}
		len += (size_t)snprintf(names + len, end - len, "%s%s", between, name);
		between = ",";
	}
	if (left)
		snprintf(names + len, end - len, *between ? " and %zu more" : "%zu of a long address", left);
}

static void
refuse(const struct plan_request *request, enum reason reason, bool (*is)(const struct rcpt *rcpt), struct encryption_plan *ret)
{
	ret->action = PLAN_REFUSE;
	ret->reason = reason;
	name_those(request, is, "recipients", sizeof(ret->names), ret->names);
}

/* What is definitely wrong outranks what could not be found out. */
static bool
plan_refusal(const struct plan_request *request, struct encryption_plan *ret)
{
	static const struct {
		bool (*is)(const struct rcpt *rcpt);
		enum reason reason;
		bool also_ciphertext;
	} refusals[] = {
		{ is_ambiguous, REASON_RCPT_AMBIGUOUS, true },
		{ is_forbidden, REASON_RCPT_FORBIDDEN, true },
		{ is_without_cert, REASON_ENC_NO_CERT, false },
	};

	for (size_t i = 0; i < N_ELEMENTS(refusals); i++) {
		if (!any(request, refusals[i].is) || (request->ciphertext && !refusals[i].also_ciphertext))
			continue;
		refuse(request, refusals[i].reason, refusals[i].is, ret);
		return true;
	}
	return false;
}

/* Only what the rules could not say matters to a message that is encrypted already: is it forbidden? */
static bool
plan_unknown(const struct plan_request *request, struct encryption_plan *ret)
{
	for (size_t i = 0; i < request->n_rcpts; i++) {
		const struct rcpt *rcpt = &request->rcpts[i];

		if (!is_unknown(rcpt) || (request->ciphertext && rcpt->level != LEVEL_UNKNOWN))
			continue;
		ret->action = PLAN_UNKNOWN;
		ret->reason = !level_wants_cert(rcpt->level) ? REASON_REG_UNAVAILABLE
		    : !rcpt->cert.asked ? REASON_INTERNAL
		    : rcpt->cert.answer == ENCRYPT_UNDECIDED ? REASON_STATUS_UNKNOWN : REASON_REG_UNAVAILABLE;
		name_those(request, is_unknown, "recipients", sizeof(ret->names), ret->names);
		return true;
	}
	return false;
}

static bool
same_cert(const struct rcpt *a, const struct rcpt *b)
{
	return memcmp(a->cert.sha256, b->cert.sha256, sizeof(a->cert.sha256)) == 0;
}

static enum rsa_padding
padding_for(const struct config *config, const struct rcpt *rcpt)
{
	switch ((enum rsa_choice)config->encrypt.rsa) {
	case RSA_ALWAYS_OAEP:
		return RSA_PADDING_OAEP;
	case RSA_BY_CAPABILITY:
		return rcpt->cert.capabilities & CAPABILITY_OAEP ? RSA_PADDING_OAEP : RSA_PADDING_V15;
	case RSA_CHOICE_UNKNOWN:
	case RSA_ALWAYS_V15:
		break;
	}
	return RSA_PADDING_V15;
}

static enum content_cipher
cipher_for(const struct plan_request *request)
{
	switch ((enum cipher_choice)request->config->encrypt.cipher) {
	case CIPHER_ALWAYS_GCM:
		return CONTENT_AES256_GCM;
	case CIPHER_BY_CAPABILITY:
		for (size_t i = 0; i < request->n_rcpts; i++)
			if (!(request->rcpts[i].cert.capabilities & CAPABILITY_GCM))
				return CONTENT_AES256_CBC;
		return CONTENT_AES256_GCM;
	case CIPHER_CHOICE_UNKNOWN:
	case CIPHER_ALWAYS_CBC:
		break;
	}
	return CONTENT_AES256_CBC;
}

/* Every certificate once, in the recipients' order. All recipients have one. */
static void
collect_certs(const struct plan_request *request, struct encryption_plan *ret)
{
	ret->certs = xcalloc(request->n_rcpts, sizeof(*ret->certs));
	for (size_t i = 0; i < request->n_rcpts; i++) {
		size_t j = 0;

		while (j < ret->n_certs && !same_cert(&request->rcpts[ret->certs[j].rcpt], &request->rcpts[i]))
			j++;
		if (j == ret->n_certs)
			ret->certs[ret->n_certs++] = (struct plan_cert){ i, padding_for(request->config, &request->rcpts[i]) };
	}
}

/* Somebody whose certificate nobody visible has: in a set of several the others would read of it. */
static const struct rcpt *
find_revealed(const struct plan_request *request, const struct encryption_plan *plan)
{
	for (size_t i = 0; plan->n_certs > 1 && i < plan->n_certs; i++) {
		const struct rcpt *owner = &request->rcpts[plan->certs[i].rcpt];
		bool visible = false;

		for (size_t j = 0; j < request->n_rcpts; j++)
			visible |= !request->rcpts[j].hidden && same_cert(&request->rcpts[j], owner);
		if (!visible)
			return owner;
	}
	return NULL;
}

/* One body cannot do. Where nobody must get it encrypted, the rules let it go in clear. */
static void PRINTF_LIKE(3, 4)
plan_mixed(const struct plan_request *request, struct encryption_plan *ret, const char *fmt, ...)
{
	va_list args;

	if (!any(request, wants_cipher)) {
		ret->action = PLAN_CLEAR;
		return;
	}
	ret->action = PLAN_REFUSE;
	ret->reason = REASON_ENC_MIXED;
	va_start(args, fmt);
	vsnprintf(ret->names, sizeof(ret->names), fmt, args);
	va_end(args);
}

static void
plan_together(const struct plan_request *request, struct encryption_plan *ret)
{
	const bool copy = *request->config->encrypt.copy_certificate != '\0';
	const struct rcpt *revealed;

	collect_certs(request, ret);
	revealed = find_revealed(request, ret);
	if (revealed) {
		plan_mixed(request, ret, "hidden=%s", revealed->address.address);
		return;
	}
	if (ret->n_certs + copy > LIMIT_CMS_RECIPIENTS) {
		plan_mixed(request, ret, "certificates=%zu most=%d", ret->n_certs + copy, LIMIT_CMS_RECIPIENTS);
		return;
	}
	ret->action = PLAN_ENCRYPT;
	ret->cipher = cipher_for(request);
	ret->copy = copy;
	ret->hide_subject = request->config->encrypt.hide_subject;
}

static void
plan_kinds(const struct plan_request *request, struct encryption_plan *ret)
{
	char names[sizeof(ret->names)] = "";

	if (!any(request, wants_clear)) {
		plan_together(request, ret);
		return;
	}
	/* Half of the room for those of each kind. */
	name_those(request, wants_cipher, "encrypted", sizeof(names) / 2, names);
	name_those(request, wants_clear, "clear", sizeof(names), names);
	plan_mixed(request, ret, "%s", names);
}

void
rcpt_plan(const struct plan_request *request, struct encryption_plan *ret)
{
	*ret = (struct encryption_plan){ .action = PLAN_UNKNOWN, .reason = REASON_INTERNAL };
	if (request->n_rcpts == 0) {
		snprintf(ret->names, sizeof(ret->names), "recipients=none");
		return;
	}
	if (plan_refusal(request, ret) || plan_unknown(request, ret))
		return;
	ret->reason = REASON_UNKNOWN;
	if (request->ciphertext || !any(request, may_cipher))
		ret->action = PLAN_CLEAR;
	else if (request->may_split)
		ret->action = PLAN_SPLIT;
	else
		plan_kinds(request, ret);
	if (ret->action != PLAN_ENCRYPT)
		encryption_plan_done(ret);
}

void
encryption_plan_done(struct encryption_plan *plan)
{
	free(plan->certs);
	plan->certs = NULL;
	plan->n_certs = 0;
}
