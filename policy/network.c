#include "policy/network.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

static const unsigned char mapped[12] = { [10] = 0xff, [11] = 0xff };

/* Bits of the 16 bytes that stand before an address of this family; -1: it is no address. */
static int
address_from(const char *text, unsigned char ret[16])
{
	memcpy(ret, mapped, sizeof(mapped));
	if (inet_pton(AF_INET, text, ret + sizeof(mapped)) == 1)
		return 96;
	return inet_pton(AF_INET6, text, ret) == 1 ? 0 : -1;
}

static bool
bit(const unsigned char *bytes, unsigned i)
{
	return bytes[i / 8] >> (7 - i % 8) & 1;
}

/* One to three digits, nothing else. */
static bool
prefix_from(const char *text, unsigned most, unsigned *ret)
{
	size_t len = strspn(text, "0123456789");

	if (len == 0 || len > 3 || text[len])
		return false;
	*ret = (unsigned)strtoul(text, NULL, 10);
	return *ret <= most;
}

bool
network_from(const char *text, struct network *ret)
{
	const char *slash = strchr(text, '/');
	char address[64];
	int before;

	if ((slash ? (size_t)(slash - text) : strlen(text)) >= sizeof(address))
		return false;
	memset(address, 0, sizeof(address));
	memcpy(address, text, slash ? (size_t)(slash - text) : strlen(text));
	before = address_from(address, ret->address);
	if (before == -1)
		return false;
	ret->prefix = 128;
	if (slash) {
		if (!prefix_from(slash + 1, 128 - (unsigned)before, &ret->prefix))
			return false;
		ret->prefix += (unsigned)before;
	}
	for (unsigned i = ret->prefix; i < 128; i++)
		if (bit(ret->address, i))
			return false;
	return true;
}

bool
network_has(const struct network *network, const char *client)
{
	unsigned char address[16];

	if (address_from(client, address) == -1)
		return false;
	for (unsigned i = 0; i < network->prefix; i++)
		if (bit(address, i) != bit(network->address, i))
			return false;
	return true;
}
