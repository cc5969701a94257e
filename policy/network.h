/* network: a block of client addresses, IPv4 or IPv6. Pure. */
#ifndef POLICY_NETWORK_H
#define POLICY_NETWORK_H

#include "smime/base.h"

struct network {
	unsigned char address[16]; /* IPv4 as ::ffff:a.b.c.d */
	unsigned prefix;           /* bits of it that count */
};

/* "192.0.2.0/24", "2001:db8::/32", or one address. False: it is none, or has bits set behind its prefix. */
bool network_from(const char *text, struct network *ret);
/* Is this client, an address as text, in it? What is no address ("local") is in none. */
bool network_has(const struct network *network, const char *client);

#endif
