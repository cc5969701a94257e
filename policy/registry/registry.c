/* The words of registry.h and the form in which addresses are compared. */
#include "policy/registry/registry.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/registry/idna.h"

static const char *const purposes[] = {
	[PURPOSE_UNKNOWN] = "unknown", [PURPOSE_VERIFY] = "verify", [PURPOSE_ENCRYPT] = "encrypt",
	[PURPOSE_SEAL] = "seal",       [PURPOSE_CLIENT] = "client",
};

static const char *const states[] = {
	[CERT_STATE_UNKNOWN] = "unknown",  [CERT_STATE_ACTIVE] = "aktif",     [CERT_STATE_HELD] = "ditahan",
	[CERT_STATE_REVOKED] = "dicabut",  [CERT_STATE_REPLACED] = "diganti",
};

static const char *const kinds[] = {
	[CERT_KIND_UNKNOWN] = "unknown", [CERT_KIND_PERSON] = "individu",
	[CERT_KIND_OFFICE] = "jabatan",  [CERT_KIND_SYSTEM] = "sistem",
};

static const char *const unusables[] = {
	[UNUSABLE_UNKNOWN] = "unknown", [UNUSABLE_HELD] = "held",       [UNUSABLE_REVOKED] = "revoked",
	[UNUSABLE_RETIRED] = "retired", [UNUSABLE_ENDED] = "ended",     [UNUSABLE_EXPIRED] = "expired",
	[UNUSABLE_NOT_YET] = "not-yet", [UNUSABLE_CONFLICT] = "conflict",
};

static const char *
word(const char *const *words, size_t n, size_t i)
{
	return i < n ? words[i] : words[0];
}

/* Never 0 for a word that is in the table; 0 ("unknown") for all others. */
static size_t
word_index(const char *const *words, size_t n, const char *name)
{
	for (size_t i = 1; i < n; i++)
		if (name && strcmp(words[i], name) == 0)
			return i;
	return 0;
}

const char *
purpose_name(enum purpose purpose)
{
	return word(purposes, N_ELEMENTS(purposes), (size_t)purpose);
}

const char *
cert_state_name(enum cert_state state)
{
	return word(states, N_ELEMENTS(states), (size_t)state);
}

const char *
cert_kind_name(enum cert_kind kind)
{
	return word(kinds, N_ELEMENTS(kinds), (size_t)kind);
}

const char *
unusable_name(enum unusable unusable)
{
	return word(unusables, N_ELEMENTS(unusables), (size_t)unusable);
}

enum purpose
purpose_from(const char *name)
{
	return (enum purpose)word_index(purposes, N_ELEMENTS(purposes), name);
}

enum cert_state
cert_state_from(const char *name)
{
	return (enum cert_state)word_index(states, N_ELEMENTS(states), name);
}

enum cert_kind
cert_kind_from(const char *name)
{
	return (enum cert_kind)word_index(kinds, N_ELEMENTS(kinds), name);
}

static bool
is_alnum(unsigned char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* RFC 5322 atext and the dot, and UTF-8 (RFC 6531 3.3). A quoted local part is not plain. */
static bool
is_local_byte(unsigned char c)
{
	return c >= 0x80 || is_alnum(c) || (c && strchr("!#$%&'*+-/=?^_`{|}~.", c));
}

static bool
is_domain_byte(unsigned char c)
{
	return is_alnum(c) || c == '-' || c == '.' || c == '_';
}

static unsigned char
lower(unsigned char c)
{
	return c >= 'A' && c <= 'Z' ? (unsigned char)(c + ('a' - 'A')) : c;
}

/* No dot at either end and no two in a row. */
static bool
dots_are_apart(const char *text, size_t len)
{
	if (len == 0 || text[0] == '.' || text[len - 1] == '.')
		return false;
	for (size_t i = 1; i < len; i++)
		if (text[i] == '.' && text[i - 1] == '.')
			return false;
	return true;
}

static bool
copy_part(const char *from, size_t len, bool (*allowed)(unsigned char), bool fold, char *to)
{
	if (!dots_are_apart(from, len))
		return false;
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)from[i];

		if (!allowed(c))
			return false;
		to[i] = (char)(fold ? lower(c) : c);
	}
	to[len] = '\0';
	return true;
}

/* ASCII in lower case, U-labels as A-labels; `ret` holds LIMIT_ADDRESS_BYTES + 1. */
static bool
domain_form(const char *domain, char *ret)
{
	char low[LIMIT_ADDRESS_BYTES + 1];
	bool ascii = true;
	size_t len = strlen(domain);

	for (size_t i = 0; i <= len; i++) {
		low[i] = (char)lower((unsigned char)domain[i]);
		ascii = ascii && (unsigned char)domain[i] < 0x80;
	}
	if (!ascii)
		return idna_to_ascii(low, ret, LIMIT_ADDRESS_BYTES + 1);
	memcpy(ret, low, len + 1);
	return true;
}

bool
address_normalise(const char *address, bool fold, char *ret)
{
	const char *at = strchr(address, '@');
	char form[LIMIT_ADDRESS_BYTES + 1], domain[LIMIT_ADDRESS_BYTES + 1];
	size_t local;

	if (!at || strlen(address) > LIMIT_ADDRESS_BYTES || !domain_form(at + 1, domain))
		return false;
	local = (size_t)(at - address);
	if (local + 1 + strlen(domain) > LIMIT_ADDRESS_BYTES)
		return false;
	if (!copy_part(address, local, is_local_byte, fold, form)
	    || !copy_part(domain, strlen(domain), is_domain_byte, true, form + local + 1))
		return false;
	form[local] = '@';
	memcpy(ret, form, strlen(form) + 1);
	return true;
}

bool
address_equal(const char *a, const char *b, bool fold)
{
	char form_a[LIMIT_ADDRESS_BYTES + 1], form_b[LIMIT_ADDRESS_BYTES + 1];

	return address_normalise(a, fold, form_a) && address_normalise(b, fold, form_b) && strcmp(form_a, form_b) == 0;
}

/* As the domain of an address, which is how registered ones are compared. */
bool
domain_normalise(const char *domain, char *ret)
{
	char address[LIMIT_ADDRESS_BYTES + 1], form[LIMIT_ADDRESS_BYTES + 1];
	size_t len = strlen(domain);

	if (len > 1 && domain[len - 1] == '.')
		len--;
	if (len == 0 || len + 2 > LIMIT_ADDRESS_BYTES)
		return false;
	snprintf(address, sizeof(address), "x@%.*s", (int)len, domain);
	if (!address_normalise(address, false, form))
		return false;
	snprintf(ret, LIMIT_ADDRESS_BYTES + 1, "%s", form + 2);
	return true;
}

void
registry_found_done(struct registry_found *found)
{
	free(found->cert.der);
	found->cert.der = NULL;
	found->cert.der_len = 0;
}
