/*
 * The socketmap protocol: any bytes, and next hops of any kind. What is read as a request lies within what came; a
 * next hop that is understood is understood the same when it is asked again in its own form.
 */
#include "tests/fuzz/fuzz.h"

#include "milter/tlspol/answer.h"

static void
hop_again(const char *text)
{
	struct hop hop, again;

	if (hop_from(text, &hop) != HOP_ONE)
		return;
	fuzz_must(strlen(hop.key) > 0 && strlen(hop.key) <= LIMIT_ADDRESS_BYTES, "a key is bounded");
	fuzz_must(hop.key[strspn(hop.key, "abcdefghijklmnopqrstuvwxyz0123456789-._+:[]")] == '\0', "a key can end no attribute");
	fuzz_must(strstr(hop.key, hop.domain) != NULL, "the key names its domain");
	fuzz_must(!hop.plain || strcmp(hop.key, hop.domain) == 0, "a plain domain is its own key");
	fuzz_must(hop_from(hop.key, &again) == HOP_ONE, "a key is a next hop");
	fuzz_must(strcmp(again.key, hop.key) == 0 && strcmp(again.domain, hop.domain) == 0 && again.plain == hop.plain, "and the same one");
}

static void
reply_is_one(const char *word, const char *text)
{
	AUTO_BUF struct buf reply = { 0 };
	struct netstring one;

	buf_init(&reply, REPLY_BYTES);
	reply_render(word, text, &reply);
	fuzz_must(!buf_full(&reply), "a reply fits");
	fuzz_must(netstring_parse(buf_slice(&reply), REPLY_BYTES, &one) == NETSTRING_WHOLE && one.used == reply.len, "a reply is one netstring");
}

static void
request_again(struct slice payload)
{
	struct request request = { .key = "" };

	if (request_parse(payload, "tls", &request) != REQUEST_GOOD)
		return;
	fuzz_must(strlen(request.key) + 4 == payload.len, "the key is all behind the blank");
	hop_again(request.key);
	reply_is_one("OK", request.key);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct slice rest = { bytes, len };
	AUTO(xfree) char *text = xstrndup((const char *)bytes, len);
	struct netstring one;

	while (netstring_parse(rest, REQUEST_BYTES, &one) == NETSTRING_WHOLE) {
		fuzz_must(one.used <= rest.len && one.payload.len < one.used, "a netstring lies in what came");
		fuzz_must(one.payload.len <= REQUEST_BYTES, "a netstring is bounded");
		request_again(one.payload);
		rest = (struct slice){ rest.at + one.used, rest.len - one.used };
	}
	hop_again(text);
	return 0;
}
