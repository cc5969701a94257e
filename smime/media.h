/*
 * media: the value of a Content-Type field (RFC 2045 5.1) and of Content-Transfer-Encoding.
 *
 * Media type and parameters are read strictly. For multipart types anything that two readers may
 * read differently (a comment, a doubled or RFC 2231 boundary, a quoted pair in it) is `why`; for
 * leaves a malformed tail of parameters is tolerated as long as it names none we act upon, since
 * it cannot change the structure. Does not decode parameter values.
 */
#ifndef SMIME_MEDIA_H
#define SMIME_MEDIA_H

#include "smime/buf.h"
#include "smime/limits.h"

enum { MEDIA_TOKEN_BYTES = 63 };

struct media {
	char type[MEDIA_TOKEN_BYTES + 1];     /* lower case */
	char subtype[MEDIA_TOKEN_BYTES + 1];
	char boundary[LIMIT_BOUNDARY_BYTES + 1]; /* "" = none */
	char protocol[MEDIA_TOKEN_BYTES + 1];    /* lower case, cut; of multipart/signed and encrypted */
	char smime_type[MEDIA_TOKEN_BYTES + 1];  /* lower case, cut */
	char name[MEDIA_TOKEN_BYTES + 1];        /* lower case, its last bytes where it is longer */
	bool has_charset;
	size_t type_end;      /* offset in the value behind type/subtype */
	size_t hp_from;       /* an hp parameter with the ';' and blanks before it */
	size_t hp_end;        /* 0 = there is none */
	const char *why;      /* static text: what is ambiguous; NULL = nothing */
	const char *limit;    /* static text */
};

void media_parse(struct slice value, struct media *ret);
/* What a part without the field is (RFC 2045 5.2, RFC 2046 5.1.5). */
void media_default(bool in_digest, struct media *ret);
bool media_is(const struct media *media, const char *type, const char *subtype); /* NULL subtype = any */

enum cte {
	CTE_UNKNOWN, /* one we cannot decode */
	CTE_7BIT,    /* also where the field is absent */
	CTE_8BIT,
	CTE_BINARY,
	CTE_QP,
	CTE_BASE64,
};

enum cte cte_parse(struct slice value);
const char *cte_name(enum cte cte);

#endif
