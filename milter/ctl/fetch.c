#include "milter/ctl/fetch.h"

#include <curl/curl.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "policy/network.h"

enum {
	URL_BYTES = 1024,
	HEADER_BYTES = 64 * 1024, /* libcurl itself keeps every header line of an answer */
	MOST_REDIRECTS = 3,
	LEAST_SPEED = 1000, /* bytes a second */
};

struct fetch {
	const struct config *config; /* borrowed */
	CURL *curl;
	/* Of the request in hand. */
	struct buf *body;
	size_t n_header;
	bool too_large;
	bool header_too_large;
	char denied[64]; /* the last address that was not allowed */
	char error[CURL_ERROR_SIZE];
};

AUTO_DEFINE(CURLU, curl_url_cleanup);
AUTO_DEFINE(char, curl_free);
AUTO_DEFINE(struct curl_slist, curl_slist_free_all);

/* --- addresses --- */

/* IPv4: what is not of the public Internet (IANA's special-purpose registry). */
static const char *const denied_v4[] = {
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
	"192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
	"224.0.0.0/4", "240.0.0.0/4",
};

/* IPv6: the public part is 2000::/3, without what stands for something else. */
static const char *const denied_v6[] = { "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20" };

static bool
is_within(const char *network, const char *address)
{
	struct network parsed;

	return network_from(network, &parsed) && network_has(&parsed, address);
}

static bool
is_within_any(const char *const *networks, size_t n, const char *address)
{
	for (size_t i = 0; i < n; i++)
		if (is_within(networks[i], address))
			return true;
	return false;
}

bool
fetch_is_private(const struct text_list *allowed, const char *address)
{
	for (size_t i = 0; i < allowed->n; i++)
		if (is_within(allowed->at[i], address))
			return false;
	if (is_within("0.0.0.0/0", address))
		return is_within_any(denied_v4, N_ELEMENTS(denied_v4), address);
	return !is_within("2000::/3", address) || is_within_any(denied_v6, N_ELEMENTS(denied_v6), address);
}

/* The last moment before the connection: this address is the one that is meant. */
static curl_socket_t
on_socket(void *ctx, curlsocktype purpose, struct curl_sockaddr *to)
{
	struct fetch *fetch = ctx;
	char address[64] = "?";

	if (purpose != CURLSOCKTYPE_IPCXN
	    || getnameinfo(&to->addr, to->addrlen, address, sizeof(address), NULL, 0, NI_NUMERICHOST) != 0
	    || fetch_is_private(&fetch->config->trust.allow_private, address)) {
		memcpy(fetch->denied, address, sizeof(fetch->denied));
		return CURL_SOCKET_BAD;
	}
	return socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
}

/* --- URLs --- */

static char *
url_part(CURLU *url, CURLUPart part)
{
	char *text = NULL;

	return curl_url_get(url, part, &text, CURLU_DEFAULT_PORT) == CURLUE_OK ? text : NULL;
}

static bool
url_has(CURLU *url, CURLUPart part)
{
	AUTO(curl_free) char *text = url_part(url, part);

	return text != NULL;
}

/* It goes into a comment line of a file, and into a request: only what may stand in a URL (RFC 3986 2). */
static bool
has_odd_character(const char *text)
{
	for (; *text; text++)
		if (*text <= ' ' || *text >= 0x7f || strchr("\"<>\\^`{|}", *text))
			return true;
	return false;
}

static bool
is_scheme_of_ours(const char *scheme)
{
	return scheme && (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0);
}

int
fetch_check_url(const char *url, struct err *err)
{
	AUTO(curl_url_cleanup) CURLU *parsed = curl_url();
	AUTO(curl_free) char *scheme = NULL;

	if (strlen(url) > URL_BYTES || has_odd_character(url))
		return err_set(err, ERR_CONFIG, "'%.80s' is no URL: wanted at most %d characters of ASCII without blanks", url, URL_BYTES);
	/* libcurl takes a third slash for a slip, and what stands behind it for the host. */
	if (!parsed || strstr(url, ":///") || curl_url_set(parsed, CURLUPART_URL, url, 0) != CURLUE_OK)
		return err_set(err, ERR_CONFIG, "'%s' is no URL; wanted http://HOST/PATH or https://HOST/PATH", url);
	scheme = url_part(parsed, CURLUPART_SCHEME);
	if (!is_scheme_of_ours(scheme))
		return err_set(err, ERR_CONFIG, "'%s': only http and https are asked", url);
	if (url_has(parsed, CURLUPART_USER) || url_has(parsed, CURLUPART_PASSWORD) || url_has(parsed, CURLUPART_FRAGMENT))
		return err_set(err, ERR_CONFIG, "'%s': a login or a fragment has no place in this URL", url);
	return 0;
}

static bool
same_part(CURLU *a, CURLU *b, CURLUPart part)
{
	AUTO(curl_free) char *one = url_part(a, part);
	AUTO(curl_free) char *other = url_part(b, part);

	return one && other && strcasecmp(one, other) == 0;
}

static bool
is_at(CURLU *url, const char *scheme, const char *port)
{
	AUTO(curl_free) char *its_scheme = url_part(url, CURLUPART_SCHEME);
	AUTO(curl_free) char *its_port = url_part(url, CURLUPART_PORT);

	return its_scheme && its_port && strcmp(its_scheme, scheme) == 0 && strcmp(its_port, port) == 0;
}

/* The same server under the same name, or its https side. */
static bool
may_follow(const char *from, const char *to)
{
	AUTO(curl_url_cleanup) CURLU *old = curl_url();
	AUTO(curl_url_cleanup) CURLU *new = curl_url();

	if (!old || !new || curl_url_set(old, CURLUPART_URL, from, 0) != CURLUE_OK || curl_url_set(new, CURLUPART_URL, to, 0) != CURLUE_OK)
		return false;
	if (!same_part(old, new, CURLUPART_HOST))
		return false;
	return (same_part(old, new, CURLUPART_SCHEME) && same_part(old, new, CURLUPART_PORT))
	    || (is_at(old, "http", "80") && is_at(new, "https", "443"));
}

/* --- one request --- */

/* Too much is counted here, while it arrives: what a server says about its length is its own affair. */
static size_t
on_body(char *bytes, size_t size, size_t n, void *ctx)
{
	struct fetch *fetch = ctx;

	buf_add(fetch->body, bytes, size * n);
	fetch->too_large = buf_full(fetch->body);
	return fetch->too_large ? 0 : size * n;
}

static size_t
on_header(char *bytes, size_t size, size_t n, void *ctx)
{
	struct fetch *fetch = ctx;

	(void)bytes;
	fetch->n_header += size * n;
	fetch->header_too_large = fetch->n_header > HEADER_BYTES;
	return fetch->header_too_large ? 0 : size * n;
}

#define SET(option, value) (curl_easy_setopt(fetch->curl, option, value) == CURLE_OK)

/* What every request has. False: this libcurl lacks something that must hold. */
static bool
set_always(struct fetch *fetch)
{
	const struct config *config = fetch->config;

	return SET(CURLOPT_PROTOCOLS_STR, "http,https") && SET(CURLOPT_FOLLOWLOCATION, 0L) && SET(CURLOPT_NOSIGNAL, 1L)
	    && SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1)
	    && SET(CURLOPT_PROXY, config->trust.proxy) && SET(CURLOPT_NOPROXY, "") && SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED)
	    && SET(CURLOPT_CONNECTTIMEOUT_MS, config->trust.timeout) && SET(CURLOPT_LOW_SPEED_LIMIT, (long)LEAST_SPEED)
	    && SET(CURLOPT_LOW_SPEED_TIME, (config->trust.timeout + 999) / 1000)
	    && SET(CURLOPT_SSL_VERIFYPEER, 1L) && SET(CURLOPT_SSL_VERIFYHOST, 2L) && SET(CURLOPT_CAINFO, config->trust.https_ca)
	    && SET(CURLOPT_CAPATH, NULL) && SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2)
	    && SET(CURLOPT_HTTP_CONTENT_DECODING, 0L) && SET(CURLOPT_USERAGENT, "segel/" SEGEL_VERSION)
	    && SET(CURLOPT_OPENSOCKETFUNCTION, on_socket) && SET(CURLOPT_OPENSOCKETDATA, fetch)
	    && SET(CURLOPT_WRITEFUNCTION, on_body) && SET(CURLOPT_WRITEDATA, fetch)
	    && SET(CURLOPT_HEADERFUNCTION, on_header) && SET(CURLOPT_HEADERDATA, fetch) && SET(CURLOPT_ERRORBUFFER, fetch->error);
}

static bool
set_request(struct fetch *fetch, const struct fetch_request *request, const char *url, long left, struct curl_slist *headers)
{
	if (!SET(CURLOPT_URL, url) || !SET(CURLOPT_TIMEOUT_MS, left) || !SET(CURLOPT_HTTPHEADER, headers)
	    || !SET(CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)request->most))
		return false;
	if (request->post.len == 0)
		return SET(CURLOPT_HTTPGET, 1L);
	return SET(CURLOPT_POST, 1L) && SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->post.len)
	    && SET(CURLOPT_POSTFIELDS, request->post.at);
}

static enum fetch_outcome
failed(const struct fetch *fetch, const struct fetch_request *request, CURLcode code, struct err *err)
{
	const char *why = fetch->error[0] ? fetch->error : curl_easy_strerror(code);

	if (fetch->too_large || code == CURLE_FILESIZE_EXCEEDED)
		(void)err_set(err, ERR_CONFIG, "'%s': more than the %zu bytes that are taken", request->url, request->most);
	else if (fetch->header_too_large)
		(void)err_set(err, ERR_CONFIG, "'%s': a header of more than %d bytes", request->url, HEADER_BYTES);
	else if (fetch->denied[0] && code == CURLE_COULDNT_CONNECT)
		(void)err_set(err, ERR_CONFIG, "'%s': its address %s is not of the public Internet; if it is meant, list it in "
		    "trust.allow_private", request->url, fetch->denied);
	else if (code == CURLE_OPERATION_TIMEDOUT)
		(void)err_set(err, ERR_TEMP, "'%s': too slow (%s); trust.timeout is %ld s, trust.total %ld s", request->url, why,
		    fetch->config->trust.timeout / 1000, fetch->config->trust.total / 1000);
	else
		(void)err_set(err, ERR_TEMP, "'%s': %s", request->url, why);
	return FETCH_FAILED;
}

static CURLcode
ask(struct fetch *fetch, const struct fetch_request *request, const char *url, long left, struct buf *ret)
{
	AUTO(xfree) char *type = request->post.len ? xasprintf("Content-Type: %s", request->content_type) : NULL;
	AUTO(curl_slist_free_all) struct curl_slist *headers = type ? curl_slist_append(NULL, type) : NULL;

	buf_done(ret);
	buf_init(ret, request->most);
	fetch->body = ret;
	fetch->n_header = 0;
	fetch->too_large = fetch->header_too_large = false;
	fetch->denied[0] = fetch->error[0] = '\0';
	if ((type && !headers) || !set_request(fetch, request, url, left, headers))
		return CURLE_OUT_OF_MEMORY;
	return curl_easy_perform(fetch->curl);
}

/* Where the answer sends us; NULL = it does not. Owned. */
static char *
redirect_of(struct fetch *fetch)
{
	const char *target = NULL;

	if (curl_easy_getinfo(fetch->curl, CURLINFO_REDIRECT_URL, &target) != CURLE_OK || !target)
		return NULL;
	return xstrdup(target);
}

static enum fetch_outcome
judge_status(struct fetch *fetch, const struct fetch_request *request, struct err *err)
{
	long status = 0;

	if (curl_easy_getinfo(fetch->curl, CURLINFO_RESPONSE_CODE, &status) == CURLE_OK && status == 200)
		return FETCH_DONE;
	(void)err_set(err, ERR_TEMP, "'%s': the server answers with HTTP status %ld, wanted 200", request->url, status);
	return FETCH_REFUSED;
}

enum fetch_outcome
fetch_get(struct fetch *fetch, const struct fetch_request *request, struct buf *ret, struct err *err)
{
	AUTO(xfree) char *url = xstrdup(request->url);
	const long end = monotonic_ms() + fetch->config->trust.total;

	buf_init(ret, request->most);
	if (fetch_check_url(url, err) == -1)
		return FETCH_FAILED;
	for (int hops = 0;; hops++) {
		const long left = end - monotonic_ms();
		const CURLcode code = left > 0 ? ask(fetch, request, url, left, ret) : CURLE_OPERATION_TIMEDOUT;
		AUTO(xfree) char *next = NULL;

		if (code != CURLE_OK)
			return failed(fetch, request, code, err);
		next = redirect_of(fetch);
		if (!next)
			return judge_status(fetch, request, err);
		if (hops == MOST_REDIRECTS || !may_follow(url, next)) {
			(void)err_set(err, ERR_CONFIG, "'%s': sends on to '%.200s'; only the same host is followed, %d times; name the "
			    "right URL with the authority", request->url, next, MOST_REDIRECTS);
			return FETCH_FAILED;
		}
		free(url);
		url = TAKE(next);
	}
}

int
fetch_open(const struct config *config, struct fetch **ret, struct err *err)
{
	AUTO(fetch_close) struct fetch *fetch = xcalloc(1, sizeof(*fetch));

	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return err_set(err, ERR_TEMP, "libcurl does not start");
	fetch->config = config;
	fetch->curl = curl_easy_init();
	if (!fetch->curl || !set_always(fetch))
		return err_set(err, ERR_CONFIG, "this libcurl (%s) cannot be set up as it must be; wanted 7.85 or newer with OpenSSL",
		    curl_version());
	*ret = TAKE(fetch);
	return 0;
}

void
fetch_close(struct fetch *fetch)
{
	if (!fetch)
		return;
	curl_easy_cleanup(fetch->curl);
	curl_global_cleanup();
	free(fetch);
}
