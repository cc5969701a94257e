/* A next hop, from its text to the form in which it is compared. */
#include <stdio.h>
#include <string.h>

#include "policy/registry/tls.h"

static bool
has_only(const char *text, const char *allowed)
{
	return text[strspn(text, allowed)] == '\0';
}

/* A number or a service's name, as in services(5). */
static bool
is_port(const char *text)
{
	return *text && strlen(text) <= 32 && has_only(text, "abcdefghijklmnopqrstuvwxyz0123456789-_.+");
}

/* IPv4, or IPv6 with or without Postfix's prefix. */
static bool
is_address(const char *text)
{
	if (strncmp(text, "ipv6:", 5) == 0)
		text += 5;
	if (strchr(text, ':'))
		return has_only(text, "0123456789abcdef:.");
	return *text && has_only(text, "0123456789.");
}

/* Takes ":port" off the end; "" where there is none. False: what stands there is no port. */
static bool
take_port(char *text, char port[40])
{
	char *end = *text == '[' ? strchr(text, ']') : NULL;
	char *colon = end ? end + 1 : strrchr(text, ':');

	*port = '\0';
	if ((*text == '[' && !end) || (end && *colon && *colon != ':'))
		return false;
	if (!colon || *colon == '\0')
		return true;
	if (colon[1] && !is_port(colon + 1))
		return false;
	if (colon[1])
		snprintf(port, 40, ":%s", colon + 1);
	*colon = '\0';
	return true;
}

/* `text` stands in brackets, which are still there. */
static bool
bracketed_from(char *text, const char *port, struct hop *hop)
{
	const char *host = text + 1;

	text[strlen(text) - 1] = '\0';
	if (is_address(host))
		snprintf(hop->key, sizeof(hop->key), "[%.*s]%s", LIMIT_ADDRESS_BYTES - 48, host, port);
	else if (domain_normalise(host, hop->domain) && strlen(hop->domain) < LIMIT_ADDRESS_BYTES - 48)
		snprintf(hop->key, sizeof(hop->key), "[%.*s]%s", LIMIT_ADDRESS_BYTES - 48, hop->domain, port);
	else
		return false;
	return true;
}

static bool
parent_from(const char *text, const char *port, struct hop *hop)
{
	char domain[LIMIT_ADDRESS_BYTES + 1];

	if (*port || !domain_normalise(text + 1, domain))
		return false;
	snprintf(hop->key, sizeof(hop->key), ".%.*s", LIMIT_ADDRESS_BYTES - 1, domain);
	return true;
}

static bool
plain_from(const char *text, const char *port, struct hop *hop)
{
	if (!domain_normalise(text, hop->domain) || strlen(hop->domain) >= LIMIT_ADDRESS_BYTES - 48)
		return false;
	hop->plain = *port == '\0';
	snprintf(hop->key, sizeof(hop->key), "%.*s%s", LIMIT_ADDRESS_BYTES - 48, hop->domain, port);
	return true;
}

static bool
is_ascii(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text >= 0x80)
			return false;
	return true;
}

enum hop_form
hop_from(const char *text, struct hop *ret)
{
	char low[LIMIT_ADDRESS_BYTES + 1], port[40];
	struct hop hop = { .key = "" };
	bool good;

	if (strlen(text) > LIMIT_ADDRESS_BYTES)
		return HOP_NONE;
	for (size_t i = 0; i <= strlen(text); i++)
		low[i] = text[i] >= 'A' && text[i] <= 'Z' ? (char)(text[i] | 0x20) : text[i];
	good = take_port(low, port);
	if (good && *low == '[')
		good = bracketed_from(low, port, &hop);
	else if (good && *low == '.')
		good = parent_from(low, port, &hop);
	else if (good)
		good = plain_from(low, port, &hop);
	if (!good)
		return is_ascii(text) || *text == '/' ? HOP_NONE : HOP_UNKNOWN;
	*ret = hop;
	return HOP_ONE;
}
