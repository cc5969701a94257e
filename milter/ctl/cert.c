/* segelctl cert: certificates in the registry, and what a certificate says. */
#include <stdlib.h>
#include <string.h>

#include "milter/ctl/capability.h"
#include "milter/ctl/op.h"
#include "smime/cert.h"

/* A PEM file with text around a certificate of LIMIT_CERT_BYTES fits. */
enum { FILE_BYTES = 8 * LIMIT_CERT_BYTES };

static const char *const kinds[] = { "jabatan", "sistem", "individu", NULL };
static const char *const purposes[] = { "verify", "encrypt", "seal", "client", NULL };

static const struct ctl_option import_options[] = {
	{ "kind", "WORD", "jabatan, sistem or individu: whose it is", true, false },
	{ 0 },
};

static const struct ctl_option find_options[] = {
	{ "purpose", "WORD", "verify, encrypt, seal (usual) or client", false, false },
	{ 0 },
};

static const struct ctl_option hold_options[] = {
	{ "reason", "TEXT", "what was reported, by whom", true, false },
	{ "until", "TIME", "the hold lapses by itself then; otherwise unhold lifts it", false, false },
	{ 0 },
};

static const struct ctl_option unhold_options[] = {
	{ "reason", "TEXT", "what was found", true, false },
	{ 0 },
};

static const struct ctl_option revoke_options[] = {
	{ "reason", "CODE", "KUNCI_HILANG, KUNCI_BOCOR, DIPAKAI_ORANG_LAIN (these three end the key, too), KUNCI_RUSAK, "
	  "KUNCI_TAK_DAPAT_DIAKSES, DATA_SALAH, MUTASI, TIDAK_MENJABAT, PENSIUN, SANKSI, EVALUASI_OP, EVALUASI_PSRE, "
	  "PERMINTAAN_PEMILIK, DIGANTI", true, false },
	{ "note", "TEXT", "more about it", false, false },
	{ 0 },
};

static const struct ctl_option replace_options[] = {
	{ "by", "CERT", "the new certificate; it gets the old one's current bindings", true, false },
	{ 0 },
};

struct loaded {
	struct buf der;
	struct cert_facts facts;
	char hash[65];
};

/* The certificate of a file. CTL_OK, or ctl_fail has said why. */
static enum ctl_exit
load(struct ctl *ctl, struct loaded *ret)
{
	AUTO_BUF struct buf file = { 0 };
	struct err err = { 0 };

	if (ctl_read_file(ctl_arg(ctl, 0), FILE_BYTES, &file, &err) == -1)
		return ctl_fail_err(ctl, CTL_FALSE, &err);
	if (cert_read(buf_slice(&file), &ret->der, &err) == -1)
		return ctl_fail(ctl, CTL_REFUSED, "file '%s': %s", ctl_arg(ctl, 0), err.text);
	if (cert_inspect(buf_slice(&ret->der), &ret->facts, &err) == -1) {
		buf_done(&ret->der);
		return ctl_fail(ctl, CTL_REFUSED, "file '%s': %s", ctl_arg(ctl, 0), err.text);
	}
	sha256_hex(ret->facts.sha256, ret->hash);
	return CTL_OK;
}

static void
address_list(const struct cert_facts *facts, struct buf *ret)
{
	for (size_t i = 0; i < facts->n_addresses; i++)
		buf_printf(ret, "%s%s", i ? " " : "", facts->addresses[i]);
}

static const char *const fact_columns[] = {
	"sha256", "spki", "subject", "issuer", "serial", "not_before", "not_after", "key", "bits", "addresses", "ca",
	"may_sign", "may_encrypt", "weak_signature", "odd_address",
};

static void
print_facts(struct ctl *ctl, const struct loaded *loaded)
{
	const struct cert_facts *facts = &loaded->facts;
	AUTO(ctl_table_free) struct ctl_table *table = ctl_table_new(fact_columns, N_ELEMENTS(fact_columns));
	AUTO_BUF struct buf addresses = { 0 };
	char spki[65];

	buf_init(&addresses, sizeof(facts->addresses) + LIMIT_CERT_ADDRESSES);
	address_list(facts, &addresses);
	sha256_hex(facts->spki, spki);
	const struct ctl_cell cells[N_ELEMENTS(fact_columns)] = {
		{ .kind = CELL_TEXT, .text = loaded->hash },
		{ .kind = CELL_TEXT, .text = spki },
		{ .kind = CELL_TEXT, .text = facts->subject },
		{ .kind = CELL_TEXT, .text = facts->issuer },
		{ .kind = CELL_TEXT, .text = facts->serial },
		{ .kind = CELL_TIME, .number = facts->not_before },
		{ .kind = CELL_TIME, .number = facts->not_after },
		{ .kind = CELL_TEXT, .text = key_kind_name(facts->key) },
		{ .kind = CELL_NUMBER, .number = facts->key_bits },
		{ .kind = CELL_TEXT, .text = buf_text(&addresses) },
		{ .kind = CELL_BOOL, .number = facts->is_ca },
		{ .kind = CELL_BOOL, .number = facts->may_sign },
		{ .kind = CELL_BOOL, .number = facts->may_encrypt },
		{ .kind = CELL_BOOL, .number = facts->weak_signature },
		{ .kind = CELL_BOOL, .number = facts->odd_address },
	};
	ctl_table_row(table, cells);
	ctl_table_print_one(ctl, table);
}

static enum ctl_exit
inspect(struct ctl *ctl)
{
	struct loaded loaded = { 0 };
	enum ctl_exit code = load(ctl, &loaded);

	if (code == CTL_OK)
		print_facts(ctl, &loaded);
	buf_done(&loaded.der);
	return code;
}

static enum write_outcome
do_import(struct op *op, struct err *err)
{
	const struct loaded *loaded = op->more;
	enum cert_kind kind = cert_kind_from(ctl_option(op->ctl, "kind"));
	int64_t id = 0;
	enum write_outcome outcome = write_cert_import(op->writer, loaded->der.at, loaded->der.len, &loaded->facts, kind, &id, err);

	buf_printf(&op->said, "certificate %lld registered as %s, sha256 %s", (long long)id, cert_kind_name(kind), loaded->hash);
	return outcome;
}

static enum ctl_exit
import(struct ctl *ctl)
{
	struct loaded loaded = { 0 };
	enum ctl_exit code;

	if (!op_word(ctl, "kind", kinds, NULL))
		return CTL_USAGE;
	code = load(ctl, &loaded);
	if (code == CTL_OK) {
		print_facts(ctl, &loaded);
		code = op_write(ctl, do_import, &loaded);
	}
	buf_done(&loaded.der);
	return code;
}

static enum ctl_exit
list(struct ctl *ctl)
{
	return op_list(ctl, LIST_CERT, 0);
}

static enum ctl_exit
show(struct ctl *ctl)
{
	AUTO(registry_close) struct registry *registry = op_registry(ctl);
	struct err err = { 0 };
	int64_t id = 0;

	if (!registry)
		return CTL_UNAVAILABLE;
	switch (registry_cert_id(registry, ctl_arg(ctl, 0), &id, &err)) {
	case 1:
		return op_list(ctl, LIST_CERT_DETAIL, id);
	case 0:
		return ctl_fail_err(ctl, CTL_FALSE, &err);
	}
	return ctl_fail_err(ctl, CTL_UNAVAILABLE, &err);
}

static const char *
answer_name(const struct registry_found *found)
{
	switch (found->answer) {
	case REGISTRY_FOUND:
		return "found";
	case REGISTRY_NONE:
		return "none";
	case REGISTRY_UNUSABLE:
		return unusable_name(found->unusable);
	case REGISTRY_UNAVAILABLE:
		break;
	}
	return "unavailable";
}

static const char *
bound_name(enum bound_to bound)
{
	switch (bound) {
	case BOUND_ADDRESS:
		return "address";
	case BOUND_UNIT:
		return "unit";
	case BOUND_DOMAIN:
		return "domain";
	case BOUND_UNKNOWN:
		break;
	}
	return NULL;
}

static struct ctl_cell
text_or_none(const char *text)
{
	return (struct ctl_cell){ .kind = text && *text ? CELL_TEXT : CELL_NONE, .text = text };
}

static void
print_found(struct ctl *ctl, const char *purpose, const struct registry_found *found)
{
	static const char *const columns[] = {
		"address", "purpose", "answer", "why", "known", "cert", "sha256", "kind", "state", "bound", "reason",
	};
	const struct registry_cert *cert = &found->cert;
	AUTO(ctl_table_free) struct ctl_table *table = ctl_table_new(columns, N_ELEMENTS(columns));
	char hash[65] = "";

	if (cert->id)
		sha256_hex(cert->sha256, hash);
	const struct ctl_cell cells[N_ELEMENTS(columns)] = {
		text_or_none(ctl_arg(ctl, 0)),
		text_or_none(purpose),
		text_or_none(answer_name(found)),
		text_or_none(found->why),
		{ .kind = CELL_BOOL, .number = found->known },
		{ .kind = cert->id ? CELL_NUMBER : CELL_NONE, .number = cert->id },
		text_or_none(hash),
		text_or_none(cert->id ? cert_kind_name(cert->kind) : NULL),
		text_or_none(cert->id ? cert_state_name(cert->state) : NULL),
		text_or_none(bound_name(cert->bound)),
		text_or_none(cert->reason),
	};
	ctl_table_row(table, cells);
	ctl_table_print_one(ctl, table);
}

static enum ctl_exit
exit_of(enum registry_answer answer)
{
	switch (answer) {
	case REGISTRY_FOUND:
		return CTL_OK;
	case REGISTRY_NONE:
	case REGISTRY_UNUSABLE:
		return CTL_FALSE;
	case REGISTRY_UNAVAILABLE:
		break;
	}
	return CTL_UNAVAILABLE;
}

static enum ctl_exit
find(struct ctl *ctl)
{
	const char *purpose = op_word(ctl, "purpose", purposes, "seal");
	AUTO(registry_close) struct registry *registry = NULL;
	AUTO_FOUND struct registry_found found = { 0 };

	if (!purpose)
		return CTL_USAGE;
	registry = op_registry(ctl);
	if (!registry)
		return CTL_UNAVAILABLE;
	registry_lookup(registry, ctl_arg(ctl, 0), purpose_from(purpose), ctl->now, &found);
	print_found(ctl, purpose, &found);
	return exit_of(found.answer);
}

static enum write_outcome
do_hold(struct op *op, struct err *err)
{
	const time_t *until = op->more;
	int64_t id = 0;
	enum write_outcome outcome = write_cert_hold(op->writer, ctl_arg(op->ctl, 0), ctl_option(op->ctl, "reason"), *until,
	    &id, err);

	buf_printf(&op->said, "certificate %lld is ditahan: %s", (long long)id, ctl_option(op->ctl, "reason"));
	return outcome;
}

static enum ctl_exit
hold(struct ctl *ctl)
{
	time_t until;

	return op_time(ctl, "until", &until) == CTL_OK ? op_write(ctl, do_hold, &until) : CTL_USAGE;
}

static enum write_outcome
do_unhold(struct op *op, struct err *err)
{
	int64_t id = 0;
	enum write_outcome outcome = write_cert_unhold(op->writer, ctl_arg(op->ctl, 0), ctl_option(op->ctl, "reason"), &id, err);

	buf_printf(&op->said, "certificate %lld is aktif again", (long long)id);
	return outcome;
}

static enum ctl_exit
unhold(struct ctl *ctl)
{
	return op_write(ctl, do_unhold, NULL);
}

static enum write_outcome
do_revoke(struct op *op, struct err *err)
{
	const char *code = ctl_option(op->ctl, "reason");
	int64_t id = 0;
	enum write_outcome outcome = write_cert_revoke(op->writer, ctl_arg(op->ctl, 0), code, ctl_option(op->ctl, "note"), &id, err);

	buf_printf(&op->said, "certificate %lld is dicabut for ever: %s", (long long)id, code);
	return outcome;
}

static enum ctl_exit
revoke(struct ctl *ctl)
{
	const char *codes[32] = { NULL };

	for (size_t i = 0; i < N_ELEMENTS(codes) - 1; i++)
		codes[i] = revocation_code(i, NULL);
	return op_word(ctl, "reason", codes, NULL) ? op_write(ctl, do_revoke, NULL) : CTL_USAGE;
}

static enum write_outcome
do_replace(struct op *op, struct err *err)
{
	int64_t id = 0;
	enum write_outcome outcome = write_cert_replace(op->writer, ctl_arg(op->ctl, 0), ctl_option(op->ctl, "by"), &id, err);

	buf_printf(&op->said, "certificate %lld is diganti; its bindings go on with %s", (long long)id, ctl_option(op->ctl, "by"));
	return outcome;
}

static enum ctl_exit
replace(struct ctl *ctl)
{
	return op_write(ctl, do_replace, NULL);
}

const struct ctl_command ctl_cert_commands[] = {
	{ "import", CTL_WRITES, { "FILE" }, import_options, "register a certificate (PEM or DER; never with its key)", import },
	{ "list", CTL_READS, { 0 }, op_list_options, "certificates that are aktif or ditahan and not expired", list },
	{ "show", CTL_READS, { "CERT" }, NULL, "one certificate: by number or the first digits of its SHA-256", show },
	{ "inspect", CTL_READS, { "FILE" }, NULL, "what a certificate file says; needs no registry", inspect },
	{ "find", CTL_READS, { "ADDRESS" }, find_options, "what the gateway would use for this address now, and why", find },
	{ "hold", CTL_WRITES, { "CERT" }, hold_options, "stop its use at once", hold },
	{ "unhold", CTL_WRITES, { "CERT" }, unhold_options, "lift a hold", unhold },
	{ "revoke", CTL_WRITES, { "CERT" }, revoke_options, "end it for ever", revoke },
	{ "set-capability", CTL_WRITES, { "CERT", "[CAPABILITY]..." }, ctl_capability_options,
	  "what its owner's programs read beyond AES-CBC and RSA v1.5: gcm, oaep, both, or none; or what a signed mail says", ctl_set_capability },
	{ "replace", CTL_WRITES, { "CERT" }, replace_options, "a renewed certificate takes its place", replace },
	{ 0 },
};
