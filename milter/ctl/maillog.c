#include "milter/ctl/maillog.h"

#include <string.h>

/* --- taking a line apart from its beginning --- */

#define DIGITS "0123456789"
#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

/* A set of bytes to compare with, as fast as strspn on short ones and safe for NULs. */
static size_t
span(struct slice slice, const char *set)
{
	size_t n = 0;

	while (n < slice.len && slice.at[n] && strchr(set, slice.at[n]))
		n++;
	return n;
}

static struct slice
take(struct slice *rest, size_t n)
{
	struct slice taken = { rest->at, n };

	rest->at += n;
	rest->len -= n;
	return taken;
}

static bool
starts(struct slice slice, const char *text)
{
	const size_t len = strlen(text);

	return slice.len >= len && memcmp(slice.at, text, len) == 0;
}

static bool
take_text(struct slice *rest, const char *text)
{
	if (!starts(*rest, text))
		return false;
	(void)take(rest, strlen(text));
	return true;
}

/* At least one byte of the set. */
static bool
take_span(struct slice *rest, const char *set, struct slice *ret)
{
	*ret = take(rest, span(*rest, set));
	return ret->len > 0;
}

/* What comes before `mark`, which must be there and is taken, too. */
static bool
take_before(struct slice *rest, char mark, struct slice *ret)
{
	const unsigned char *at = rest->len ? memchr(rest->at, mark, rest->len) : NULL;

	if (!at)
		return false;
	*ret = take(rest, (size_t)(at - rest->at));
	(void)take(rest, 1);
	return true;
}

static bool
is_word(struct slice slice, const char *word)
{
	return slice.len == strlen(word) && memcmp(slice.at, word, slice.len) == 0;
}

/* --- stamp, host, tag, process --- */

static bool
take_classic(struct slice *rest)
{
	const unsigned char *c = rest->at;

	if (rest->len < 16 || c[3] != ' ' || c[6] != ' ' || c[9] != ':' || c[12] != ':' || !memchr(LETTERS, c[0], 52))
		return false;
	(void)take(rest, 15);
	if (take_text(rest, "."))
		(void)take(rest, span(*rest, DIGITS));
	return true;
}

static bool
take_rfc3339(struct slice *rest)
{
	const unsigned char *c = rest->at;

	if (rest->len < 20 || c[4] != '-' || c[7] != '-' || c[10] != 'T' || c[13] != ':' || c[16] != ':')
		return false;
	(void)take(rest, 19);
	(void)take(rest, span(*rest, DIGITS ".:+-Z"));
	return true;
}

static bool
take_stamp(struct slice *rest, struct slice *ret)
{
	*ret = *rest;
	if (!take_classic(rest) && !take_rfc3339(rest))
		return false;
	ret->len = (size_t)(rest->at - ret->at);
	return take_text(rest, " ");
}

static bool
take_pid(struct slice *rest, uint32_t *ret)
{
	struct slice digits;
	uint32_t pid = 0;

	if (!take_text(rest, "[") || !take_span(rest, DIGITS, &digits) || digits.len > 9 || !take_text(rest, "]"))
		return false;
	for (size_t i = 0; i < digits.len; i++)
		pid = 10 * pid + (uint32_t)(digits.at[i] - '0');
	*ret = pid;
	return true;
}

/* The program is what follows the last slash; before it stands any syslog_name. */
static enum maillog_program
program_of(struct slice tag)
{
	static const struct {
		const char *name;
		enum maillog_program program;
	} programs[] = {
		{ "smtp", MAILLOG_SMTP }, { "smtpd", MAILLOG_SMTPD }, { "error", MAILLOG_ERROR },
	};
	const unsigned char *slash = memrchr(tag.at, '/', tag.len);
	struct slice name;

	if (!slash)
		return MAILLOG_NOBODY;
	name = (struct slice){ slash + 1, tag.len - (size_t)(slash + 1 - tag.at) };
	for (size_t i = 0; i < N_ELEMENTS(programs); i++) {
		if (is_word(name, programs[i].name))
			return programs[i].program;
	}
	return MAILLOG_NOBODY;
}

static bool
take_head(struct slice *rest, struct maillog_line *ret)
{
	size_t n = 0;

	if (!take_stamp(rest, &ret->stamp) || !take_before(rest, ' ', &ret->host) || ret->host.len == 0)
		return false;
	while (n < rest->len && rest->at[n] > ' ' && rest->at[n] != '[' && rest->at[n] != ':')
		n++;
	ret->tag = take(rest, n);
	if (n == 0)
		return false;
	ret->program = take_pid(rest, &ret->pid) ? program_of(ret->tag) : MAILLOG_NOBODY;
	return take_text(rest, ":") && (rest->len == 0 || take_text(rest, " "));
}

/* --- pieces of what Postfix says --- */

/* No small vowels: "warning: " and its like are no queue ids. */
static bool
take_queue_id(struct slice *rest, struct slice *ret)
{
	return take_span(rest, DIGITS "ABCDEFGHIJKLMNOPQRSTUVWXYZbcdfghjklmnpqrstvwxyz", ret) && ret->len >= 5 && ret->len <= 32 && take_text(rest, ": ");
}

static bool
is_loopback(struct slice ip)
{
	return starts(ip, "127.") || is_word(ip, "::1") || starts(ip, "::ffff:127.");
}

/* "HOST[IP]", with ":PORT" behind it where it was logged. */
static bool
take_peer(struct slice *rest, struct maillog_line *ret)
{
	struct slice host, ip, port;

	ret->peer = *rest;
	if (!take_span(rest, LETTERS DIGITS "._-", &host) || !take_text(rest, "["))
		return false;
	if (!take_span(rest, LETTERS DIGITS ".:%", &ip) || !take_text(rest, "]"))
		return false;
	if (starts(*rest, ":") && rest->len > 1 && rest->at[1] != ' ' && (!take_text(rest, ":") || !take_span(rest, DIGITS, &port)))
		return false;
	ret->peer.len = (size_t)(rest->at - ret->peer.at);
	ret->loopback = is_loopback(ip);
	return true;
}

/* A value that Postfix itself writes: without blanks, ends at a comma. */
static bool
take_value(struct slice *rest, struct slice *ret)
{
	size_t n = 0;

	while (n < rest->len && rest->at[n] > ' ' && rest->at[n] != ',')
		n++;
	*ret = take(rest, n);
	return n > 0;
}

/* --- TLS --- */

static const char *const level_names[N_LOGGED_LEVELS] = {
	[TLS_ANONYMOUS] = "Anonymous", [TLS_UNTRUSTED] = "Untrusted", [TLS_TRUSTED] = "Trusted", [TLS_VERIFIED] = "Verified",
};

static const char *const version_names[N_LOGGED_VERSIONS] = {
	[TLS_SSLV3] = "SSLv3",    [TLS_V1] = "TLSv1",     [TLS_V1_1] = "TLSv1.1",
	[TLS_V1_2] = "TLSv1.2", [TLS_V1_3] = "TLSv1.3",
};

const char *
logged_level_name(enum logged_level level)
{
	return level_names[level] ? level_names[level] : "unknown";
}

const char *
logged_version_name(enum logged_version version)
{
	return version_names[version] ? version_names[version] : "other";
}

static enum logged_level
take_level(struct slice *rest)
{
	for (size_t i = 1; i < N_LOGGED_LEVELS; i++) {
		struct slice at = *rest;

		if (take_text(&at, level_names[i]) && take_text(&at, " TLS connection ")) {
			*rest = at;
			return (enum logged_level)i;
		}
	}
	return LOGGED_LEVEL_UNKNOWN;
}

static enum logged_version
version_of(struct slice word)
{
	for (size_t i = 1; i < N_LOGGED_VERSIONS; i++) {
		if (is_word(word, version_names[i]))
			return (enum logged_version)i;
	}
	return LOGGED_VERSION_OTHER;
}

/* A server's line also has the name that the client asked for, which is the client's choice. */
static bool
take_sni(struct slice *rest, enum maillog_program program)
{
	struct slice name;

	if (program != MAILLOG_SMTPD || !take_text(rest, " to "))
		return true;
	return take_span(rest, LETTERS DIGITS "._-", &name);
}

/* Behind "LEVEL TLS connection ". */
static bool
read_tls(struct slice rest, struct maillog_line *ret)
{
	const char *direction = ret->program == MAILLOG_SMTP ? "to " : "from ";
	struct slice version, bits;

	if (!take_text(&rest, "established ") && !take_text(&rest, "reused "))
		return false;
	if (!take_text(&rest, direction) || !take_peer(&rest, ret) || !take_sni(&rest, ret->program) || !take_text(&rest, ": "))
		return false;
	if (!take_span(&rest, LETTERS DIGITS ".", &version) || !take_text(&rest, " with cipher "))
		return false;
	if (!take_span(&rest, LETTERS DIGITS "_-", &ret->cipher) || !take_text(&rest, " (") || !take_span(&rest, DIGITS, &bits))
		return false;
	ret->version = version_of(version);
	return take_text(&rest, "/");
}

/* --- deliveries --- */

/* A quoted local part, with its quotes. */
static bool
take_quoted(struct slice *rest)
{
	size_t n = 1;

	while (n < rest->len && rest->at[n] != '"')
		n += rest->at[n] == '\\' ? 2 : 1;
	if (n >= rest->len)
		return false;
	(void)take(rest, n + 1);
	return true;
}

/* Bytes that stand in an address without quotes; those of a domain literal are taken with the domain. */
static bool
is_plain(unsigned char c)
{
	return c > ' ' && c != 0x7f && !strchr("<>()[],;:\\\"", c);
}

static void
take_plain(struct slice *rest)
{
	size_t n = 0;

	while (n < rest->len && is_plain(rest->at[n]) && rest->at[n] != '@')
		n++;
	(void)take(rest, n);
}

static void
take_domain(struct slice *rest, struct slice *ret)
{
	size_t n = 0;

	while (n < rest->len && (is_plain(rest->at[n]) || strchr("[]:", rest->at[n])) && rest->at[n] != '@' && rest->at[n])
		n++;
	*ret = take(rest, n);
}

/* Behind "<": up to and with ">". */
static bool
take_address(struct slice *rest, struct slice *domain)
{
	*domain = (struct slice){ rest->at, 0 };
	if (rest->len && rest->at[0] == '"') {
		if (!take_quoted(rest))
			return false;
	} else {
		take_plain(rest);
	}
	if (take_text(rest, "@")) {
		take_domain(rest, domain);
		if (domain->len == 0 || domain->len > MAILLOG_MAX_DOMAIN)
			return false;
	}
	return take_text(rest, ">");
}

/* What the smtp client writes itself, at the beginning of a reason, where TLS is not what was demanded of it. */
static const char *const tls_reasons[] = {
	"TLS is required, but ",
	"Cannot start TLS: ",
	"Server certificate not ",
	"TLSA lookup error for ",
	"TLSA records unusable",
	"no TLSA records found",
	"non DNSSEC destination",
	"empty DANE match list",
	"client TLS configuration problem", /* also where the policy table cannot be asked */
};

/* A reason that begins with "host " goes on with another server's words: those prove nothing. */
static bool
is_for_tls(struct slice reason, struct slice dsn)
{
	static const char *const codes[] = { "4.7.4", "4.7.5", "5.7.4", "5.7.5" };

	(void)take_text(&reason, "delivery temporarily suspended: ");
	if (starts(reason, "host "))
		return false;
	for (size_t i = 0; i < N_ELEMENTS(tls_reasons); i++) {
		if (starts(reason, tls_reasons[i]))
			return true;
	}
	for (size_t i = 0; i < N_ELEMENTS(codes); i++) {
		if (is_word(dsn, codes[i]))
			return true;
	}
	return false;
}

static enum maillog_status
status_of(struct slice word)
{
	if (is_word(word, "sent"))
		return MAILLOG_SENT;
	if (is_word(word, "deferred"))
		return MAILLOG_DEFERRED;
	return is_word(word, "bounced") ? MAILLOG_BOUNCED : MAILLOG_STATUS_OTHER;
}

/* "none", "HOST[IP]:PORT", or the name of a socket. */
static bool
take_relay(struct slice *rest, struct maillog_line *ret)
{
	struct slice at = *rest;

	if (take_peer(&at, ret) && starts(at, ",")) {
		*rest = at;
		return true;
	}
	ret->loopback = false;
	return take_value(rest, &ret->peer);
}

/* A number of seconds with a fraction, rounded up. */
static bool
take_seconds(struct slice *rest, time_t *ret)
{
	struct slice whole, fraction = { 0 };

	if (!take_span(rest, DIGITS, &whole) || whole.len > 9)
		return false;
	if (take_text(rest, ".") && !take_span(rest, DIGITS, &fraction))
		return false;
	*ret = fraction.len ? 1 : 0;
	for (size_t i = 0, scale = 1; i < whole.len; i++, scale *= 10)
		*ret += (time_t)scale * (whole.at[whole.len - 1 - i] - '0');
	return true;
}

/* Postfix's "before queue manager/in queue manager/connection/transmission". */
static bool
read_delays(struct slice value, time_t *ret)
{
	time_t parts[4];

	for (size_t i = 0; i < N_ELEMENTS(parts); i++) {
		if ((i && !take_text(&value, "/")) || !take_seconds(&value, &parts[i]))
			return false;
	}
	*ret = parts[2] + parts[3];
	return value.len == 0;
}

/* "WORD (REASON)"; a line that was cut short lacks the end. */
static bool
take_status(struct slice *rest, struct maillog_line *ret)
{
	struct slice word;

	if (!take_span(rest, LETTERS, &word))
		return false;
	ret->status = status_of(word);
	ret->reason = (struct slice){ rest->at, 0 };
	if (!take_text(rest, " ("))
		return rest->len == 0;
	ret->reason = *rest;
	if (ret->reason.len && ret->reason.at[ret->reason.len - 1] == ')')
		ret->reason.len--;
	return true;
}

/* Behind "to=<ADDRESS>": ", key=value" until the status, which is last. */
static bool
take_fields(struct slice *rest, struct maillog_line *ret, struct slice *dsn)
{
	struct slice key, value, domain;
	bool relay = false, delays = false;

	if (take_text(rest, ", orig_to=<") && !take_address(rest, &domain))
		return false;
	while (take_text(rest, ", ")) {
		if (!take_span(rest, LETTERS "_", &key) || !take_text(rest, "="))
			return false;
		if (is_word(key, "status"))
			return relay && delays && take_status(rest, ret);
		if (is_word(key, "relay") ? relay || !take_relay(rest, ret) : !take_value(rest, &value))
			return false;
		relay |= is_word(key, "relay");
		if (is_word(key, "delays"))
			delays = read_delays(value, &ret->spent);
		else if (is_word(key, "dsn"))
			*dsn = value;
	}
	return false;
}

/* Behind "QUEUE_ID: to=<". */
static bool
read_delivery(struct slice rest, struct maillog_line *ret)
{
	struct slice dsn = { 0 };

	if (!take_address(&rest, &ret->domain) || !take_fields(&rest, ret, &dsn))
		return false;
	ret->for_tls = ret->status != MAILLOG_SENT && is_for_tls(ret->reason, dsn);
	return true;
}

/* --- what each program says --- */

/* What may be said about a message in the middle of a session without a doubt about the session. */
static bool
leaves_session(struct slice text)
{
	return starts(text, "host ") || starts(text, "enabling PIX workarounds");
}

static enum maillog_kind
read_client(struct slice rest, struct maillog_line *ret)
{
	ret->level = take_level(&rest);
	if (ret->level != LOGGED_LEVEL_UNKNOWN)
		return read_tls(rest, ret) ? MAILLOG_TLS : MAILLOG_UNREADABLE;
	if (starts(rest, "message repeated "))
		return MAILLOG_UNREADABLE;
	if (!take_queue_id(&rest, &ret->queue_id))
		return MAILLOG_OTHER;
	if (take_text(&rest, "to=<"))
		return read_delivery(rest, ret) ? MAILLOG_DELIVERY : MAILLOG_UNREADABLE;
	return leaves_session(rest) ? MAILLOG_OTHER : MAILLOG_TROUBLE;
}

static enum maillog_kind
read_server(struct slice rest, struct maillog_line *ret)
{
	ret->level = take_level(&rest);
	if (ret->level != LOGGED_LEVEL_UNKNOWN)
		return read_tls(rest, ret) ? MAILLOG_TLS : MAILLOG_UNREADABLE;
	if (starts(rest, "message repeated "))
		return MAILLOG_UNREADABLE;
	if (take_text(&rest, "connect from "))
		return take_peer(&rest, ret) && rest.len == 0 ? MAILLOG_CONNECT : MAILLOG_UNREADABLE;
	if (!take_queue_id(&rest, &ret->queue_id) || !take_text(&rest, "client="))
		return MAILLOG_OTHER;
	return take_peer(&rest, ret) && (rest.len == 0 || starts(rest, ", ")) ? MAILLOG_MESSAGE : MAILLOG_UNREADABLE;
}

static enum maillog_kind
read_error(struct slice rest, struct maillog_line *ret)
{
	if (!take_queue_id(&rest, &ret->queue_id) || !take_text(&rest, "to=<"))
		return MAILLOG_OTHER;
	return read_delivery(rest, ret) ? MAILLOG_DELIVERY : MAILLOG_UNREADABLE;
}

/* journald and rsyslog limit how much a program may log, and say so where they did. */
static enum maillog_kind
read_others(struct slice rest, const struct maillog_line *line)
{
	if (is_word(line->tag, "systemd-journald") && starts(rest, "Suppressed "))
		return MAILLOG_LOSS;
	if (is_word(line->tag, "rsyslogd")
	    && (memmem(rest.at, rest.len, "drop messages", 13) || memmem(rest.at, rest.len, "messages lost", 13)))
		return MAILLOG_LOSS;
	return MAILLOG_OTHER;
}

void
maillog_parse(struct slice line, struct maillog_line *ret)
{
	struct slice rest = line;

	*ret = (struct maillog_line){ 0 };
	if (!take_head(&rest, ret))
		return;
	switch (ret->program) {
	case MAILLOG_NOBODY:
		ret->kind = read_others(rest, ret);
		return;
	case MAILLOG_SMTP:
		ret->kind = read_client(rest, ret);
		return;
	case MAILLOG_SMTPD:
		ret->kind = read_server(rest, ret);
		return;
	case MAILLOG_ERROR:
		ret->kind = read_error(rest, ret);
		return;
	}
}

/* --- time --- */

/* Of the last years the latest in which that day was, and was not later than tomorrow: clocks differ. */
static bool
hour_of(const struct maillog_clock *clock, const char *text, time_t *ret)
{
	enum { DAY = 24 * 60 * 60, YEARS = 5 };
	struct tm now;

	if (!localtime_r(&clock->now, &now))
		return false;
	for (int year = now.tm_year; year > now.tm_year - YEARS; year--) {
		struct tm tm = { 0 };
		const char *end = strptime(text, "%b %d %H:", &tm);
		const int day = tm.tm_mday;

		if (!end || *end)
			return false;
		tm.tm_year = year;
		tm.tm_isdst = -1;
		*ret = mktime(&tm);
		if (*ret != (time_t)-1 && tm.tm_mday == day && *ret <= clock->now + DAY)
			return true;
	}
	return false;
}

/* Two digits, below `limit`. */
static bool
two_digits(const unsigned char *at, int limit, int *ret)
{
	if (at[0] < '0' || at[0] > '9' || at[1] < '0' || at[1] > '9')
		return false;
	*ret = 10 * (at[0] - '0') + at[1] - '0';
	return *ret < limit;
}

static bool
classic_time(struct maillog_clock *clock, struct slice stamp, time_t *ret)
{
	enum { HOUR_BYTES = 10 }; /* "Nov 21 04:" */
	int minute, second;

	if (!two_digits(stamp.at + 10, 60, &minute) || !two_digits(stamp.at + 13, 61, &second))
		return false;
	if (memcmp(clock->hour, stamp.at, HOUR_BYTES) != 0) {
		char text[HOUR_BYTES + 1] = { 0 };

		memcpy(text, stamp.at, HOUR_BYTES);
		if (!hour_of(clock, text, &clock->hour_at))
			return false;
		memcpy(clock->hour, text, sizeof(text));
	}
	*ret = clock->hour_at + 60 * minute + second;
	return true;
}

/* "Z", "+07:00" or "+0700", in seconds east. */
static bool
zone_of(struct slice zone, long *ret)
{
	int hours, minutes;

	*ret = 0;
	if (is_word(zone, "Z"))
		return true;
	if ((zone.len != 5 && zone.len != 6) || (zone.at[0] != '+' && zone.at[0] != '-') || (zone.len == 6 && zone.at[3] != ':'))
		return false;
	if (!two_digits(zone.at + 1, 24, &hours) || !two_digits(zone.at + zone.len - 2, 60, &minutes))
		return false;
	*ret = (zone.at[0] == '-' ? -60L : 60L) * (60L * hours + minutes);
	return true;
}

static bool
rfc3339_time(struct slice stamp, time_t *ret)
{
	int century, year, month, day, hour, minute, second;
	struct tm tm = { 0 };
	long east;

	if (!two_digits(stamp.at, 100, &century) || !two_digits(stamp.at + 2, 100, &year) || !two_digits(stamp.at + 5, 13, &month)
	    || !two_digits(stamp.at + 8, 32, &day) || !two_digits(stamp.at + 11, 24, &hour)
	    || !two_digits(stamp.at + 14, 60, &minute) || !two_digits(stamp.at + 17, 61, &second) || month == 0 || day == 0)
		return false;
	(void)take(&stamp, 19);
	if (take_text(&stamp, "."))
		(void)take(&stamp, span(stamp, DIGITS));
	if (!zone_of(stamp, &east))
		return false;
	tm = (struct tm){ .tm_year = 100 * century + year - 1900, .tm_mon = month - 1, .tm_mday = day,
		.tm_hour = hour, .tm_min = minute, .tm_sec = second };
	*ret = timegm(&tm) - east;
	return true;
}

bool
maillog_time(struct maillog_clock *clock, struct slice stamp, time_t *ret)
{
	if (stamp.len >= 19 && stamp.at[4] == '-')
		return rfc3339_time(stamp, ret);
	return stamp.len >= 15 && classic_time(clock, stamp, ret);
}
