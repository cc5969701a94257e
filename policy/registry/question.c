#include "policy/registry/question.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/registry/db.h"
#include "policy/registry/sha256.h"

void
registry_escape(const char *from, char *to, size_t room)
{
	size_t at = 0;

	for (const unsigned char *c = (const unsigned char *)from; *c && at + 4 <= room; c++) {
		if (*c >= 0x20 && *c < 0x7f && *c != '%')
			to[at++] = (char)*c;
		else
			at += (size_t)snprintf(to + at, room - at, "%%%02X", *c);
	}
	to[at] = '\0';
}

static enum standing
standing_of(sqlite3_stmt *stmt, int column)
{
	return sqlite3_column_int(stmt, column) ? STANDING_CURRENT : STANDING_ENDED;
}

static int
find_domain(const struct question *q, const char *name, struct place *place, struct err *err)
{
	sqlite3_stmt *stmt;
	int row;

	if (conn_query(q->conn, Q_DOMAIN, &stmt, err) == -1 || db_bindf(stmt, "it", q->at, name) == -1
	    || (row = conn_step(q->conn, stmt, err)) == -1)
		return -1;
	if (row == 0)
		return 0;
	place->domain_id = sqlite3_column_int64(stmt, 0);
	place->partner = strcmp(db_text(stmt, 1), "partner") == 0;
	place->fold = sqlite3_column_int(stmt, 2) != 0;
	place->domain = standing_of(stmt, 3);
	return 0;
}

static int
find_address(const struct question *q, struct place *place, struct err *err)
{
	sqlite3_stmt *stmt;
	int row;

	if (conn_query(q->conn, Q_ADDRESS, &stmt, err) == -1 || db_bindf(stmt, "it", q->at, place->norm) == -1
	    || (row = conn_step(q->conn, stmt, err)) == -1)
		return -1;
	if (row == 0)
		return 0;
	place->address_id = sqlite3_column_int64(stmt, 0);
	place->address = standing_of(stmt, 1);
	place->unit_id = sqlite3_column_int64(stmt, 2);
	if (place->unit_id)
		place->unit = standing_of(stmt, 3);
	return 0;
}

/* An address that is not plain stands nowhere: it cannot have been registered. */
int
question_place(const struct question *q, struct place *place, struct err *err)
{
	char form[LIMIT_ADDRESS_BYTES + 1];

	*place = (struct place){ 0 };
	if (!address_normalise(q->address, false, form))
		return 0;
	if (find_domain(q, strchr(form, '@') + 1, place, err) == -1)
		return -1;
	if (!address_normalise(q->address, place->fold, place->norm))
		return 0;
	return place->domain == STANDING_NONE ? 0 : find_address(q, place, err);
}

bool
place_is_known(const struct place *place)
{
	return place->domain == STANDING_CURRENT && place->address == STANDING_CURRENT;
}

int
question_judge(const struct question *q, sqlite3_stmt *stmt, enum unusable *ret, struct err *err)
{
	bool lapsed = sqlite3_column_type(stmt, 3) != SQLITE_NULL && q->at >= sqlite3_column_int64(stmt, 3);

	switch (cert_state_from(db_text(stmt, 2))) {
	case CERT_STATE_REVOKED:
		*ret = UNUSABLE_REVOKED;
		return 0;
	case CERT_STATE_REPLACED:
		*ret = UNUSABLE_RETIRED;
		return 0;
	case CERT_STATE_UNKNOWN:
		return err_set(err, ERR_CONFIG, "registry '%s' is damaged: certificate %lld is in state '%.20s'; restore a backup",
		    q->conn->file, sqlite3_column_int64(stmt, 1), db_text(stmt, 2));
	case CERT_STATE_HELD:
		if (!lapsed) {
			*ret = UNUSABLE_HELD;
			return 0;
		}
		break;
	case CERT_STATE_ACTIVE:
		break;
	}
	*ret = q->at < sqlite3_column_int64(stmt, 4) ? UNUSABLE_NOT_YET
	    : q->at > sqlite3_column_int64(stmt, 5) ? UNUSABLE_EXPIRED : UNUSABLE_UNKNOWN;
	return 0;
}

static void
read_reason(sqlite3_stmt *stmt, struct registry_cert *cert)
{
	const char *code = db_text(stmt, 5), *reason = db_text(stmt, 6);
	AUTO(xfree) char *text = xasprintf("%s%s%s", code, *code && *reason ? ": " : "", reason);

	registry_escape(text, cert->reason, sizeof(cert->reason));
}

static int
read_bytes(sqlite3_stmt *stmt, struct registry_cert *cert)
{
	unsigned char hash[32];
	const void *der = sqlite3_column_blob(stmt, 2);
	size_t len = (size_t)sqlite3_column_bytes(stmt, 2);

	if (sqlite3_column_bytes(stmt, 0) != 32 || sqlite3_column_bytes(stmt, 1) != 32 || len == 0
	    || len > LIMIT_CERT_BYTES || !sha256_of(der, len, hash)
	    || memcmp(hash, sqlite3_column_blob(stmt, 0), 32) != 0)
		return -1;
	memcpy(cert->sha256, hash, 32);
	memcpy(cert->spki, sqlite3_column_blob(stmt, 1), 32);
	cert->der = xcalloc(len, 1);
	memcpy(cert->der, der, len);
	cert->der_len = len;
	return 0;
}

int
question_cert(const struct question *q, int64_t id, struct registry_cert *cert, struct err *err)
{
	sqlite3_stmt *stmt;
	int row;

	if (conn_query(q->conn, Q_CERT, &stmt, err) == -1 || db_bindf(stmt, "ii", (int64_t)q->at, id) == -1
	    || (row = conn_step(q->conn, stmt, err)) == -1)
		return -1;
	if (row == 0 || read_bytes(stmt, cert) == -1)
		return err_set(err, ERR_CONFIG, "registry '%s' is damaged: the row of certificate %lld does not hash to its "
		    "SHA-256; restore a backup", q->conn->file, (long long)id);
	cert->id = id;
	cert->kind = cert_kind_from(db_text(stmt, 3));
	cert->state = cert_state_from(db_text(stmt, 4));
	read_reason(stmt, cert);
	return 0;
}

const char *
bound_phrase(enum bound_to bound)
{
	switch (bound) {
	case BOUND_ADDRESS:
		return "the address itself";
	case BOUND_UNIT:
		return "the address's unit";
	case BOUND_DOMAIN:
		return "the address's domain";
	case BOUND_UNKNOWN:
		break;
	}
	return "nothing";
}
