#include "policy/endpoint.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/un.h>

static int
refuse(const char *text, const char *why, struct err *err)
{
	return err_set(err, ERR_CONFIG, "'%s': %s; wanted a UNIX socket (\"/run/...\") or an address of this machine alone "
	    "(\"127.0.0.1:9464\", \"[::1]:9464\")", text, why);
}

static int
unix_from(const char *text, struct endpoint *ret, struct err *err)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (strlen(text) >= sizeof(address.sun_path))
		return refuse(text, "the path is too long for a socket (107 bytes)", err);
	memcpy(address.sun_path, text, strlen(text) + 1);
	*ret = (struct endpoint){ .len = sizeof(address), .path = text };
	memcpy(&ret->address, &address, sizeof(address));
	return 0;
}

static bool
port_from(const char *text, in_port_t *ret)
{
	unsigned long port = 0;

	if (!*text)
		return false;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return false;
		port = 10 * port + (unsigned long)(*text - '0');
		if (port > 65535)
			return false;
	}
	*ret = htons((in_port_t)port);
	return port != 0;
}

static bool
v4_from(const char *host, in_port_t port, struct endpoint *ret)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = port };

	if (inet_pton(AF_INET, host, &address.sin_addr) != 1 || ntohl(address.sin_addr.s_addr) >> 24 != 127)
		return false;
	*ret = (struct endpoint){ .len = sizeof(address) };
	memcpy(&ret->address, &address, sizeof(address));
	return true;
}

static bool
v6_from(const char *host, in_port_t port, struct endpoint *ret)
{
	struct sockaddr_in6 address = { .sin6_family = AF_INET6, .sin6_port = port };

	if (inet_pton(AF_INET6, host, &address.sin6_addr) != 1 || !IN6_IS_ADDR_LOOPBACK(&address.sin6_addr))
		return false;
	*ret = (struct endpoint){ .len = sizeof(address) };
	memcpy(&ret->address, &address, sizeof(address));
	return true;
}

int
endpoint_from(const char *text, struct endpoint *ret, struct err *err)
{
	const char *colon = strrchr(text, ':');
	const bool brackets = *text == '[' && colon && colon > text + 1 && colon[-1] == ']';
	AUTO(xfree) char *host = NULL;
	in_port_t port;

	if (*text == '/')
		return unix_from(text, ret, err);
	if (!colon || !port_from(colon + 1, &port))
		return refuse(text, "there is no port from 1 to 65535 behind a colon", err);
	host = brackets ? xstrndup(text + 1, (size_t)(colon - text) - 2) : xstrndup(text, (size_t)(colon - text));
	if (brackets ? v6_from(host, port, ret) : v4_from(host, port, ret))
		return 0;
	return refuse(text, "others could reach this address, or it is no number", err);
}
