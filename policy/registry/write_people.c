/* The verbs of write.h for units, persons, systems, domains, addresses, logins, officers and reviewers. */
#include <stdio.h>
#include <string.h>

#include "policy/registry/db.h"
#include "policy/registry/schema.h"
#include "policy/registry/writer.h"

#define END(table) "UPDATE " table " SET ended_at=?2, end_reason=?3, end_act=?4 WHERE id=?1"

static enum write_outcome
missing(enum write_outcome outcome, struct err *err, const char *what, const char *name, const char *remedy)
{
	if (outcome == WRITE_NOT_FOUND)
		return writer_fail(outcome, err, "no current %s '%.320s' is registered; %s", what, name, remedy);
	if (outcome == WRITE_REFUSED)
		return writer_fail(outcome, err, "there is more than one %s '%.320s'; %s", what, name, "give its number");
	return outcome;
}

enum write_outcome
writer_unit(struct registry_writer *writer, const char *code, int64_t *id, struct err *err)
{
	return missing(writer_ask(writer, id, err, "SELECT id FROM unit WHERE code=?1 AND ended_at IS NULL", "t", code),
	    err, "unit", code, "`segelctl unit list` shows them, `segelctl unit add` makes one");
}

enum write_outcome
writer_person(struct registry_writer *writer, const char *person, int64_t *id, struct err *err)
{
	return missing(writer_ask(writer, id, err,
	    "SELECT id FROM person WHERE (name=?1 OR CAST(id AS TEXT)=?1) AND ended_at IS NULL", "t", person),
	    err, "person", person, "`segelctl person list` shows them, `segelctl person add` makes one");
}

enum write_outcome
writer_domain(struct registry_writer *writer, const char *name, int64_t *id, struct err *err)
{
	char norm[LIMIT_ADDRESS_BYTES + 1];

	/* What is no domain is none that is registered. */
	if (!domain_normalise(name, norm))
		norm[0] = '\0';
	return missing(writer_ask(writer, id, err, "SELECT id FROM domain WHERE name=?1 AND ended_at IS NULL", "t", norm),
	    err, "domain", name, "`segelctl domain list` shows them, `segelctl domain add` makes one");
}

enum write_outcome
writer_normalise(struct registry_writer *writer, const char *address, int64_t *domain, char *norm, struct err *err)
{
	enum write_outcome outcome;
	int64_t fold = 0;

	if (!address_normalise(address, false, norm))
		return writer_fail(WRITE_REFUSED, err, "'%.320s' is no plain mail address (wanted local@domain, without quotes, "
		    "blanks or comments)", address);
	outcome = writer_domain(writer, strchr(norm, '@') + 1, domain, err);
	if (outcome == WRITE_DONE)
		outcome = writer_ask(writer, &fold, err, "SELECT fold FROM domain WHERE id=?1", "i", *domain);
	if (outcome == WRITE_DONE && !address_normalise(address, fold != 0, norm))
		return writer_fail(WRITE_REFUSED, err, "'%.320s' is no plain mail address", address);
	return outcome;
}

enum write_outcome
writer_address(struct registry_writer *writer, const char *address, int64_t *id, struct err *err)
{
	char norm[LIMIT_ADDRESS_BYTES + 1];
	int64_t domain;
	enum write_outcome outcome = writer_normalise(writer, address, &domain, norm, err);

	if (outcome != WRITE_DONE)
		return outcome;
	return missing(writer_ask(writer, id, err, "SELECT id FROM address WHERE norm=?1 AND ended_at IS NULL", "t", norm),
	    err, "address", address, "`segelctl address list` shows them, `segelctl address add` makes one");
}

/* An optional unit: 0 where none is named. */
static enum write_outcome
unit_or_none(struct registry_writer *writer, const char *code, int64_t *id, struct err *err)
{
	*id = 0;
	return code ? writer_unit(writer, code, id, err) : WRITE_DONE;
}

/* Ends row `id` with the table's END text. */
static enum write_outcome
end_row(struct registry_writer *writer, const char *sql, int64_t id, const char *verb, const char *object,
    const char *reason, struct err *err)
{
	enum write_outcome outcome = writer_act(writer, verb, object, reason, err);

	if (outcome != WRITE_DONE)
		return outcome;
	return writer_run(writer, NULL, err, sql, "iiti", id, writer->now, reason, writer->act);
}

enum write_outcome
write_unit_add(struct registry_writer *writer, const char *code, const char *name, int64_t *id, struct err *err)
{
	enum write_outcome outcome = writer_act(writer, "unit add", code, name, err);

	if (outcome != WRITE_DONE)
		return outcome;
	return writer_run(writer, id, err, "INSERT INTO unit(code, name, from_at, act) VALUES (?1, ?2, ?3, ?4)", "ttii",
	    code, name, writer->now, writer->act);
}

enum write_outcome
write_unit_end(struct registry_writer *writer, const char *code, const char *reason, struct err *err)
{
	int64_t id;
	enum write_outcome outcome = writer_unit(writer, code, &id, err);

	return outcome == WRITE_DONE ? end_row(writer, END("unit"), id, "unit end", code, reason, err) : outcome;
}

enum write_outcome
write_person_add(struct registry_writer *writer, const char *name, const char *category, const char *policy,
    const char *unit, int64_t *id, struct err *err)
{
	int64_t unit_id;
	enum write_outcome outcome = unit_or_none(writer, unit, &unit_id, err);

	if (strcmp(category, "lain") == 0 && !policy)
		return writer_fail(WRITE_REFUSED, err, "a person of category 'lain' needs --policy TEXT: the rule that makes "
		    "other people than ASN users");
	if (outcome == WRITE_DONE)
		outcome = writer_act(writer, "person add", name, category, err);
	if (outcome != WRITE_DONE)
		return outcome;
	return writer_run(writer, id, err,
	    "INSERT INTO person(name, category, policy, unit, from_at, act) VALUES (?1, ?2, ?3, ?4, ?5, ?6)", "tttoii",
	    name, category, policy, unit_id, writer->now, writer->act);
}

enum write_outcome
write_person_end(struct registry_writer *writer, const char *person, const char *reason, struct err *err)
{
	int64_t id;
	enum write_outcome outcome = writer_person(writer, person, &id, err);

	return outcome == WRITE_DONE ? end_row(writer, END("person"), id, "person end", person, reason, err) : outcome;
}

enum write_outcome
write_system_add(struct registry_writer *writer, const char *name, const char *unit, const char *host, int64_t *id,
    struct err *err)
{
	int64_t unit_id;
	enum write_outcome outcome = unit_or_none(writer, unit, &unit_id, err);

	if (outcome == WRITE_DONE)
		outcome = writer_act(writer, "system add", name, host, err);
	if (outcome != WRITE_DONE)
		return outcome;
	return writer_run(writer, id, err,
	    "INSERT INTO system(name, unit, host, from_at, act) VALUES (?1, ?2, ?3, ?4, ?5)", "totii",
	    name, unit_id, host, writer->now, writer->act);
}

enum write_outcome
write_system_end(struct registry_writer *writer, const char *name, const char *reason, struct err *err)
{
	int64_t id;
	enum write_outcome outcome = missing(
	    writer_ask(writer, &id, err, "SELECT id FROM system WHERE name=?1 AND ended_at IS NULL", "t", name),
	    err, "system", name, "`segelctl system list` shows them");

	return outcome == WRITE_DONE ? end_row(writer, END("system"), id, "system end", name, reason, err) : outcome;
}

enum write_outcome
write_domain_add(struct registry_writer *writer, const char *name, const char *kind, bool fold, int64_t *id,
    struct err *err)
{
	char norm[LIMIT_ADDRESS_BYTES + 1];
	enum write_outcome outcome;

	if (!domain_normalise(name, norm))
		return writer_fail(WRITE_REFUSED, err, "'%.255s' is no domain name (wanted letters, digits, dots and hyphens; an "
		    "internationalised one in lower case)", name);
	outcome = writer_act(writer, "domain add", norm, kind, err);
	if (outcome != WRITE_DONE)
		return outcome;
	return writer_run(writer, id, err,
	    "INSERT INTO domain(name, kind, fold, from_at, act) VALUES (?1, ?2, ?3, ?4, ?5)", "ttiii",
	    norm, kind, (int64_t)fold, writer->now, writer->act);
}

enum write_outcome
write_domain_end(struct registry_writer *writer, const char *name, const char *reason, struct err *err)
{
	int64_t id;
	enum write_outcome outcome = writer_domain(writer, name, &id, err);

	return outcome == WRITE_DONE ? end_row(writer, END("domain"), id, "domain end", name, reason, err) : outcome;
}

/*
 * As its owner writes it, but for an internationalised domain, which is shown in A-labels: two that
 * look alike are told apart by an officer then, and the law that norm is the address's own form holds.
 */
static const char *
address_shown(const char *address, char form[LIMIT_ADDRESS_BYTES + 1])
{
	for (const char *c = strchr(address, '@'); c && *c; c++)
		if ((unsigned char)*c >= 0x80)
			return address_normalise(address, false, form) ? form : address;
	return address;
}

enum write_outcome
write_address_add(struct registry_writer *writer, const char *address, const char *unit, const char *person, int64_t *id,
    struct err *err)
{
	char norm[LIMIT_ADDRESS_BYTES + 1], shown[LIMIT_ADDRESS_BYTES + 1];
	int64_t domain, unit_id, person_id = 0;
	enum write_outcome outcome = writer_normalise(writer, address, &domain, norm, err);

	if (outcome == WRITE_DONE && !unit && !person)
		return writer_fail(WRITE_REFUSED, err, "the address '%.320s' belongs to nobody; name its unit, its person or both",
		    address);
	if (outcome == WRITE_DONE)
		outcome = unit_or_none(writer, unit, &unit_id, err);
	if (outcome == WRITE_DONE && person)
		outcome = writer_person(writer, person, &person_id, err);
	if (outcome == WRITE_DONE)
		outcome = writer_act(writer, "address add", norm, unit ? unit : person, err);
	if (outcome != WRITE_DONE)
		return outcome;
	return writer_run(writer, id, err,
	    "INSERT INTO address(address, norm, domain, unit, person, from_at, act) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
	    "ttiooii", address_shown(address, shown), norm, domain, unit_id, person_id, writer->now, writer->act);
}

enum write_outcome
write_address_end(struct registry_writer *writer, const char *address, const char *reason, struct err *err)
{
	int64_t id;
	enum write_outcome outcome = writer_address(writer, address, &id, err);

	return outcome == WRITE_DONE ? end_row(writer, END("address"), id, "address end", address, reason, err) : outcome;
}

enum write_outcome
write_login_add(struct registry_writer *writer, const char *login, const char *address, int64_t *id, struct err *err)
{
	int64_t address_id;
	enum write_outcome outcome = writer_address(writer, address, &address_id, err);

	if (outcome == WRITE_DONE)
		outcome = writer_act(writer, "login add", login, address, err);
	if (outcome != WRITE_DONE)
		return outcome;
	return writer_run(writer, id, err, "INSERT INTO login(login, address, from_at, act) VALUES (?1, ?2, ?3, ?4)",
	    "tiii", login, address_id, writer->now, writer->act);
}

enum write_outcome
write_login_end(struct registry_writer *writer, const char *login, const char *address, const char *reason,
    struct err *err)
{
	int64_t address_id = 0, n = 0;
	enum write_outcome outcome = address ? writer_address(writer, address, &address_id, err) : WRITE_DONE;

	if (outcome == WRITE_DONE)
		outcome = writer_ask(writer, &n, err, "SELECT count(*) FROM login WHERE login=?1 AND ended_at IS NULL"
		    " AND (?2 IS NULL OR address=?2)", "to", login, address_id);
	if (outcome == WRITE_DONE && n == 0)
		return writer_fail(WRITE_NOT_FOUND, err, "login '%.320s' owns %s%.320s now; `segelctl login list` shows what it owns",
		    login, address ? "not " : "no address", address ? address : "");
	if (outcome == WRITE_DONE)
		outcome = writer_act(writer, "login end", login, reason, err);
	if (outcome != WRITE_DONE)
		return outcome;
	return writer_run(writer, NULL, err, "UPDATE login SET ended_at=?2, end_reason=?3, end_act=?4"
	    " WHERE login=?1 AND ended_at IS NULL AND (?5 IS NULL OR address=?5)", "titio",
	    login, writer->now, reason, writer->act, address_id);
}

/* An appointment whose term is over makes room for the next. */
enum write_outcome
write_officer_add(struct registry_writer *writer, const char *login, const char *person, const char *appointment, time_t to,
    int64_t *id, struct err *err)
{
	int64_t person_id;
	enum write_outcome outcome = writer_person(writer, person, &person_id, err);

	if (outcome == WRITE_DONE)
		outcome = writer_act(writer, "officer add", login, appointment, err);
	if (outcome != WRITE_DONE)
		return outcome;
	return writer_run(writer, id, err,
	    "INSERT INTO officer(person, login, appointment, to_at, from_at, act) VALUES (?1, ?2, ?3, ?4, ?5, ?6)", "ittoii",
	    person_id, login, appointment, (int64_t)to, writer->now, writer->act);
}

enum write_outcome
write_officer_end(struct registry_writer *writer, const char *login, const char *reason, struct err *err)
{
	int64_t id;
	enum write_outcome outcome = missing(writer_ask(writer, &id, err,
	    "SELECT o.id FROM officer o WHERE " SQL_CURRENT_TERM("o") " AND o.login=?2", "it", writer->now, login),
	    err, "officer", login, "`segelctl officer list` shows them");

	return outcome == WRITE_DONE ? end_row(writer, END("officer"), id, "officer end", login, reason, err) : outcome;
}

enum write_outcome
write_reviewer_add(struct registry_writer *writer, const char *login, const char *person, const char *role, const char *appointment,
    time_t to, int64_t *id, struct err *err)
{
	AUTO(xfree) char *detail = xasprintf("%s: %s", role, appointment);
	int64_t person_id;
	enum write_outcome outcome = writer_person(writer, person, &person_id, err);

	if (outcome == WRITE_DONE)
		outcome = writer_act(writer, "reviewer add", login, detail, err);
	if (outcome != WRITE_DONE)
		return outcome;
	return writer_run(writer, id, err,
	    "INSERT INTO reviewer(person, login, role, appointment, to_at, from_at, act) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
	    "itttoii", person_id, login, role, appointment, (int64_t)to, writer->now, writer->act);
}

enum write_outcome
write_reviewer_end(struct registry_writer *writer, const char *login, const char *reason, struct err *err)
{
	int64_t id;
	enum write_outcome outcome = missing(writer_ask(writer, &id, err,
	    "SELECT r.id FROM reviewer r WHERE " SQL_CURRENT_TERM("r") " AND r.login=?2", "it", writer->now, login),
	    err, "reviewer", login, "`segelctl reviewer list` shows them");

	return outcome == WRITE_DONE ? end_row(writer, END("reviewer"), id, "reviewer end", login, reason, err) : outcome;
}
