#include "milter/ctl/capability.h"

#include <string.h>

#include "milter/ctl/crlf.h"
#include "milter/ctl/op.h"
#include "policy/registry/encrypt.h"
#include "smime/inspect.h"
#include "smime/verify.h"

const struct ctl_option ctl_capability_options[] = {
	{ "seen", "FILE", "instead of words: a mail of the owner, signed with this certificate, or with one that is bound for verify or seal "
	  "where this one is for encrypt; recorded is what its SMIMECapabilities name", false, false },
	{ 0 },
};

/* What is to be recorded, and by whose word. */
struct wish {
	unsigned capabilities;
	bool seen;
	unsigned char signer[32]; /* SHA-256 of its certificate, with `seen` */
};

static void
say_what(struct op *op, int64_t id, const struct wish *wish)
{
	buf_printf(&op->said, "certificate %lld: its owner's programs can read", (long long)id);
	if (wish->capabilities & CAPABILITY_GCM)
		buf_printf(&op->said, " %s", capability_name(CAPABILITY_GCM));
	if (wish->capabilities & CAPABILITY_OAEP)
		buf_printf(&op->said, " %s", capability_name(CAPABILITY_OAEP));
	if (wish->capabilities == CAPABILITY_NONE)
		buf_printf(&op->said, " none");
	if (wish->seen)
		buf_printf(&op->said, ", as the mail says");
}

static enum write_outcome
record(struct op *op, struct err *err)
{
	const struct wish *wish = op->more;
	const char *cert = ctl_arg(op->ctl, 0);
	int64_t id = 0;
	enum write_outcome outcome = wish->seen
	    ? write_cert_capabilities_seen(op->writer, cert, wish->capabilities, wish->signer, &id, err)
	    : write_cert_capabilities(op->writer, cert, wish->capabilities, &id, err);

	say_what(op, id, wish);
	return outcome;
}

/* ---- words ---- */

/* "none" stands alone. */
static enum ctl_exit
read_words(struct ctl *ctl, struct wish *wish)
{
	bool none = false;

	if (!ctl_arg(ctl, 1))
		return ctl_fail(ctl, CTL_USAGE, "no capability given; wanted gcm, oaep, both, or none, or --seen FILE");
	for (size_t i = 1; ctl_arg(ctl, i); i++) {
		const enum capability one = capability_from(ctl_arg(ctl, i));

		none |= strcmp(ctl_arg(ctl, i), "none") == 0;
		if (one == CAPABILITY_NONE && !none)
			return ctl_fail(ctl, CTL_USAGE, "no capability '%s'; wanted gcm, oaep, both, or none", ctl_arg(ctl, i));
		wish->capabilities |= one;
	}
	if (none && (wish->capabilities != CAPABILITY_NONE || ctl_arg(ctl, 2)))
		return ctl_fail(ctl, CTL_USAGE, "none goes with no other; wanted gcm, oaep, both, or none");
	return CTL_OK;
}

/* ---- mail ---- */

static enum ctl_exit
refuse(struct ctl *ctl, const char *file, const char *what, const char *why)
{
	return ctl_fail(ctl, CTL_REFUSED, "file '%s': %s%s%s; nothing is recorded", file, what, *why ? ": " : "", why);
}

/* Only what somebody answers for who could have signed official mail with it. The path is the registry's business here. */
static enum ctl_exit
check_signature(struct ctl *ctl, const char *file, const struct signature_facts *signature)
{
	if (signature->state != SIGNATURE_GOOD)
		return refuse(ctl, file, signature->state == SIGNATURE_NONE ? "it is not signed" : "its signature is not good", signature->why);
	if (signature->unfit)
		return refuse(ctl, file, "the signer's certificate does not sign mail", signature->unfit_why);
	if (signature->weak)
		return refuse(ctl, file, "its signature is too weak", signature->weak_why);
	if (signature->signing_time_why[0])
		return refuse(ctl, file, "its signing time is not plausible", signature->signing_time_why);
	return CTL_OK;
}

static enum ctl_exit
take_seen(struct ctl *ctl, const char *file, const struct signature_facts *signature, struct wish *wish)
{
	const struct seen_facts *seen = &signature->seen;

	switch (seen->state) {
	case SEEN_READ:
		wish->capabilities = (seen->gcm ? CAPABILITY_GCM : 0u) | (seen->oaep ? CAPABILITY_OAEP : 0u);
		memcpy(wish->signer, signature->signer.sha256, sizeof(wish->signer));
		return CTL_OK;
	case SEEN_NONE:
		return refuse(ctl, file, "there is no SMIMECapabilities among its signed attributes", "");
	case SEEN_MALFORMED:
		return refuse(ctl, file, "what it says its programs read cannot be read", seen->why);
	case SEEN_UNKNOWN:
		break;
	}
	return refuse(ctl, file, "its signed attributes were not looked at", "");
}

static enum ctl_exit
read_mail(struct ctl *ctl, const char *file, struct wish *wish)
{
	AUTO_BUF struct buf message = { 0 };
	AUTO(xfree) struct message_facts *facts = xcalloc(1, sizeof(*facts));
	AUTO(xfree) struct signature_facts *signature = xcalloc(1, sizeof(*signature));
	struct verify_request request = { .facts = facts, .at = ctl->now };
	struct err err = { 0 };
	enum ctl_exit code;

	if (ctl_arg(ctl, 1))
		return ctl_fail(ctl, CTL_USAGE, "'%s' beside --seen; wanted words, or --seen FILE", ctl_arg(ctl, 1));
	buf_init(&message, LIMIT_MESSAGE_BYTES);
	if (ctl_read_received(file, &message, &err) == -1)
		return ctl_fail_err(ctl, CTL_UNAVAILABLE, &err);
	request.message = buf_slice(&message);
	if (smime_inspect(request.message, facts, &err) == -1 || smime_verify(&request, signature, &err) == -1)
		return ctl_fail_err(ctl, CTL_UNAVAILABLE, &err);
	wish->seen = true;
	code = check_signature(ctl, file, signature);
	return code == CTL_OK ? take_seen(ctl, file, signature, wish) : code;
}

enum ctl_exit
ctl_set_capability(struct ctl *ctl)
{
	const char *file = ctl_option(ctl, "seen");
	struct wish wish = { .capabilities = CAPABILITY_NONE };
	enum ctl_exit code = file ? read_mail(ctl, file, &wish) : read_words(ctl, &wish);

	return code == CTL_OK ? op_write(ctl, record, &wish) : code;
}
