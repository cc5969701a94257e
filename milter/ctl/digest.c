#include "milter/ctl/digest.h"

#include <stdlib.h>
#include <string.h>

#include "milter/ctl/ctl.h"
#include "milter/ctl/quarantine.h"

enum { ADDRESS_COLUMNS = 60, SHORT_ID = 12 };

/* All that is said, in either language. ASCII. */
static const struct words {
	const char *subject, *waiting, *oldest, *soon, *second, *asked, *by_finding, *listed, *more, *how, *record;
} all_words[] = {
	[LANGUAGE_ID] = {
		.subject = "Karantina surat: %lld menunggu keputusan",
		.waiting = "Ditahan dan menunggu keputusan: %lld.",
		.oldest = "Yang paling lama menunggu sejak %s.",
		.soon = "Dihapus dalam 3 hari (ditandai *): %zu.",
		.second = "Menunggu persetujuan orang kedua: %zu.",
		.asked = "Diminta oleh pemiliknya: %zu.",
		.by_finding = "Menurut temuan yang menentukan:",
		.listed = "Daftar, yang paling cepat dihapus lebih dahulu (waktu UTC; perihal tidak disebut di sini):",
		.more = "... dan %lld lagi.",
		.how = "Untuk melihatnya, dengan login Anda sendiri di server surat:",
		.record = "Siapa pun yang membuka isi surat tercatat, beserta alasannya.",
	},
	[LANGUAGE_EN] = {
		.subject = "Mail quarantine: %lld waiting for a decision",
		.waiting = "Held and waiting for a decision: %lld.",
		.oldest = "The oldest has waited since %s.",
		.soon = "Deleted within 3 days (marked *): %zu.",
		.second = "Waiting for a second person: %zu.",
		.asked = "Asked for by their owners: %zu.",
		.by_finding = "By the finding that decided:",
		.listed = "The list, those deleted first at its top (times are UTC; no Subjects here):",
		.more = "... and %lld more.",
		.how = "To look at them, under your own login on the mail server:",
		.record = "Whoever opens a message is on record, with the reason.",
	},
};

static const struct words *
words_of(const struct digest *digest)
{
	return &all_words[(unsigned)digest->language < N_ELEMENTS(all_words) ? digest->language : LANGUAGE_ID];
}

/* The formats are those of the table above. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
static void
say_total(struct buf *ret, const char *fmt, int64_t n)
{
	buf_printf(ret, fmt, (long long)n);
	buf_add_text(ret, "\n");
}

static void
say_some(struct buf *ret, const char *fmt, size_t n)
{
	if (n == 0)
		return;
	buf_printf(ret, fmt, n);
	buf_add_text(ret, "\n");
}

static void
say_time(struct buf *ret, const char *fmt, int64_t when)
{
	char text[CTL_TIME_BYTES];

	ctl_time_text(when, text);
	buf_printf(ret, fmt, text);
	buf_add_text(ret, "\n");
}
#pragma GCC diagnostic pop

/* --- counting --- */

static bool
is_soon(const struct digest *digest, const json_t *row)
{
	const int64_t expires = review_number(row, "expires");

	return expires && expires < digest->now + DIGEST_SOON;
}

struct counts {
	size_t soon, second, asked, reasons[N_REASONS];
	int64_t oldest;
};

static void
count(const struct digest *digest, struct counts *ret)
{
	*ret = (struct counts){ 0 };
	for (size_t i = 0; i < json_array_size(digest->rows); i++) {
		const json_t *row = json_array_get(digest->rows, i);
		const int64_t arrived = review_number(row, "arrived");

		ret->soon += is_soon(digest, row);
		ret->second += strcmp(review_text(row, "state"), item_state_name(ITEM_WAITING)) == 0;
		ret->asked += json_is_true(json_object_get(row, "asked_for"));
		ret->reasons[reason_from(review_text(row, "reason"))]++;
		if (ret->oldest == 0 || arrived < ret->oldest)
			ret->oldest = arrived;
	}
}

static void
write_counts(const struct digest *digest, struct buf *ret)
{
	const struct words *words = words_of(digest);
	struct counts counts;

	count(digest, &counts);
	say_total(ret, words->waiting, digest->total);
	say_time(ret, words->oldest, counts.oldest);
	say_some(ret, words->soon, counts.soon);
	say_some(ret, words->second, counts.second);
	say_some(ret, words->asked, counts.asked);
	buf_printf(ret, "\n%s\n\n", words->by_finding);
	for (size_t i = 0; i < N_REASONS; i++)
		if (counts.reasons[i])
			buf_printf(ret, "%6zu  %-20s %s\n", counts.reasons[i], reason_word((enum reason)i), reason_text((enum reason)i, digest->language));
}

/* --- the list --- */

/* Never (0) is last. */
static int
compare(const void *a, const void *b)
{
	const uint64_t left = (uint64_t)review_number(*(json_t *const *)a, "expires") - 1;
	const uint64_t right = (uint64_t)review_number(*(json_t *const *)b, "expires") - 1;

	return left < right ? -1 : left > right;
}

/* Escaped, ASCII, cut: an address is as long and as strange as its writer likes. */
static void
add_outside(struct buf *ret, const char *text)
{
	AUTO_BUF struct buf shown = { 0 };

	buf_init(&shown, 4 * strlen(text) + 1);
	for (; *text; text++) {
		if ((unsigned char)*text < 0x20 || (unsigned char)*text > 0x7e)
			buf_printf(&shown, "\\x%02X", (unsigned char)*text);
		else
			buf_add(&shown, text, 1);
	}
	if (shown.len == 0)
		buf_add_text(ret, "?");
	else if (shown.len > ADDRESS_COLUMNS)
		buf_printf(ret, "%.*s...", (int)ADDRESS_COLUMNS, buf_text(&shown));
	else
		buf_add_text(ret, buf_text(&shown));
}

static void
write_row(const struct digest *digest, const json_t *row, struct buf *ret)
{
	const int64_t recipients = review_number(row, "n_recipients");
	char when[CTL_TIME_BYTES];

	ctl_time_text(review_number(row, "arrived"), when);
	buf_printf(ret, "%s %.*s %s %s\n    ", is_soon(digest, row) ? "*" : " ", (int)SHORT_ID, review_text(row, "id"), when,
	    reason_word(reason_from(review_text(row, "reason"))));
	add_outside(ret, *review_text(row, "from") ? review_text(row, "from") : review_text(row, "sender"));
	buf_add_text(ret, " -> ");
	add_outside(ret, review_text(row, "recipient"));
	if (recipients > 1)
		buf_printf(ret, " +%lld", (long long)recipients - 1);
	buf_add_text(ret, "\n");
}

static void
write_list(const struct digest *digest, struct buf *ret)
{
	const struct words *words = words_of(digest);
	const size_t n = json_array_size(digest->rows), shown = n < DIGEST_LINES ? n : DIGEST_LINES;
	AUTO(xfree) json_t **rows = xcalloc(n ? n : 1, sizeof(*rows));

	for (size_t i = 0; i < n; i++)
		rows[i] = json_array_get(digest->rows, i);
	qsort(rows, n, sizeof(json_t *), compare);
	buf_printf(ret, "\n%s\n\n", words->listed);
	for (size_t i = 0; i < shown; i++)
		write_row(digest, rows[i], ret);
	if (digest->total > (int64_t)shown)
		say_total(ret, words->more, digest->total - (int64_t)shown);
	buf_printf(ret, "\n%s\n\n    segelctl quarantine list\n", words->how);
	if (n)
		buf_printf(ret, "    segelctl quarantine show %.*s\n", (int)SHORT_ID, review_text(rows[0], "id"));
	buf_printf(ret, "\n%s\n", words->record);
}

/* --- the head --- */

static void
write_head(const struct digest *digest, struct buf *ret)
{
	const char *domain = strrchr(digest->from, '@');
	char date[64] = "";
	struct tm tm;

	buf_printf(ret, "From: <%s>\nTo: ", digest->from);
	for (size_t i = 0; i < digest->to->n; i++)
		buf_printf(ret, "%s<%s>", i ? ",\n " : "", digest->to->at[i]);
	buf_add_text(ret, "\nSubject: ");
	say_total(ret, words_of(digest)->subject, digest->total);
	if (gmtime_r(&digest->now, &tm) && strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S +0000", &tm))
		buf_printf(ret, "Date: %s\n", date);
	buf_printf(ret, "Message-ID: <segel.%s%s>\n", digest->id, domain ? domain : "@localhost");
	buf_add_text(ret, "Auto-Submitted: auto-generated\nMIME-Version: 1.0\nContent-Type: text/plain; charset=us-ascii\n"
	    "Content-Transfer-Encoding: 7bit\n\n");
}

void
digest_write(const struct digest *digest, struct buf *ret)
{
	write_head(digest, ret);
	write_counts(digest, ret);
	write_list(digest, ret);
}
