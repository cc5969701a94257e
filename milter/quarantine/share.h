/*
 * share: how much there is of each client: items and bytes. Counts only; what counts, and how much is too much, the store says
 * (store_share.c), under its lock.
 *
 * A client is an IPv4 address or an IPv6 /64, which is what one customer gets; IPv4 in IPv6 form is IPv4. What is no
 * address ("local") is no client. Strangers choose their addresses: any number of them costs log(n) each.
 */
#ifndef QUARANTINE_SHARE_H
#define QUARANTINE_SHARE_H

#include "smime/base.h"

enum { SHARE_CLIENT_BYTES = 16, SHARE_NAME_BYTES = 64 };

struct share {
	unsigned char client[SHARE_CLIENT_BYTES]; /* IPv4 as ::ffff:a.b.c.d */
	size_t items, bytes;
};

/* Whose share is it? False: an address is wanted, and this is none. */
bool share_client(const char *address, unsigned char ret[SHARE_CLIENT_BYTES]);
/* For people: "192.0.2.7", "2001:db8:0:7::/64". */
void share_name(const unsigned char client[SHARE_CLIENT_BYTES], char ret[SHARE_NAME_BYTES]);

struct shares;

struct shares *shares_new(void);
void shares_free(struct shares *shares);
AUTO_DEFINE(struct shares, shares_free);

/* What there is of this client. */
void shares_get(const struct shares *shares, const unsigned char client[SHARE_CLIENT_BYTES], struct share *ret);
/* One more, or one less, of so many bytes; a client of whom nothing is left is forgotten. */
void shares_add(struct shares *shares, const unsigned char client[SHARE_CLIENT_BYTES], size_t bytes);
void shares_take(struct shares *shares, const unsigned char client[SHARE_CLIENT_BYTES], size_t bytes);

#endif
