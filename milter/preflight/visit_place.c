/* Which listeners to ask, and what the configuration promises of them. */
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "milter/preflight/judge.h"
#include "milter/preflight/visit.h"
#include "policy/network.h"

enum { HOST_BYTES = 255, PORT_BYTES = 32 };

static const struct {
	const char *level;
	bool encrypt;
} levels[] = { { "encrypt", true }, { "may", false }, { "none", false } };

static bool
is_encrypted(const struct service *service)
{
	const char *level = service_text(service, "smtpd_tls_security_level");

	for (size_t i = 0; i < N_ELEMENTS(levels); i++)
		if (strcmp(levels[i].level, level) == 0)
			return levels[i].encrypt;
	return text_is_yes(service_text(service, "smtpd_enforce_tls"));
}

static bool
forbids_bare(const struct service *service)
{
	const char *value = service_text(service, "smtpd_forbid_bare_newline");

	return text_is_yes(value) || strcmp(value, "normalize") == 0 || strcmp(value, "reject") == 0;
}

static bool
is_loopback(const char *host)
{
	return strncmp(host, "127.", 4) == 0 || strcmp(host, "::1") == 0 || strcmp(host, "localhost") == 0;
}

/* "[::1]/128" */
static bool
word_has(const char *word, const char *client, bool *known)
{
	struct network network;
	char text[PORT_BYTES + HOST_BYTES];
	size_t n = 0;

	for (; *word && n < sizeof(text) - 1; word++)
		if (*word != '[' && *word != ']')
			text[n++] = *word;
	text[n] = '\0';
	*known = network_from(text, &network);
	return *known && network_has(&network, client);
}

/*
 * Is the client that we are there in a list of networks? On loopback it has the address that it asks. Elsewhere,
 * and where the list names tables or hosts, it may be.
 */
static bool
may_have_us(const char *list, const char *host)
{
	AUTO_WORDS struct words words = { 0 };
	bool known = true, all_known = true;

	words_split(&words, list);
	if (words.n > 0 && (!is_loopback(host) || strcmp(host, "localhost") == 0))
		return true;
	for (size_t i = 0; i < words.n; i++) {
		if (word_has(words.at[i], host, &known))
			return true;
		all_known = all_known && known;
	}
	return !all_known;
}

static bool
lets_us_send(const struct service *service, const char *host)
{
	const unsigned admits = relay_admits(service);

	return (admits & ADMIT_TABLE) || ((admits & ADMIT_NETWORK) && may_have_us(service_text(service, "mynetworks"), host));
}

/* Takes from this machine what was judged before. */
static bool
takes_judged(const struct postfix *mta, const struct service *service)
{
	const enum listener listener = listener_of(mta, service);

	return !service_has_ours(service) && (listener == LISTENER_REINJECTION || (listener == LISTENER_RELEASE && service->loopback));
}

static struct visit_promise
promise_of(const struct postfix *mta, const struct service *service, const char *host)
{
	return (struct visit_promise){
		.known = true,
		.key = service->key,
		.folder = strcmp(mta->folder, POSTFIX_FOLDER) == 0 ? NULL : mta->folder,
		.encrypt = is_encrypted(service),
		.login = text_is_yes(service_text(service, "smtpd_sasl_auth_enable")),
		.inbound = service_milter(service, ROLE_INBOUND) != NULL,
		.reinjection = takes_judged(mta, service),
		.network = lets_us_send(service, host),
		.bare_forbidden = forbids_bare(service),
		.excludes_us = may_have_us(service_text(service, "smtpd_forbid_bare_newline_exclusions"), host),
		.excluded = service_text(service, "smtpd_forbid_bare_newline_exclusions"),
	};
}

static bool
is_all(const char *name)
{
	static const char *const all[] = { "", "all", "0.0.0.0", "::", "[::]", "localhost", "loopback-only" };

	for (size_t i = 0; i < N_ELEMENTS(all); i++)
		if (strcmp(name, all[i]) == 0)
			return true;
	return false;
}

static char *
without_brackets(const char *host)
{
	const size_t len = strlen(host);

	return len > 1 && host[0] == '[' && host[len - 1] == ']' ? xstrndup(host + 1, len - 2) : xstrdup(host);
}

/* Where a client on this machine reaches it. */
static char *
reachable(const struct postfix *mta, const char *host)
{
	const bool six = strcmp(values_text(&mta->main, "inet_protocols"), "ipv6") == 0;
	AUTO_WORDS struct words interfaces = { 0 };

	if (!*host) {
		words_split(&interfaces, values_text(&mta->main, "inet_interfaces"));
		if (interfaces.n > 0 && !is_all(interfaces.at[0]))
			return without_brackets(interfaces.at[0]);
	}
	return is_all(host) ? xstrdup(six ? "::1" : "127.0.0.1") : without_brackets(host);
}

/* "smtp" and "25" are the same. 0: no such port. */
static int
port_number(const char *port)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_family = AF_INET, .ai_flags = AI_PASSIVE };
	char number[PORT_BYTES];
	struct addrinfo *list = NULL;
	int code;

	if (getaddrinfo(NULL, port, &hints, &list) != 0)
		return 0;
	code = getnameinfo(list->ai_addr, list->ai_addrlen, NULL, 0, number, sizeof(number), NI_NUMERICSERV);
	freeaddrinfo(list);
	return code == 0 ? (int)strtol(number, NULL, 10) : 0;
}

static void
add(struct visit_places *places, char *host, char *port, bool wrapper, const struct visit_promise *promise)
{
	places->at = xrealloc(places->at, (places->n + 1) * sizeof(*places->at));
	places->at[places->n++] = (struct visit_place){
		.host = host, .port = port, .wrapper = wrapper, .loopback = is_loopback(host), .promise = *promise,
	};
}

void
visit_places_of(const struct postfix *mta, struct visit_places *ret)
{
	for (size_t i = 0; i < mta->n_services; i++) {
		const struct service *service = &mta->services[i];
		AUTO(xfree) char *host = NULL;
		AUTO(xfree) char *port = NULL;
		AUTO(xfree) char *reached = NULL;
		struct visit_promise promise;

		if (service->program != PROGRAM_SMTPD && service->program != PROGRAM_POSTSCREEN)
			continue;
		if (!service_address(service, &host, &port))
			continue;
		reached = reachable(mta, host);
		promise = promise_of(mta, service, reached);
		add(ret, TAKE(reached), TAKE(port), text_is_yes(service_text(service, "smtpd_tls_wrappermode")), &promise);
	}
}

/* What its rule sets and maps allow is not known; relaying for this machine itself is usual. */
void
visit_places_of_sendmail(const struct sendmail *mta, struct visit_places *ret)
{
	for (size_t i = 0; i < mta->n_daemons; i++) {
		const struct cf_daemon *daemon = &mta->daemons[i];
		const char *address = values_text(&daemon->keys, "Addr");
		const struct visit_promise promise = {
			.known = true, .key = daemon->name, .login = cf_daemon_is_submission(daemon), .network = true, .sendmail = true,
		};

		add(ret, is_all(address) ? xstrdup("127.0.0.1") : without_brackets(address), xasprintf("%u", cf_daemon_port(daemon)),
		    cf_daemon_has(daemon, 's'), &promise);
	}
}

/* The service on this port; of several, the one on this host. */
static const struct service *
service_at(const struct postfix *mta, const char *host, int number)
{
	const struct service *found = NULL;

	for (size_t i = 0; mta && i < mta->n_services; i++) {
		const struct service *service = &mta->services[i];
		AUTO(xfree) char *its_host = NULL;
		AUTO(xfree) char *its_port = NULL;
		AUTO(xfree) char *reached = NULL;

		if (service->program != PROGRAM_SMTPD && service->program != PROGRAM_POSTSCREEN)
			continue;
		if (!service_address(service, &its_host, &its_port) || port_number(its_port) != number)
			continue;
		reached = reachable(mta, its_host);
		if (!found || strcmp(reached, host) == 0)
			found = service;
	}
	return found;
}

int
visit_places_add(const char *text, const struct postfix *mta, struct visit_places *ret, struct err *err)
{
	const char *colon = strrchr(text, ':');
	AUTO(xfree) char *whole = NULL;
	AUTO(xfree) char *host = NULL;
	const struct service *service;
	struct visit_promise promise = { 0 };
	int number;

	if (!colon || colon == text || strlen(text) > HOST_BYTES + PORT_BYTES)
		return err_set(err, ERR_CONFIG, "'%s' is no listener; wanted HOST:PORT or [ADDRESS]:PORT", text);
	whole = xstrndup(text, (size_t)(colon - text));
	host = without_brackets(whole);
	if (strchr(host, ':') && host[0] == whole[0])
		return err_set(err, ERR_CONFIG, "'%s' is no listener; wanted brackets round the address: [ADDRESS]:PORT", text);
	number = port_number(colon + 1);
	if (number <= 0)
		return err_set(err, ERR_CONFIG, "'%s': '%s' is no port; wanted a number or a name of /etc/services", text, colon + 1);
	service = service_at(mta, host, number);
	if (service)
		promise = promise_of(mta, service, host);
	add(ret, TAKE(host), xstrdup(colon + 1), service ? text_is_yes(service_text(service, "smtpd_tls_wrappermode")) : number == 465, &promise);
	return 0;
}

void
visit_places_done(struct visit_places *places)
{
	for (size_t i = 0; i < places->n; i++) {
		xfree(places->at[i].host);
		xfree(places->at[i].port);
	}
	xfree(places->at);
	*places = (struct visit_places){ 0 };
}
