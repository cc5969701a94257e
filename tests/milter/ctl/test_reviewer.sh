#!/bin/bash
# segelctl reviewer as an officer meets it: exit codes, texts, JSON, and what stands in the registry after, told by the
# sqlite3 program.
# shellcheck source=tests/milter/ctl/desk.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/desk.sh"
needs sqlite3 jq
CTL_ALWAYS=(--registry r.db)

want "a registry" 0 "first officer" init --name "Siti Rahma" --appointment "SK 12/2026"
want "a person" 0 "registered" person add Budi
want "another one" 0 "registered" person add Tuti

# --- add ---
for role in pegawai helpdesk analis manajer petugas-op auditor pelindung-data administrator; do
	want "role $role" 0 "UNIX login x-$role appointed as reviewer" reviewer add "x-$role" --person Budi --role $role --appointment "SK 1"
	want "role $role again" 3 "is a reviewer already" reviewer add "x-$role" --person Tuti --role $role --appointment "SK 1"
done
want "a role that is none" 2 "wanted one of pegawai, helpdesk, analis, manajer, petugas-op, auditor, pelindung-data, administrator" \
	reviewer add tuti --person Tuti --role kepala --appointment "SK 1"
want "a role in capitals" 2 "wanted one of" reviewer add tuti --person Tuti --role Analis --appointment "SK 1"
want "no role" 2 "--role" reviewer add tuti --person Tuti --appointment "SK 1"
want "no letter" 2 "--appointment" reviewer add tuti --person Tuti --role analis
want "an empty letter" 3 "CHECK constraint" reviewer add tuti --person Tuti --role analis --appointment " "
want "a person who is none" 1 "no current person 'Nobody'" reviewer add tuti --person Nobody --role analis --appointment "SK 1"
want "an end that is none" 2 "is no time" reviewer add tuti --person Tuti --role analis --appointment "SK 1" --to tomorrow
want "an end in the past" 3 "CHECK constraint" reviewer add tuti --person Tuti --role analis --appointment "SK 1" --to 2020-01-01
want "dry" 0 "dry run, nothing was kept" reviewer add tuti --person Tuti --role analis --appointment "SK 1" --dry-run
stands "nothing but the eight was kept" 8 "SELECT count(*) FROM reviewer"
want "with an end" 0 "number 9: analis" reviewer add tuti --person Tuti --role analis --appointment "SK 7" --to 2099-12-31
stands "it stands there" "Tuti|tuti|analis|SK 7|4102358400" \
	"SELECT p.name, r.login, r.role, r.appointment, r.to_at FROM reviewer r JOIN person p ON p.id=r.person WHERE r.id=9"
stands "and on record" "root|reviewer add|tuti|analis: SK 7" "SELECT login, verb, object, detail FROM act ORDER BY seq DESC LIMIT 1"

# --- list, end ---
answers "list" 'length == 9 and .[8].login == "tuti" and .[8].role == "analis" and .[8].person == "Tuti" and .[8].ended == null' reviewer list
want "her person does not end" 3 "appointment as reviewer; end that first" person end Tuti
want "end" 0 "reviewer tuti ended" reviewer end tuti --reason mutasi
want "end twice" 1 "no current reviewer 'tuti'" reviewer end tuti
want "a reviewer who never was" 1 "segelctl reviewer list" reviewer end nobody
answers "gone from the list" 'length == 8' reviewer list
answers "but not from the history" 'length == 9 and .[8].ended != null' reviewer list --all
stands "with its reason" "mutasi" "SELECT end_reason FROM reviewer WHERE id=9"
want "now it ends" 0 "ended" person end Tuti
want "nobody for whom it ended" 1 "no current person" reviewer add tuti --person Tuti --role manajer --appointment "SK 8"

# --- only officers ---
want "root's office ends, for another's" 0 "appointed" officer add nobody --person Budi --appointment "SK 2"
want "gone" 0 "ended" officer end root
want "no officer adds nothing" 3 "no officer of the registry" reviewer add tuti --person Budi --role analis --appointment "SK 1"
want "no officer ends nothing" 3 "no officer of the registry" reviewer end x-analis
want "but may read" 0 "x-analis" reviewer list

finish
