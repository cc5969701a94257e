#include "policy/registry/schema.h"

/*
 * Laws that hold for every table alike. BEFORE triggers run before REPLACE makes room for the
 * new row, so they also catch INSERT OR REPLACE, which deletes without a DELETE trigger unless
 * PRAGMA recursive_triggers is on.
 */

/* The act under way is the newest one, and its officer's appointment was current at its time. */
#define ACT_IS_GOOD                                                                           \
	"EXISTS (SELECT 1 FROM act a WHERE a.seq = segel_act()"                               \
	" AND a.seq = (SELECT max(seq) FROM act)"                                             \
	" AND (EXISTS (SELECT 1 FROM officer o WHERE o.id = a.officer AND o.from_at <= a.at"  \
	"  AND (o.ended_at IS NULL OR a.at < o.ended_at) AND (o.to_at IS NULL OR a.at < o.to_at))" \
	" OR (a.seq = 1 AND NOT EXISTS (SELECT 1 FROM officer))))"

#define BY_OFFICER(table)                                                                     \
	"CREATE TRIGGER " table "_insert_by_officer BEFORE INSERT ON " table                  \
	" WHEN NOT " ACT_IS_GOOD " OR NEW.act IS NOT segel_act()"                             \
	" BEGIN SELECT RAISE(ABORT, 'only an officer with a current appointment writes to the registry'); END;" \
	"CREATE TRIGGER " table "_update_by_officer BEFORE UPDATE ON " table                  \
	" WHEN NOT " ACT_IS_GOOD                                                              \
	" BEGIN SELECT RAISE(ABORT, 'only an officer with a current appointment writes to the registry'); END;"

#define NEVER_DELETED(table)                                                                  \
	"CREATE TRIGGER " table "_never_deleted BEFORE DELETE ON " table                      \
	" BEGIN SELECT RAISE(ABORT, '" table ": rows are never deleted; end it instead'); END;"

/* `same` compares a present row with NEW: the row REPLACE would quietly remove. */
#define NEVER_REPLACED(table, same, text)                                                     \
	"CREATE TRIGGER " table "_never_replaced BEFORE INSERT ON " table                     \
	" WHEN EXISTS (SELECT 1 FROM " table " t WHERE t.id = NEW.id OR (" same "))"          \
	" BEGIN SELECT RAISE(ABORT, '" text "'); END;"

/* What a row says stays; corrections are a new row. */
#define UNCHANGING(table, columns)                                                            \
	"CREATE TRIGGER " table "_unchanging BEFORE UPDATE OF id, act, from_at, " columns " ON " table \
	" BEGIN SELECT RAISE(ABORT, '" table ": what was recorded stays; end it and add it anew'); END;"

#define ENDS_ONCE(table)                                                                      \
	"CREATE TRIGGER " table "_ends_once BEFORE UPDATE OF ended_at, end_reason, end_act ON " table \
	" WHEN OLD.ended_at IS NOT NULL"                                                      \
	" BEGIN SELECT RAISE(ABORT, '" table ": it has ended already; an end is set once'); END;" \
	"CREATE TRIGGER " table "_ends_now BEFORE UPDATE OF ended_at ON " table               \
	" WHEN NEW.ended_at IS NULL OR NEW.end_act IS NOT segel_act()"                        \
	"  OR NEW.ended_at IS NOT (SELECT at FROM act WHERE seq = segel_act())"               \
	" BEGIN SELECT RAISE(ABORT, '" table ": an end carries the time of the act that sets it'); END;" \
	"CREATE TRIGGER " table "_begins_open BEFORE INSERT ON " table                        \
	" WHEN NEW.ended_at IS NOT NULL OR NEW.end_act IS NOT NULL"                           \
	" BEGIN SELECT RAISE(ABORT, '" table ": a new row has not ended yet'); END;"

#define LAWS(table, columns, same, text)                                                      \
	BY_OFFICER(table) NEVER_DELETED(table) NEVER_REPLACED(table, same, text)              \
	UNCHANGING(table, columns) ENDS_ONCE(table)

#define SPAN                                                                                  \
	"from_at INTEGER NOT NULL,"                                                           \
	"ended_at INTEGER,"                                                                   \
	"end_reason TEXT,"                                                                    \
	"act INTEGER NOT NULL REFERENCES act(seq),"                                           \
	"end_act INTEGER REFERENCES act(seq)"

#define FILLED(column) "length(trim(" column ")) > 0"

static const char people[] =
    /* The founding act names an officer whose row comes later in the same transaction. */
    "CREATE TABLE act ("
    " seq INTEGER PRIMARY KEY,"
    " at INTEGER NOT NULL,"
    " officer INTEGER NOT NULL REFERENCES officer(id) DEFERRABLE INITIALLY DEFERRED,"
    " login TEXT NOT NULL CHECK (" FILLED("login") "),"
    " verb TEXT NOT NULL CHECK (" FILLED("verb") "),"
    " object TEXT NOT NULL,"
    " detail TEXT NOT NULL"
    ") STRICT;"
    "CREATE TRIGGER act_follows BEFORE INSERT ON act"
    " WHEN NEW.seq IS NOT (SELECT coalesce(max(seq), 0) + 1 FROM act) OR NEW.seq IS NOT segel_act()"
    " BEGIN SELECT RAISE(ABORT, 'acts are numbered without a gap, by the registry''s own writer'); END;"
    "CREATE TRIGGER act_by_officer BEFORE INSERT ON act"
    " WHEN NOT (EXISTS (SELECT 1 FROM officer o WHERE o.id = NEW.officer AND o.login = NEW.login"
    "   AND o.from_at <= NEW.at AND (o.ended_at IS NULL OR NEW.at < o.ended_at)"
    "   AND (o.to_at IS NULL OR NEW.at < o.to_at))"
    "  OR (NEW.seq = 1 AND NOT EXISTS (SELECT 1 FROM officer)))"
    " BEGIN SELECT RAISE(ABORT, 'only an officer with a current appointment acts'); END;"
    "CREATE TRIGGER act_never_changed BEFORE UPDATE ON act"
    " BEGIN SELECT RAISE(ABORT, 'act: history is never changed'); END;"
    "CREATE TRIGGER act_never_deleted BEFORE DELETE ON act"
    " BEGIN SELECT RAISE(ABORT, 'act: history is never deleted'); END;"

    "CREATE TABLE unit ("
    " id INTEGER PRIMARY KEY,"
    " code TEXT NOT NULL CHECK (" FILLED("code") "),"
    " name TEXT NOT NULL CHECK (" FILLED("name") "),"
    SPAN ") STRICT;"
    "CREATE UNIQUE INDEX unit_code ON unit(code) WHERE ended_at IS NULL;"
    LAWS("unit", "code, name", "t.code = NEW.code AND t.ended_at IS NULL", "a unit of this code is registered")
    "CREATE TRIGGER unit_ends_empty BEFORE UPDATE OF ended_at ON unit"
    " WHEN EXISTS (SELECT 1 FROM address WHERE unit = OLD.id AND ended_at IS NULL)"
    "  OR EXISTS (SELECT 1 FROM person WHERE unit = OLD.id AND ended_at IS NULL)"
    "  OR EXISTS (SELECT 1 FROM system WHERE unit = OLD.id AND ended_at IS NULL)"
    " BEGIN SELECT RAISE(ABORT, 'the unit still has addresses, persons or systems; end those first'); END;"

    "CREATE TABLE person ("
    " id INTEGER PRIMARY KEY,"
    " name TEXT NOT NULL CHECK (" FILLED("name") "),"
    " category TEXT NOT NULL CHECK (category IN ('kepala', 'wakil', 'asn', 'lain')),"
    " policy TEXT CHECK (policy IS NULL OR " FILLED("policy") "),"
    " unit INTEGER REFERENCES unit(id),"
    SPAN ","
    " CHECK (category <> 'lain' OR policy IS NOT NULL)"
    ") STRICT;"
    LAWS("person", "name, category, policy, unit", "0", "this person is registered")
    "CREATE TRIGGER person_ends_empty BEFORE UPDATE OF ended_at ON person"
    " WHEN EXISTS (SELECT 1 FROM address WHERE person = OLD.id AND ended_at IS NULL)"
    "  OR EXISTS (SELECT 1 FROM officer o, act a WHERE a.seq = segel_act() AND o.person = OLD.id AND o.ended_at IS NULL"
    "   AND (o.to_at IS NULL OR a.at < o.to_at))"
    " BEGIN SELECT RAISE(ABORT, 'the person still has addresses or an appointment as officer; end those first'); END;"

    "CREATE TABLE system ("
    " id INTEGER PRIMARY KEY,"
    " name TEXT NOT NULL CHECK (" FILLED("name") "),"
    " unit INTEGER REFERENCES unit(id),"
    " host TEXT,"
    SPAN ") STRICT;"
    "CREATE UNIQUE INDEX system_name ON system(name) WHERE ended_at IS NULL;"
    LAWS("system", "name, unit, host", "t.name = NEW.name AND t.ended_at IS NULL", "a system of this name is registered")

    "CREATE TABLE officer ("
    " id INTEGER PRIMARY KEY,"
    " person INTEGER NOT NULL REFERENCES person(id),"
    " login TEXT NOT NULL CHECK (" FILLED("login") "),"
    " appointment TEXT NOT NULL CHECK (" FILLED("appointment") "),"
    " to_at INTEGER CHECK (to_at IS NULL OR from_at < to_at),"
    SPAN ") STRICT;"
    "CREATE INDEX officer_login ON officer(login);"
    LAWS("officer", "person, login, appointment, to_at",
        "t.login = NEW.login AND t.ended_at IS NULL"
        " AND (t.to_at IS NULL OR t.to_at > (SELECT at FROM act WHERE seq = segel_act()))",
        "this UNIX login is an officer already")
    "CREATE TRIGGER officer_person_current BEFORE INSERT ON officer"
    " WHEN EXISTS (SELECT 1 FROM person WHERE id = NEW.person AND ended_at IS NOT NULL)"
    " BEGIN SELECT RAISE(ABORT, 'the person to be appointed has ended'); END;"
    "CREATE TRIGGER officer_never_none BEFORE UPDATE OF ended_at ON officer"
    " WHEN NOT EXISTS (SELECT 1 FROM officer o, act a WHERE a.seq = segel_act() AND o.id <> OLD.id"
    "  AND o.ended_at IS NULL AND o.from_at <= a.at AND o.to_at IS NULL)"
    " BEGIN SELECT RAISE(ABORT, 'the last officer without a term cannot be ended; appoint another one without a term first'); END;";

static const char addresses[] =
    "CREATE TABLE domain ("
    " id INTEGER PRIMARY KEY,"
    " name TEXT NOT NULL CHECK (name = lower(name) AND " FILLED("name") " AND instr(name, '@') = 0),"
    " kind TEXT NOT NULL CHECK (kind IN ('own', 'shared', 'partner')),"
    " fold INTEGER NOT NULL CHECK (fold IN (0, 1)),"
    SPAN ") STRICT;"
    "CREATE INDEX domain_history ON domain(name);"
    "CREATE UNIQUE INDEX domain_name ON domain(name) WHERE ended_at IS NULL;"
    LAWS("domain", "name, kind, fold", "t.name = NEW.name AND t.ended_at IS NULL", "this domain is registered")
    "CREATE TRIGGER domain_ends_empty BEFORE UPDATE OF ended_at ON domain"
    " WHEN EXISTS (SELECT 1 FROM address WHERE domain = OLD.id AND ended_at IS NULL)"
    " BEGIN SELECT RAISE(ABORT, 'the domain still has addresses; end those first'); END;"

    "CREATE TABLE address ("
    " id INTEGER PRIMARY KEY,"
    " address TEXT NOT NULL,"                 /* as written */
    " norm TEXT NOT NULL,"                    /* as compared */
    " domain INTEGER NOT NULL REFERENCES domain(id),"
    " unit INTEGER REFERENCES unit(id),"
    " person INTEGER REFERENCES person(id),"
    SPAN ","
    " CHECK (unit IS NOT NULL OR person IS NOT NULL),"
    " CHECK (lower(address) = lower(norm))"
    ") STRICT;"
    "CREATE INDEX address_history ON address(norm);"
    "CREATE UNIQUE INDEX address_norm ON address(norm) WHERE ended_at IS NULL;"
    "CREATE INDEX address_unit ON address(unit);"
    "CREATE INDEX address_person ON address(person);"
    "CREATE INDEX address_domain ON address(domain);"
    LAWS("address", "address, norm, domain, unit, person",
        "t.norm = NEW.norm AND t.ended_at IS NULL", "this address is registered")
    "CREATE TRIGGER address_in_domain BEFORE INSERT ON address"
    " WHEN NOT EXISTS (SELECT 1 FROM domain d WHERE d.id = NEW.domain AND d.ended_at IS NULL"
    "  AND substr(NEW.norm, instr(NEW.norm, '@') + 1) = d.name"
    "  AND (d.fold = 0 OR NEW.norm = lower(NEW.norm)))"
    " BEGIN SELECT RAISE(ABORT, 'an address belongs to the registered domain after its @'); END;"
    "CREATE TRIGGER address_of_current BEFORE INSERT ON address"
    " WHEN EXISTS (SELECT 1 FROM unit WHERE id = NEW.unit AND ended_at IS NOT NULL)"
    "  OR EXISTS (SELECT 1 FROM person WHERE id = NEW.person AND ended_at IS NOT NULL)"
    " BEGIN SELECT RAISE(ABORT, 'the unit or person of an address is a current one'); END;"

    /* A login of the mail server, one row for each address it may write as. */
    "CREATE TABLE login ("
    " id INTEGER PRIMARY KEY,"
    " login TEXT NOT NULL CHECK (" FILLED("login") "),"
    " address INTEGER NOT NULL REFERENCES address(id),"
    SPAN ") STRICT;"
    "CREATE INDEX login_history ON login(login, address);"
    "CREATE UNIQUE INDEX login_address ON login(login, address) WHERE ended_at IS NULL;"
    LAWS("login", "login, address", "t.login = NEW.login AND t.address = NEW.address AND t.ended_at IS NULL",
        "this login owns this address already")
    "CREATE TRIGGER login_of_current BEFORE INSERT ON login"
    " WHEN EXISTS (SELECT 1 FROM address WHERE id = NEW.address AND ended_at IS NOT NULL)"
    " BEGIN SELECT RAISE(ABORT, 'a login owns current addresses only'); END;";

#define CODES                                                                                 \
	"'KUNCI_HILANG', 'KUNCI_RUSAK', 'KUNCI_TAK_DAPAT_DIAKSES', 'KUNCI_BOCOR', 'DIPAKAI_ORANG_LAIN'," \
	"'DATA_SALAH', 'MUTASI', 'TIDAK_MENJABAT', 'PENSIUN', 'SANKSI', 'EVALUASI_OP', 'EVALUASI_PSRE'," \
	"'PERMINTAAN_PEMILIK', 'DIGANTI'"

static const char certificates[] =
    "CREATE TABLE cert ("
    " id INTEGER PRIMARY KEY,"
    " sha256 BLOB NOT NULL UNIQUE CHECK (length(sha256) = 32),"
    " spki BLOB NOT NULL CHECK (length(spki) = 32),"
    " issuer TEXT NOT NULL CHECK (" FILLED("issuer") "),"
    " serial TEXT NOT NULL CHECK (" FILLED("serial") " AND serial NOT GLOB '*[^0-9a-f]*'),"
    " subject TEXT NOT NULL,"
    " kind TEXT NOT NULL CHECK (kind IN ('individu', 'jabatan', 'sistem')),"
    " may_sign INTEGER NOT NULL CHECK (may_sign IN (0, 1)),"
    " may_encrypt INTEGER NOT NULL CHECK (may_encrypt IN (0, 1)),"
    " not_before INTEGER NOT NULL,"
    " not_after INTEGER NOT NULL,"
    " der BLOB NOT NULL CHECK (length(der) > 0),"
    " state TEXT NOT NULL CHECK (state IN ('aktif', 'ditahan', 'dicabut', 'diganti')),"
    " reason TEXT,"                           /* why it is held or revoked, in words */
    " code TEXT CHECK (code IN (" CODES ")),"
    " compromised INTEGER NOT NULL DEFAULT 0 CHECK (compromised IN (0, 1)),"
    " hold_until INTEGER,"                    /* the hold lapses by itself then; NULL = not */
    " successor INTEGER REFERENCES cert(id),"
    " act INTEGER NOT NULL REFERENCES act(seq),"
    " state_act INTEGER NOT NULL REFERENCES act(seq),"
    " UNIQUE (issuer, serial),"
    " CHECK (not_before < not_after),"
    " CHECK (state NOT IN ('ditahan') OR (reason IS NOT NULL AND " FILLED("reason") ")),"
    " CHECK ((state = 'dicabut') = (code IS NOT NULL)),"
    " CHECK (compromised = 0 OR state = 'dicabut'),"
    " CHECK (compromised = 1 OR code IS NULL OR code NOT IN ('KUNCI_HILANG', 'KUNCI_BOCOR', 'DIPAKAI_ORANG_LAIN')),"
    " CHECK (hold_until IS NULL OR state = 'ditahan'),"
    " CHECK (state <> 'diganti' OR successor IS NOT NULL),"
    " CHECK (successor IS NULL OR successor <> id)"
    ") STRICT;"
    "CREATE INDEX cert_spki ON cert(spki, compromised);"
    BY_OFFICER("cert")
    "CREATE TRIGGER cert_never_deleted BEFORE DELETE ON cert"
    " BEGIN SELECT RAISE(ABORT, 'certificates are never deleted; revoke it or end its bindings'); END;"
    "CREATE TRIGGER cert_never_replaced BEFORE INSERT ON cert"
    " WHEN EXISTS (SELECT 1 FROM cert t WHERE t.id = NEW.id OR t.sha256 = NEW.sha256"
    "  OR (t.issuer = NEW.issuer AND t.serial = NEW.serial))"
    " BEGIN SELECT RAISE(ABORT, 'this certificate, or another one of this issuer and serial number, is registered'); END;"
    "CREATE TRIGGER cert_unchanging BEFORE UPDATE OF id, sha256, spki, issuer, serial, subject, kind, may_sign,"
    " may_encrypt, not_before, not_after, der, act ON cert"
    " BEGIN SELECT RAISE(ABORT, 'what a certificate says never changes; import the new one'); END;"
    "CREATE TRIGGER cert_hash BEFORE INSERT ON cert WHEN segel_sha256(NEW.der) IS NOT NEW.sha256"
    " BEGIN SELECT RAISE(ABORT, 'the SHA-256 is not that of the DER'); END;"
    "CREATE TRIGGER cert_begins_active BEFORE INSERT ON cert WHEN NEW.state <> 'aktif'"
    " BEGIN SELECT RAISE(ABORT, 'a certificate begins aktif'); END;"
    "CREATE TRIGGER cert_no_private_key BEFORE INSERT ON cert"
    " WHEN instr(NEW.der, CAST('PRIVATE KEY' AS BLOB)) > 0"
    " BEGIN SELECT RAISE(ABORT, 'private keys are never imported'); END;"
    "CREATE TRIGGER cert_key_was_compromised BEFORE INSERT ON cert"
    " WHEN EXISTS (SELECT 1 FROM cert WHERE spki = NEW.spki AND compromised = 1)"
    " BEGIN SELECT RAISE(ABORT, 'its public key was revoked for compromise and never comes back; make a new key'); END;"
    "CREATE TRIGGER cert_state_by_act BEFORE UPDATE ON cert WHEN NEW.state_act IS NOT segel_act()"
    " BEGIN SELECT RAISE(ABORT, 'a change of state names the act that made it'); END;"
    /* Only one thing may still be learned about a revoked certificate: that its key leaked. */
    "CREATE TRIGGER cert_revoked_is_final BEFORE UPDATE ON cert"
    " WHEN OLD.state = 'dicabut' AND (NEW.state IS NOT 'dicabut' OR NEW.code IS NOT OLD.code"
    "  OR NEW.reason IS NOT OLD.reason OR NEW.successor IS NOT OLD.successor OR NEW.compromised < OLD.compromised"
    "  OR (OLD.compromised = 1 AND NEW.state_act IS NOT OLD.state_act))"
    " BEGIN SELECT RAISE(ABORT, 'revoked (dicabut) is final; apply for a new certificate'); END;"
    "CREATE TRIGGER cert_replaced_stays BEFORE UPDATE ON cert"
    " WHEN OLD.state = 'diganti' AND (NEW.state NOT IN ('diganti', 'dicabut') OR NEW.successor IS NOT OLD.successor)"
    " BEGIN SELECT RAISE(ABORT, 'a replaced (diganti) certificate does not come back; it can only be revoked'); END;"
    "CREATE TRIGGER cert_compromise_spreads AFTER UPDATE OF compromised ON cert"
    " WHEN NEW.compromised = 1 AND OLD.compromised = 0"
    " BEGIN UPDATE cert SET state = 'dicabut', compromised = 1, hold_until = NULL, state_act = NEW.state_act,"
    "  code = CASE state WHEN 'dicabut' THEN code ELSE NEW.code END,"
    "  reason = CASE state WHEN 'dicabut' THEN reason ELSE 'same public key as certificate ' || NEW.id END"
    "  WHERE spki = NEW.spki AND compromised = 0; END;"

    "CREATE TABLE binding ("
    " id INTEGER PRIMARY KEY,"
    " cert INTEGER NOT NULL REFERENCES cert(id),"
    " purpose TEXT NOT NULL CHECK (purpose IN ('verify', 'encrypt', 'seal', 'client')),"
    " address INTEGER REFERENCES address(id),"
    " unit INTEGER REFERENCES unit(id),"
    " domain INTEGER REFERENCES domain(id),"
    " decision TEXT NOT NULL,"                /* by which decision or letter; "" = none named */
    " to_at INTEGER CHECK (to_at IS NULL OR from_at < to_at),"
    SPAN ","
    " CHECK ((address IS NOT NULL) + (unit IS NOT NULL) + (domain IS NOT NULL) = 1),"
    " CHECK (ended_at IS NULL OR (end_reason IS NOT NULL AND " FILLED("end_reason") "))"
    ") STRICT;"
    "CREATE INDEX binding_address ON binding(address, purpose);"
    "CREATE INDEX binding_unit ON binding(unit, purpose);"
    "CREATE INDEX binding_domain ON binding(domain, purpose);"
    "CREATE INDEX binding_cert ON binding(cert);"
    LAWS("binding", "cert, purpose, address, unit, domain, decision, to_at",
        "t.cert = NEW.cert AND t.purpose = NEW.purpose AND t.ended_at IS NULL AND t.address IS NEW.address"
        " AND t.unit IS NEW.unit AND t.domain IS NEW.domain"
        " AND (t.to_at IS NULL OR t.to_at > NEW.from_at)"
        " AND (NEW.to_at IS NULL OR t.from_at < NEW.to_at)",
        "this certificate is bound there for this purpose; end that binding first")
    "CREATE TRIGGER binding_of_usable BEFORE INSERT ON binding"
    " WHEN EXISTS (SELECT 1 FROM cert WHERE id = NEW.cert AND state IN ('dicabut', 'diganti'))"
    " BEGIN SELECT RAISE(ABORT, 'a revoked or replaced certificate is not bound any more'); END;"
    "CREATE TRIGGER binding_before_expiry BEFORE INSERT ON binding"
    " WHEN EXISTS (SELECT 1 FROM cert WHERE id = NEW.cert AND not_after < NEW.from_at)"
    " BEGIN SELECT RAISE(ABORT, 'the certificate expires before the binding begins'); END;"
    "CREATE TRIGGER binding_fit BEFORE INSERT ON binding"
    " WHEN EXISTS (SELECT 1 FROM cert WHERE id = NEW.cert"
    "  AND ((NEW.purpose IN ('seal', 'verify') AND may_sign = 0) OR (NEW.purpose = 'encrypt' AND may_encrypt = 0)))"
    " BEGIN SELECT RAISE(ABORT, 'the certificate''s key usage does not allow this purpose'); END;"
    "CREATE TRIGGER binding_personal BEFORE INSERT ON binding"
    " WHEN EXISTS (SELECT 1 FROM cert WHERE id = NEW.cert AND kind = 'individu'"
    "  AND (NEW.address IS NULL OR NEW.purpose = 'seal'))"
    " BEGIN SELECT RAISE(ABORT, 'a personal (individu) certificate is its owner''s: it is bound to an address only,"
    " and never to seal with'); END;"
    "CREATE TRIGGER binding_to_current BEFORE INSERT ON binding"
    " WHEN EXISTS (SELECT 1 FROM address WHERE id = NEW.address AND ended_at IS NOT NULL)"
    "  OR EXISTS (SELECT 1 FROM unit WHERE id = NEW.unit AND ended_at IS NOT NULL)"
    "  OR EXISTS (SELECT 1 FROM domain WHERE id = NEW.domain AND ended_at IS NOT NULL)"
    " BEGIN SELECT RAISE(ABORT, 'the address, unit or domain to bind to has ended'); END;";

/*
 * What Postfix shall demand of a next hop (tls.h). `domain` is the one that the hop names; it is null in
 * ".domain" and for an address in brackets. `matches` are words with a blank between, in an alphabet that cannot
 * end an attribute or begin another one.
 */
static const char tls_policies[] =
    "CREATE TABLE tls_policy ("
    " id INTEGER PRIMARY KEY,"
    " hop TEXT NOT NULL CHECK (" FILLED("hop") " AND hop NOT GLOB '*[^]a-z0-9._:[-]*'),"
    " domain TEXT,"
    " level TEXT NOT NULL CHECK (level IN ('may', 'dane', 'encrypt', 'dane-only', 'fingerprint', 'verify', 'secure')),"
    " matches TEXT CHECK (matches IS NULL OR (" FILLED("matches") " AND matches NOT GLOB '*[^a-zA-F0-9._: -]*')),"
    " decision TEXT CHECK (decision IS NULL OR " FILLED("decision") "),"
    SPAN ","
    " CHECK (domain IS NOT NULL OR substr(hop, 1, 1) IN ('.', '[')),"
    " CHECK (domain IS NULL OR hop IN (domain, '[' || domain || ']')"
    "  OR substr(hop, 1, length(domain) + 1) = domain || ':' OR substr(hop, 1, length(domain) + 3) = '[' || domain || ']:'),"
    " CHECK (level <> 'fingerprint' OR matches IS NOT NULL),"
    " CHECK (matches IS NULL OR level IN ('fingerprint', 'verify', 'secure'))"
    ") STRICT;"
    "CREATE INDEX tls_policy_history ON tls_policy(hop);"
    "CREATE UNIQUE INDEX tls_policy_hop ON tls_policy(hop) WHERE ended_at IS NULL;"
    LAWS("tls_policy", "hop, domain, level, matches, decision",
        "t.hop = NEW.hop AND t.ended_at IS NULL", "this next hop has a TLS policy; end it first")
    "CREATE TRIGGER tls_policy_of_official BEFORE INSERT ON tls_policy"
    " WHEN NEW.level IN ('may', 'dane') AND EXISTS (SELECT 1 FROM domain d WHERE d.name = NEW.domain AND d.ended_at IS NULL)"
    " BEGIN SELECT RAISE(ABORT, 'the domain is official: mail for it never goes in clear, and may or dane would let it');"
    " END;";

/*
 * Who may look at held mail and let it go: a UNIX login with one role at a time (policy/permit.h has the words and
 * says what each may do). No role is for ever by accident: it ends with its term, its end, or its person.
 */
static const char reviewers[] =
    "CREATE TABLE reviewer ("
    " id INTEGER PRIMARY KEY,"
    " person INTEGER NOT NULL REFERENCES person(id),"
    " login TEXT NOT NULL CHECK (" FILLED("login") "),"
    " role TEXT NOT NULL CHECK (role IN ('pegawai', 'helpdesk', 'analis', 'manajer', 'petugas-op', 'auditor',"
    "  'pelindung-data', 'administrator')),"
    " appointment TEXT NOT NULL CHECK (" FILLED("appointment") "),"
    " to_at INTEGER CHECK (to_at IS NULL OR from_at < to_at),"
    SPAN ") STRICT;"
    "CREATE INDEX reviewer_login ON reviewer(login);"
    "CREATE INDEX reviewer_person ON reviewer(person);"
    LAWS("reviewer", "person, login, role, appointment, to_at",
        "t.login = NEW.login AND t.ended_at IS NULL"
        " AND (t.to_at IS NULL OR t.to_at > (SELECT at FROM act WHERE seq = segel_act()))",
        "this UNIX login is a reviewer already; end that appointment first")
    "CREATE TRIGGER reviewer_person_current BEFORE INSERT ON reviewer"
    " WHEN EXISTS (SELECT 1 FROM person WHERE id = NEW.person AND ended_at IS NOT NULL)"
    " BEGIN SELECT RAISE(ABORT, 'the person to be appointed has ended'); END;"
    "CREATE TRIGGER person_ends_without_review BEFORE UPDATE OF ended_at ON person"
    " WHEN EXISTS (SELECT 1 FROM reviewer r, act a WHERE a.seq = segel_act() AND r.person = OLD.id AND r.ended_at IS NULL"
    "  AND (r.to_at IS NULL OR a.at < r.to_at))"
    " BEGIN SELECT RAISE(ABORT, 'the person still has an appointment as reviewer; end that first'); END;";

/*
 * What the programs of a certificate's owner can read beyond what every program can (encrypt.h has the words). Said by an
 * officer, or taken from mail that the owner signed. A certificate that cannot be encrypted to has none.
 */
static const char capabilities[] =
    "CREATE TABLE capability ("
    " id INTEGER PRIMARY KEY,"
    " cert INTEGER NOT NULL REFERENCES cert(id),"
    " word TEXT NOT NULL CHECK (word IN ('gcm', 'oaep')),"
    " source TEXT NOT NULL CHECK (source IN ('officer', 'mail')),"
    SPAN ") STRICT;"
    "CREATE INDEX capability_history ON capability(cert);"
    "CREATE UNIQUE INDEX capability_cert ON capability(cert, word) WHERE ended_at IS NULL;"
    LAWS("capability", "cert, word, source", "t.cert = NEW.cert AND t.word = NEW.word AND t.ended_at IS NULL",
        "this certificate has that capability already")
    "CREATE TRIGGER capability_of_encrypting BEFORE INSERT ON capability"
    " WHEN EXISTS (SELECT 1 FROM cert WHERE id = NEW.cert AND (may_encrypt = 0 OR state IN ('dicabut', 'diganti')))"
    " BEGIN SELECT RAISE(ABORT, 'nothing is encrypted to this certificate: its key usage does not allow it, or it is revoked or"
    " replaced'); END;";

/* One step a version: all of its texts in one transaction. */
static const char *const steps[SCHEMA_VERSION][4] = {
	{ people, addresses, certificates, NULL },
	{ tls_policies, NULL },
	{ reviewers, NULL },
	{ capabilities, NULL },
};

static int
run(sqlite3 *db, const char *sql, struct err *err)
{
	if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
		return err_set(err, ERR_TEMP, "cannot write the registry's tables: %s", sqlite3_errmsg(db));
	return 0;
}

static int
run_step(sqlite3 *db, int step, struct err *err)
{
	for (const char *const *sql = steps[step]; *sql; sql++)
		if (run(db, *sql, err) == -1)
			return err_wrap(err, "schema step %d", step + 1);
	return 0;
}

int
schema_apply(sqlite3 *db, int have, struct err *err)
{
	char mark[96];

	for (int step = have; step < SCHEMA_VERSION; step++)
		if (run_step(db, step, err) == -1)
			return -1;
	sqlite3_snprintf(sizeof(mark), mark, "PRAGMA application_id=%d; PRAGMA user_version=%d",
	    SCHEMA_APPLICATION, SCHEMA_VERSION);
	return run(db, mark, err);
}

static int
pragma_number(sqlite3 *db, const char *sql, int *ret)
{
	sqlite3_stmt *stmt = NULL;
	int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);

	if (rc == SQLITE_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW)
		*ret = sqlite3_column_int(stmt, 0);
	sqlite3_finalize(stmt);
	return rc == SQLITE_ROW ? 0 : -1;
}

/* A program that may only read cannot make the files beside the database: a restored backup lacks them. */
static const char *
remedy(sqlite3 *db)
{
	switch (sqlite3_errcode(db) & 0xff) {
	case SQLITE_READONLY:
	case SQLITE_CANTOPEN:
		return "; its -wal and -shm are missing or of another copy: run `segelctl unit list` as root, which makes them";
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return "; another program keeps it locked: end that";
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return "; it is damaged: restore a backup";
	}
	return "";
}

enum schema_state
schema_check(sqlite3 *db, const char *file, struct err *err)
{
	int application = 0, version = 0;

	if (pragma_number(db, "PRAGMA application_id", &application) == -1
	    || pragma_number(db, "PRAGMA user_version", &version) == -1) {
		(void)err_set(err, ERR_TEMP, "registry '%s' cannot be read: %s%s", file, sqlite3_errmsg(db), remedy(db));
		return SCHEMA_UNREADABLE;
	}
	if (application != SCHEMA_APPLICATION) {
		(void)err_set(err, ERR_CONFIG, "'%s' is no Segel registry (application_id %d, wanted %d); "
		    "make one with `segelctl init` under another name", file, application, SCHEMA_APPLICATION);
		return SCHEMA_FOREIGN;
	}
	if (version > SCHEMA_VERSION) {
		(void)err_set(err, ERR_CONFIG, "registry '%s' has schema %d, this program knows up to %d; "
		    "install the newer Segel that wrote it", file, version, SCHEMA_VERSION);
		return SCHEMA_NEWER;
	}
	if (version < SCHEMA_VERSION) {
		(void)err_set(err, ERR_CONFIG, "registry '%s' has schema %d, this program wants %d; "
		    "run `segelctl init --migrate`", file, version, SCHEMA_VERSION);
		return SCHEMA_OLDER;
	}
	return SCHEMA_OURS;
}
