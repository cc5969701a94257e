#include "smime/ocsp_url.h"

#include <string.h>

#include <openssl/evp.h>

void
ocsp_url(const char *service, struct slice request, struct buf *ret)
{
	AUTO(xfree) unsigned char *text = xcalloc(4 * ((request.len + 2) / 3) + 1, 1);
	const size_t len = strlen(service);
	const int n = EVP_EncodeBlock(text, request.at, (int)request.len);

	buf_printf(ret, "%s%s", service, len && service[len - 1] == '/' ? "" : "/");
	for (int i = 0; i < n; i++) {
		if (strchr("+/=", text[i]))
			buf_printf(ret, "%%%02X", text[i]);
		else
			buf_add(ret, &text[i], 1);
	}
}
