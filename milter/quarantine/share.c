#include "milter/quarantine/share.h"

#include <arpa/inet.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAPPED_BYTES = 12, PREFIX_BYTES = 8 };

static const unsigned char mapped[MAPPED_BYTES] = { [10] = 0xff, [11] = 0xff };

struct shares {
	void *root; /* of search.h's tree, of struct share */
};

static bool
is_mapped(const unsigned char client[SHARE_CLIENT_BYTES])
{
	return memcmp(client, mapped, MAPPED_BYTES) == 0;
}

bool
share_client(const char *address, unsigned char ret[SHARE_CLIENT_BYTES])
{
	unsigned char client[SHARE_CLIENT_BYTES];

	memcpy(client, mapped, MAPPED_BYTES);
	if (inet_pton(AF_INET, address, client + MAPPED_BYTES) != 1 && inet_pton(AF_INET6, address, client) != 1)
		return false;
	if (!is_mapped(client))
		memset(client + PREFIX_BYTES, 0, SHARE_CLIENT_BYTES - PREFIX_BYTES);
	memcpy(ret, client, SHARE_CLIENT_BYTES);
	return true;
}

void
share_name(const unsigned char client[SHARE_CLIENT_BYTES], char ret[SHARE_NAME_BYTES])
{
	char text[INET6_ADDRSTRLEN] = "";

	if (is_mapped(client))
		(void)inet_ntop(AF_INET, client + MAPPED_BYTES, text, sizeof(text));
	else
		(void)inet_ntop(AF_INET6, client, text, sizeof(text));
	snprintf(ret, SHARE_NAME_BYTES, "%s%s", text, is_mapped(client) ? "" : "/64");
}

/* Of two shares; a client's 16 bytes are the beginning of one. */
static int
compare(const void *a, const void *b)
{
	return memcmp(a, b, SHARE_CLIENT_BYTES);
}

struct shares *
shares_new(void)
{
	return xcalloc(1, sizeof(struct shares));
}

void
shares_free(struct shares *shares)
{
	if (!shares)
		return;
	tdestroy(shares->root, free);
	free(shares);
}

void
shares_get(const struct shares *shares, const unsigned char client[SHARE_CLIENT_BYTES], struct share *ret)
{
	struct share *const *found = tfind(client, &shares->root, compare);

	*ret = (struct share){ .items = 0 };
	memcpy(ret->client, client, SHARE_CLIENT_BYTES);
	if (found)
		*ret = **found;
}

void
shares_add(struct shares *shares, const unsigned char client[SHARE_CLIENT_BYTES], size_t bytes)
{
	struct share *share = xcalloc(1, sizeof(*share)), **place;

	memcpy(share->client, client, SHARE_CLIENT_BYTES);
	place = tsearch(share, &shares->root, compare);
	xmust(place != NULL);
	if (*place != share)
		free(share); /* there is one */
	(*place)->items++;
	(*place)->bytes += bytes;
}

/* Somebody may have mended the database by hand since it was counted: then less is there than is taken. */
void
shares_take(struct shares *shares, const unsigned char client[SHARE_CLIENT_BYTES], size_t bytes)
{
	struct share *const *found = tfind(client, &shares->root, compare);
	struct share *share;

	if (!found)
		return;
	share = *found;
	share->bytes -= share->bytes < bytes ? share->bytes : bytes;
	if (--share->items > 0)
		return;
	tdelete(share, &shares->root, compare);
	free(share);
}
