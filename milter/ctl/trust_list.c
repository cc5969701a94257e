/* segelctl trust list. */
#include <string.h>

#include "milter/ctl/trust.h"

enum { BRIEF_HASH = 16, URLS_BYTES = 8 * 1024 };

static const char *const columns[] = { "id", "purpose", "subject", "not_after", "key", "bits", "crl", "ocsp", "added", "by" };

static void
join(const struct text_list *urls, struct buf *ret)
{
	buf_init(ret, URLS_BYTES);
	for (size_t i = 0; i < urls->n; i++)
		buf_printf(ret, "%s%s", i ? " " : "", urls->at[i]);
}

static struct ctl_cell
text_cell(const char *text)
{
	return (struct ctl_cell){ .kind = text && *text ? CELL_TEXT : CELL_NONE, .text = text };
}

static void
add_row(struct ctl_table *table, const struct authority *authority)
{
	AUTO_BUF struct buf crl = { 0 };
	AUTO_BUF struct buf ocsp = { 0 };

	join(&authority->crl, &crl);
	join(&authority->ocsp, &ocsp);
	const struct ctl_cell cells[N_ELEMENTS(columns)] = {
		{ .kind = CELL_TEXT, .text = authority->id, .brief = BRIEF_HASH },
		text_cell(authority_purpose_name(authority->purpose)),
		text_cell(authority->facts.subject),
		{ .kind = CELL_TIME, .number = authority->facts.not_after },
		text_cell(key_kind_name(authority->facts.key)),
		{ .kind = CELL_NUMBER, .number = authority->facts.key_bits },
		text_cell(buf_text(&crl)),
		text_cell(buf_text(&ocsp)),
		text_cell(authority->added),
		text_cell(authority->by),
	};
	ctl_table_row(table, cells);
}

enum ctl_exit
trust_list(struct ctl *ctl)
{
	AUTO(config_free) struct config *config = trust_config(ctl);
	AUTO(trust_store_close) struct trust_store *store = config ? trust_open(ctl, config) : NULL;
	AUTO(ctl_table_free) struct ctl_table *table = ctl_table_new(columns, N_ELEMENTS(columns));

	if (!store)
		return CTL_UNAVAILABLE;
	for (size_t i = 0; i < store->n; i++)
		add_row(table, &store->at[i]);
	ctl_table_print(ctl, table);
	return CTL_OK;
}
