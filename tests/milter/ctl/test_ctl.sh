#!/bin/bash
# segelctl as an officer meets it: exit codes, texts, JSON, and what stands in the registry after.
# The sqlite3 program and openssl are the judges.
# shellcheck source=tests/milter/ctl/desk.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/desk.sh"
needs sqlite3 openssl jq "$MKPKI"
CTL_ALWAYS=(--registry r.db)

# json NAME FILTER: the last answer, as jq reads it
json() {
	if jq -e "$2" out >/dev/null 2>>err; then say ok; else say no "$1: $2"; fi
}

# row NAME SQL TEXT: what another program reads in the registry
row() {
	local got
	got=$(sqlite3 -readonly r.db "$2" 2>&1)
	if [ "$got" = "$3" ]; then say ok; else say no "$1: '$got', wanted '$3'"; fi
}

"$MKPKI" --out ca --ca --cn "Demo CA" --from -1d --to +10y --key p256 >/dev/null || exit 1
for who in kota budi baru bocor; do
	"$MKPKI" --out $who --ca-of ca --cn $who --email $who@kota.example --from -1d --to +2y --key p256 >/dev/null || exit 1
done
"$MKPKI" --out lewat --ca-of ca --cn lewat --email lewat@kota.example --from -2d --to -1d --key p256 >/dev/null || exit 1
cat kota.crt kota.key >both.pem
head -c 100 kota.der >cut.der
{ cat kota.der; echo x; } >behind.der
sha() { openssl x509 -in "$1" -outform DER | sha256sum | cut -d' ' -f1; }
ME=$(id -un)

# words that are not known
want "no words" 2 "no command"
want "help" 0 "Usage: segelctl" --help
want "help of a noun" 0 "cert import FILE" cert --help
want "help of a verb" 0 "--until TIME" cert hold --help
want "unknown noun names the nearest" 2 "nearest is 'cert'" crt
want "unknown verb names the nearest" 2 "nearest is 'cert find'" cert fnd
want "unknown option names the nearest" 2 "nearest is '--reason'" cert hold 1 --reson x
want "no verb" 2 "wants a verb" cert
want "no argument" 2 "CERT is missing" cert show
want "one argument too many" 2 "one word too many" cert show 1 2
want "a required option is missing" 2 "--reason" cert hold 1
want "an option without its value" 2 "wants a value" cert hold 1 --reason
want "an option twice" 2 "given twice" cert hold 1 --reason a --reason b
want "a value for a flag" 2 "takes no value" cert list --all=yes
want "--json on a writing verb" 2 "unknown option" unit add A B --json
want "--dry-run on a reading verb" 2 "unknown option" unit list --dry-run
want "a purpose that is none" 2 "wanted one of" bind add 1 --purpose decor --unit A
want "a time that is none" 2 "is no time" cert hold 1 --reason x --until morgen
want "a day that is none" 2 "is no time" cert hold 1 --reason x --until 2026-02-31
want "a code that is none" 2 "wanted one of" cert revoke 1 --reason BOSAN

# no registry yet
want "nothing to list" 4 "segelctl init" unit list
want "nothing to write" 4 "segelctl init" unit add A B
want "nothing to migrate" 4 "segelctl init" init --migrate
want "init without the officer" 2 "--appointment" init
want "init, dry" 0 "dry run" init --name Ani --appointment "SK 1" --dry-run
[ ! -e r.db ] && say ok || say no "a dry init left a file"
want "init" 0 "UNIX login $ME" init --name Ani --appointment "SK 1"
want "init again" 3 "exists" init --name Ani --appointment "SK 1"
want "migrate" 0 "nothing to do" init --migrate
row "journal" "PRAGMA journal_mode" "wal"
row "sound" "PRAGMA integrity_check" "ok"
[ "$(stat -c %a r.db)" = 640 ] && say ok || say no "mode of the registry"
"$CTL" -c nihil.conf officer list >out 2>err
[ $? = 4 ] && grep -q nihil.conf err && say ok || say no "settings that are not there"
printf 'registry: { file = "%s/r.db"; };\n' "$DIR" >segel.conf
"$CTL" -c segel.conf officer list >out 2>err && grep -q "$ME" out && say ok || say no "the registry of the settings"

# people and addresses
want "unit" 0 "unit DISHUB registered" unit add DISHUB "Dinas Perhubungan"
want "unit, dry" 0 "dry run" unit add DINKES "Dinas Kesehatan" --dry-run
row "a dry run keeps nothing" "SELECT count(*) FROM unit" 1
row "nor an act" "SELECT count(*) FROM act WHERE verb='unit add'" 1
want "unit again" 3 "is registered" unit add DISHUB x
want "unit without a name" 3 "law" unit add X " "
want "domain" 0 "registered" domain add Kota.example --fold
want "domain that is none" 3 "no domain name" domain add "kota example"
want "person" 0 "registered" person add Budi --unit DISHUB
want "person of a unit that is not" 1 "no current unit" person add Siti --unit NIHIL
want "person lain without a rule" 3 "--policy" person add Tamu --category lain
want "system" 0 "registered" system add e-surat --unit DISHUB --host 10.0.0.5
want "address" 0 "registered" address add Budi@Kota.example --unit DISHUB --person Budi
want "address again, other case" 3 "is registered" address add budi@kota.EXAMPLE --unit DISHUB
want "address of an unregistered domain" 1 "no current domain" address add budi@desa.example --unit DISHUB
want "address of nobody" 3 "belongs to nobody" address add siti@kota.example
want "address that is none" 3 "no plain mail address" address add "budi (x)@kota.example" --unit DISHUB
want "second address" 0 "registered" address add kadis@kota.example --unit DISHUB
want "login of two" 0 "owns" login add budi --address budi@kota.example kadis@kota.example
row "both" "SELECT count(*) FROM login WHERE login='budi'" 2
want "login, one good and one bad" 1 "no current address" login add siti --address budi@kota.example nihil@kota.example
row "neither" "SELECT count(*) FROM login WHERE login='siti'" 0
want "login ends for one" 0 "no more" login end budi --address kadis@kota.example
want "login ends for it again" 1 "owns not" login end budi --address kadis@kota.example
want "unit with addresses ends" 3 "still has" unit end DISHUB
want "person with an address ends" 3 "still has" person end Budi
want "list" 0 "DISHUB" unit list --json
json "list" 'length == 1 and .[0].code == "DISHUB" and .[0].ended == null'

# certificates
want "inspect" 0 "$(sha kota.crt)" cert inspect kota.crt
want "inspect, json" 0 "" cert inspect kota.der --json
json "inspect" ".sha256 == \"$(sha kota.crt)\" and .addresses == \"kota@kota.example\" and .ca == false"
want "import" 0 "certificate 1 registered as jabatan, sha256 $(sha kota.crt)" cert import kota.crt --kind jabatan
row "import" "SELECT lower(hex(sha256)) || kind || state FROM cert" "$(sha kota.crt)jabatanaktif"
sqlite3 r.db "SELECT writefile('back.der', der) FROM cert WHERE id=1" >/dev/null
openssl x509 -in back.der -inform DER -noout -subject >out 2>err && grep -q kota out && say ok || say no "openssl reads it back"
want "import again" 3 "is registered" cert import kota.der --kind jabatan
want "import, dry" 0 "dry run" cert import budi.crt --kind individu --dry-run
row "a dry import keeps nothing" "SELECT count(*) FROM cert" 1
want "a key" 3 "private key" cert import kota.key --kind jabatan
want "a certificate with its key" 3 "private key" cert import both.pem --kind jabatan
want "a CA" 3 "CA" cert import ca.crt --kind sistem
want "a cut file" 3 "cut.der" cert import cut.der --kind jabatan
want "a file with more behind" 3 "behind.der" cert import behind.der --kind jabatan
want "no file" 1 "No such file" cert import nihil.crt --kind jabatan
want "a kind that is none" 2 "wanted one of" cert import budi.crt --kind pribadi
want "personal" 0 "individu" cert import budi.crt --kind individu
want "expired" 0 "registered" cert import lewat.crt --kind jabatan
row "no key anywhere" "SELECT count(*) FROM cert WHERE instr(der, CAST('PRIVATE' AS BLOB))" 0
want "show by number" 0 "$(sha kota.crt)" cert show 1
want "show by digits" 0 "$(sha kota.crt)" cert show "$(sha kota.crt | cut -c1-8)"
want "show by capitals" 0 "aktif" cert show "$(sha kota.crt | cut -c1-9 | tr a-f A-F)"
want "show by too few digits" 1 "first 6 or more" cert show "$(sha kota.crt | cut -c1-5)x"
want "show what is not" 1 "no certificate" cert show 99
want "list leaves out the expired" 0 "" cert list --json
json "list" 'map(.id) == [1, 2]'
want "list of all" 0 "" cert list --all --json
json "list of all" 'map(.id) == [1, 2, 3]'

# bindings and what the gateway would decide
want "find before" 1 "none" cert find budi@kota.example
want "bind to two things" 2 "exactly one" bind add 1 --purpose seal --unit DISHUB --domain kota.example
want "bind to nothing" 2 "exactly one" bind add 1 --purpose seal
want "bind" 0 "binding 1" bind add 1 --purpose seal --unit DISHUB --decision "Kep. 7"
want "bind twice" 3 "end that binding first" bind add "$(sha kota.crt | cut -c1-6)" --purpose seal --unit DISHUB
want "bind the personal one to seal" 3 "individu" bind add 2 --purpose seal --address budi@kota.example
want "bind the personal one to verify" 0 "binding" bind add 2 --purpose verify --address budi@kota.example
want "bind the expired one" 3 "expires before" bind add 3 --purpose seal --unit DISHUB
want "bind into the past" 3 "now or later" bind add 1 --purpose verify --unit DISHUB --from 2020-01-01
want "bind to what is not" 1 "no current address" bind add 1 --purpose seal --address nihil@kota.example
want "find" 0 "usable" cert find BUDI@kota.example
want "find, json" 0 "" cert find budi@kota.example --json
json "find" ".answer == \"found\" and .bound == \"unit\" and .cert == 1 and .sha256 == \"$(sha kota.crt)\""
want "find another purpose" 0 "the address itself" cert find budi@kota.example --purpose verify
want "find a stranger" 1 "is not" cert find siti@kota.example
want "bindings of one" 0 "" bind list --cert 2 --json
json "bindings of one" 'length == 1 and .[0].purpose == "verify" and .[0].name == "Budi@Kota.example"'

# states
want "hold without words" 3 "reason" cert hold 1 --reason " "
want "hold, dry" 0 "dry run" cert hold 1 --reason x --dry-run
want "find after a dry hold" 0 "usable" cert find budi@kota.example
want "hold" 0 "ditahan" cert hold 1 --reason "$(printf 'lapor\033[2J\342\200\256')"
if grep -q "$(printf '\033')" out; then say no "a control character on the terminal"; else say ok; fi
grep -qF 'lapor\x1B[2J' out && say ok || say no "the escape is shown"
want "find held" 1 "held" cert find budi@kota.example
want "a longer hold" 0 "ditahan" cert hold 1 --reason x
want "unhold" 0 "aktif" cert unhold 1 --reason "kunci ditemukan"
want "find again" 0 "usable" cert find budi@kota.example
want "hold that ends in the past" 3 "before it begins" cert hold 1 --reason x --until 2020-01-01
want "hold with an end" 0 "ditahan" cert hold 1 --reason cuti --until 2100-01-01T00:00:00Z
want "shown with its end" 0 "2100-01-01" cert show 1
want "unhold" 0 "aktif" cert unhold 1 --reason "kembali"
want "import the renewed one" 0 "certificate 4" cert import baru.crt --kind jabatan
want "replace by another kind" 3 "of the same kind" cert replace 1 --by 2
want "replace by itself" 3 "another one" cert replace 1 --by 1
want "replace" 0 "diganti" cert replace 1 --by "$(sha baru.crt | cut -c1-10)"
want "find the renewed one" 0 "" cert find budi@kota.example --json
json "the renewed one" '.cert == 4 and .bound == "unit"'
want "hold a replaced one" 3 "is diganti" cert hold 1 --reason x
want "revoke for moving" 0 "dicabut" cert revoke 4 --reason MUTASI --note "SK 9"
want "find revoked" 1 "revoked" cert find budi@kota.example --json
json "revoked" '.reason == "MUTASI: SK 9" and .state == "dicabut"'
want "unhold a revoked one" 3 "revoked is final" cert unhold 4 --reason x
want "revoke again" 3 "final" cert revoke 4 --reason PENSIUN
want "bind a revoked one" 3 "not bound any more" bind add 4 --purpose verify --unit DISHUB
want "import the one that will leak" 0 "certificate 5" cert import bocor.crt --kind jabatan
want "revoke for a leak" 0 "dicabut" cert revoke 5 --reason KUNCI_BOCOR
openssl req -new -key bocor.key -subj "/CN=lagi" 2>/dev/null |
	openssl x509 -req -CA ca.crt -CAkey ca.key -days 300 -out lagi.crt 2>/dev/null
want "the leaked key in another certificate" 3 "never comes back" cert import lagi.crt --kind jabatan
want "end a binding" 0 "ended" bind end 2 --reason pindah
want "end it again" 3 "set once" bind end 2 --reason pindah
want "end what is not" 1 "no binding" bind end 99 --reason x
want "find after the end" 1 "ended" cert find budi@kota.example --purpose verify

# the judge: the laws hold for another program
for sql in "DELETE FROM cert" "UPDATE cert SET state='aktif'" "DELETE FROM act" "INSERT OR REPLACE INTO unit SELECT * FROM unit"; do
	if sqlite3 r.db "$sql" >out 2>err; then say no "sqlite3 could: $sql"; else say ok; fi
done
row "still there" "SELECT count(*) FROM cert" 5
row "sound" "PRAGMA integrity_check" "ok"

# who acts
want "history" 0 "" act list --json
json "each act has its officer" "length > 15 and all(.[]; .officer == \"$ME\")"
want "the last officer" 3 "last officer without a term" officer end "$ME"
want "officer of nobody" 1 "no current person" officer add daemon --person Nihil --appointment "SK 2"
if [ "$(id -u)" = 0 ]; then
	chmod 755 "$DIR"
	SUDO_UID=1 want "sudo by a login that is no officer" 3 "segelctl officer add daemon" unit add X x
	SUDO_UID=4000000 want "sudo by nobody" 4 "no login name" unit add X x
	SUDO_UID=1x want "sudo by no number" 4 "SUDO_UID" unit add X x
	want "appoint" 0 "appointed" officer add daemon --person Budi --appointment "SK 2"
	SUDO_UID=1 want "sudo by the new officer" 0 "registered" unit add X x
	row "the act is the officer's" "SELECT login FROM act ORDER BY seq DESC LIMIT 1" daemon
	want "end the appointment" 0 "ended" officer end daemon
	SUDO_UID=1 want "sudo by the former officer" 3 "no officer" unit add Y y
	# Without real uid 0, SUDO_UID is anybody's own invention.
	cp "$CTL" ctl
	chmod 755 ctl
	chmod 644 r.db r.db-wal r.db-shm
	setpriv --reuid=1 --regid=1 --clear-groups env SUDO_UID=0 "$DIR/ctl" --registry "$DIR/r.db" unit add Z z >out 2>err
	[ $? = 4 ] && grep -q "may not be written" err && say ok || say no "a plain user with SUDO_UID set"
	setpriv --reuid=1 --regid=1 --clear-groups "$DIR/ctl" --registry "$DIR/r.db" unit list >out 2>err && say ok || say no "a plain user reads"
fi

# broken surroundings
cp r.db damaged.db
printf 'noise' | dd of=damaged.db conv=notrunc 2>/dev/null
"$CTL" --registry damaged.db cert list >out 2>err
[ $? = 4 ] && say ok || say no "a damaged registry"
"$CTL" --registry r.db cert list >/dev/full 2>err
[ $? = 4 ] && say ok || say no "an answer that cannot be written"

finish
