#!/bin/bash
# segelctl encrypt check, encrypt --to and cert set-capability, with certificates, a CA and CRLs that openssl made: what a recipient gets,
# what stands against a certificate, and which of several is taken.
# shellcheck source=tests/milter/ctl/desk.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/desk.sh"
needs sqlite3 jq openssl
CTL_ALWAYS=(--registry r.db)

# json NAME CODE FILTER ARGS...   the filter must be true of what encrypt check prints with --json
json() {
	local name=$1 code=$2 filter=$3 got
	shift 3
	"$CTL" -c segel.conf --registry r.db encrypt check --json "$@" >out 2>err </dev/null
	got=$?
	if [ "$got" = "$code" ] && jq -e "$filter" out >/dev/null && ! grep -q 'Sanitizer\|runtime error' err; then
		say ok
	else
		say no "$name (exit $got)"
	fi
}

do_() { "$CTL" --registry r.db "$@" >out 2>err || { cat err; exit 1; }; }

# --- a CA, its CRLs, and certificates ---
cat >ca.cnf <<'END'
[ca]
default_ca = one
[one]
database = index.txt
new_certs_dir = .
serial = serial
crlnumber = crlnumber
default_md = sha256
default_days = 300
default_crl_days = 30
policy = any
unique_subject = no
certificate = ca.pem
private_key = ca.key
[any]
commonName = supplied
END
touch index.txt; echo 01 >serial; echo 01 >crlnumber
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -days 3000 -subj /CN=CA \
	-addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign 2>/dev/null

# make NAME KEY USAGE [START]   KEY as openssl req -newkey takes it
make_cert() {
	local key=()
	case $2 in
	rsa) key=(-newkey rsa:2048) ;;
	*) key=(-newkey ec -pkeyopt "ec_paramgen_curve:$2") ;;
	esac
	openssl req -new "${key[@]}" -nodes -keyout "$1.key" -out "$1.csr" -subj "/CN=$1" 2>/dev/null
	printf 'basicConstraints=critical,CA:FALSE\nkeyUsage=critical,%s\nextendedKeyUsage=%s\nsubjectAltName=email:%s@tetangga.go.id\n' \
		"$3" "${5:-emailProtection}" "$1" >"$1.ext"
	openssl ca -batch -config ca.cnf -in "$1.csr" -out "$1.pem" -extfile "$1.ext" ${4:+-startdate "$4"} -notext 2>/dev/null ||
		{ echo "openssl ca failed for $1"; exit 1; }
}
make_cert rsa rsa keyEncipherment
make_cert ec P-256 keyAgreement
make_cert ec384 P-384 keyAgreement
make_cert revoked rsa keyEncipherment
make_cert old rsa keyEncipherment 20250101000000Z
make_cert new rsa keyEncipherment 20260101000000Z
make_cert ecwrong P-256 keyEncipherment
make_cert rsawrong rsa keyAgreement
make_cert web rsa keyEncipherment "" serverAuth
openssl req -x509 -newkey rsa:2048 -nodes -keyout self.key -out self.pem -days 300 -subj /CN=self -addext keyUsage=critical,keyEncipherment \
	-addext basicConstraints=critical,CA:FALSE 2>/dev/null
openssl ca -config ca.cnf -revoke revoked.pem 2>/dev/null
mkdir -p trust/anchors/official trust/crl trust/ocsp
cp ca.pem trust/anchors/official/
openssl ca -config ca.cnf -gencrl -out trust/crl/ca.crl 2>/dev/null

do_ init --name Ani --appointment "SK 1"
do_ unit add DISHUB "Dinas Perhubungan"
do_ domain add kota.go.id --kind own
do_ domain add tetangga.go.id --kind partner
do_ domain add sebelah.go.id --kind partner
do_ address add dinas@kota.go.id --unit DISHUB
n=0
for name in rsa ec ec384 revoked old new self; do
	do_ cert import $name.pem --kind jabatan
	n=$((n + 1))
	eval "$name=$n"
	case $name in
	old | new) who=baru ;;
	*) who=$name ;;
	esac
	[ $name = new ] || do_ address add $who@tetangga.go.id --unit DISHUB
	do_ bind add $n --purpose encrypt --address $who@tetangga.go.id
done
do_ bind add 1 --purpose encrypt --domain sebelah.go.id

cat >segel.conf <<END
registry: { file = "$DIR/r.db"; };
trust: { dir = "$DIR/trust"; };
encrypt: {
	use = true;
	rules = ( { to = "bos@tetangga.go.id"; level = "forbid"; }, { to = ".media.example"; level = "never"; },
	          { to = "warga.example"; unit = "DISHUB"; level = "may"; } );
};
END

# --- one recipient ---
json "RSA" 0 '.[0] | .class == "must" and .cert == 1 and .together == "encrypt aes-256-cbc" and .rule == null' rsa@tetangga.go.id
json "P-256" 0 '.[0].cert == 2' ec@tetangga.go.id
json "P-384" 0 '.[0].cert == 3' ec384@tetangga.go.id
json "revoked by its CA" 1 '.[0] | .class == "must-none" and .cert == null and (.why | contains("revocation revoked"))' revoked@tetangga.go.id
want "and said so" 1 "refused: ENC_NO_CERT" -c segel.conf encrypt check revoked@tetangga.go.id
want "by name" 1 "recipients=revoked@tetangga.go.id" -c segel.conf encrypt check revoked@tetangga.go.id
json "the newest of two" 0 '.[0].cert == 6' baru@tetangga.go.id
json "no path to an anchor" 1 '.[0] | .class == "must-none" and (.why | contains("path untrusted"))' self@tetangga.go.id
json "a partner's domain speaks for all of its addresses" 0 '.[0] | .cert == 1 and (.why | contains("domain"))' siapa@sebelah.go.id
json "unknown is must" 1 '.[0] | .level == "must" and .class == "must-none" and (.why | contains("no rule"))' a@asing.example
json "internal" 0 '.[0] | .class == "internal" and .together == "clear"' dinas@kota.go.id
json "forbidden" 1 '.[0] | .class == "forbidden" and .rule == 1' bos@tetangga.go.id
want "forbidden, in words" 1 "RCPT_FORBIDDEN" -c segel.conf encrypt check bos@tetangga.go.id
json "never" 0 '.[0] | .class == "never" and .rule == 2 and .together == "clear"' a@x.media.example
json "never, asked for" 1 '.[0] | .class == "must-none" and (.why | contains("asked for encryption"))' a@x.media.example --asked
json "may, by the sender's unit" 0 '.[0] | .class == "may" and .rule == 3' a@warga.example --from dinas@kota.go.id
json "without that unit: must" 1 '.[0].class == "must-none"' a@warga.example --from lain@kota.go.id
json "%-hack" 1 '.[0].class == "forbidden"' 'x%y.example@tetangga.go.id'
want "ambiguous, in words" 1 "RCPT_AMBIGUOUS" -c segel.conf encrypt check '@a.example:b@tetangga.go.id'

# --- what the registry takes in, and what fits not ---
for name in ecwrong rsawrong web; do
	"$CTL" --registry r.db cert import $name.pem --kind jabatan >out 2>err
	id=$(sqlite3 r.db "SELECT id FROM cert WHERE subject LIKE '%CN=$name%'")
	do_ address add $name@tetangga.go.id --unit DISHUB
	if "$CTL" --registry r.db bind add "$id" --purpose encrypt --address $name@tetangga.go.id >out 2>err; then
		json "$name: unfit" 1 '.[0] | .class == "must-none" and (.why | contains("unfit: usage"))' $name@tetangga.go.id
	else
		want "$name: not even bound" 3 "key usage does not allow" bind add "$id" --purpose encrypt --address $name@tetangga.go.id
	fi
done

# --- several ---
json "two in one body" 0 'all(.[]; .together == "encrypt aes-256-cbc")' rsa@tetangga.go.id ec@tetangga.go.id
json "must and internal" 1 'all(.[]; .together == "refuse")' rsa@tetangga.go.id dinas@kota.go.id
want "named by kind" 1 "encrypted=rsa@tetangga.go.id clear=dinas@kota.go.id" -c segel.conf encrypt check rsa@tetangga.go.id dinas@kota.go.id
json "a hidden one" 1 '.[1].hidden and .[0].together == "refuse"' rsa@tetangga.go.id ec@tetangga.go.id --hidden ec@tetangga.go.id
json "a hidden one with the same certificate" 0 '.[1].hidden and .[0].together == "encrypt aes-256-cbc"' rsa@tetangga.go.id x@sebelah.go.id \
	--hidden x@sebelah.go.id
json "a hidden one alone" 0 '.[0].hidden' rsa@tetangga.go.id --hidden rsa@tetangga.go.id
sed 's/use = true;/use = true; split = true; hide_subject = false;/' segel.conf >split.conf
echo 'split: { trigger = "X-Segel-0123456789abcdef"; };' >>split.conf
want "with segel-split" 0 "split" -c split.conf encrypt check rsa@tetangga.go.id dinas@kota.go.id
want "with segel-split, one without a certificate" 1 "ENC_NO_CERT" -c split.conf encrypt check a@asing.example dinas@kota.go.id

# --- capabilities ---
want "none at first" 0 "aes-256-cbc" -c segel.conf encrypt check rsa@tetangga.go.id
want "no such word" 2 "wanted gcm, oaep, both, or none" cert set-capability 1 ccm
want "none with another" 2 "none goes with no other" cert set-capability 1 none gcm
want "set" 0 "can read gcm oaep" cert set-capability 1 gcm oaep
want "again" 3 "exactly these capabilities already: gcm oaep" cert set-capability 1 oaep gcm
want "shown" 0 "gcm oaep" cert show 1
json "GCM" 0 '.[0] | .together == "encrypt aes-256-gcm" and .capabilities == "gcm oaep"' rsa@tetangga.go.id
json "not where one cannot" 0 '.[0].together == "encrypt aes-256-cbc"' rsa@tetangga.go.id ec@tetangga.go.id
want "taken back" 0 "can read none" cert set-capability 1 none
json "CBC again" 0 '.[0].together == "encrypt aes-256-cbc"' rsa@tetangga.go.id
want "no such certificate" 1 "99" cert set-capability 99 gcm
[ "$(sqlite3 r.db "SELECT group_concat(detail, '|') FROM (SELECT detail FROM act WHERE verb = 'cert set-capability' ORDER BY seq)")" = "gcm oaep|none" ] &&
	say ok || say no "on record"

# --- the transform with the registry's certificates: openssl opens it with the key of the certificate that was to be taken ---
printf 'From: dinas@kota.go.id\r\nTo: rsa@tetangga.go.id\r\nSubject: Halo\r\nContent-Type: text/plain\r\n\r\nIsi rahasia\r\n' >plain.eml
# opens NAME KEY yes|no   what segelctl printed last, kept in mail.eml
opens() {
	local got=no
	openssl cms -decrypt -binary -in mail.eml -recip "$2.pem" -inkey "$2.key" -out plain.out 2>/dev/null && grep -q 'Isi rahasia' plain.out && got=yes
	[ $got = "$3" ] && say ok || say no "$1: opens with $2: $got"
}
# encrypt NAME CODE PART ARGS...
encrypt() {
	local name=$1 code=$2 part=$3
	shift 3
	want "$name" "$code" "$part" -c segel.conf encrypt plain.eml "$@"
	cp out mail.eml
}
encrypt "--to" 0 'smime-type=enveloped-data' --to rsa@tetangga.go.id
opens "--to" rsa yes
opens "--to, another's key" revoked no
grep -q 'Isi rahasia' mail.eml && say no "the text is in the encrypted mail" || say ok
encrypt "--to in GCM with OAEP" 0 'smime-type=authEnveloped-data' --to rsa@tetangga.go.id --gcm --oaep
opens "GCM" rsa yes
encrypt "to several" 0 'smime-type=enveloped-data' --to rsa@tetangga.go.id ec@tetangga.go.id ec384@tetangga.go.id
for key in rsa ec ec384; do opens "to several" $key yes; done
encrypt "beside a certificate in a file" 0 'smime-type=enveloped-data' --to ec@tetangga.go.id --cert rsa.pem
for key in rsa ec; do opens "beside a file" $key yes; done
encrypt "the newest of two" 0 'smime-type=enveloped-data' --to baru@tetangga.go.id
opens "the newest" new yes
opens "the older" old no
encrypt "a partner's domain" 0 'smime-type=enveloped-data' --to siapa@sebelah.go.id
opens "a partner's domain" rsa yes
encrypt "--to somebody whose certificate is revoked" 3 'no certificate to encrypt to revoked@tetangga.go.id: refused:' --to revoked@tetangga.go.id
encrypt "--to somebody without" 3 'no certificate to encrypt to a@asing.example: none:' --to a@asing.example
encrypt "one of two has none" 3 'no certificate to encrypt to a@asing.example' --to rsa@tetangga.go.id a@asing.example
[ -s mail.eml ] && say no "something was printed" || say ok
encrypt "no address" 3 'no certificate to encrypt to rsa: none:' --to rsa
want "a file that is not there" 4 "gone.eml" -c segel.conf encrypt gone.eml --to rsa@tetangga.go.id
cp plain.eml check
want "a file called as a verb is" 0 'smime-type=enveloped-data' -c segel.conf encrypt ./check --to rsa@tetangga.go.id
want "settings that are not there" 4 "gone.conf" -c gone.conf encrypt plain.eml --to rsa@tetangga.go.id
want "check with settings that are not there" 4 "gone.conf" -c gone.conf encrypt check rsa@tetangga.go.id
want "a name for something" 2 "one word too many" encrypt name segel

# --- the newest falls, the older serves ---
openssl ca -config ca.cnf -revoke new.pem 2>/dev/null
openssl ca -config ca.cnf -gencrl -out trust/crl/ca.crl 2>/dev/null
json "the newest was revoked by its CA" 0 '.[0].cert == 5' baru@tetangga.go.id
want "the older is held" 0 "ditahan" cert hold 5 --reason "reported lost"
json "held and revoked" 1 '.[0].class == "must-none"' baru@tetangga.go.id
want "held alone" 0 "ditahan" cert hold 2 --reason "reported lost"
json "held" 1 '.[0] | .class == "must-none" and (.why | contains("held: reported lost"))' ec@tetangga.go.id
encrypt "--to somebody whose certificate is held" 3 'no certificate to encrypt to ec@tetangga.go.id: unusable:' --to ec@tetangga.go.id

# --- what cannot be found out ---
rm trust/crl/ca.crl
json "without a CRL: not found out" 4 '.[0] | .class == "unknown" and .together == "unknown"' rsa@tetangga.go.id
want "and said so" 4 "STATUS_UNKNOWN" -c segel.conf encrypt check rsa@tetangga.go.id
encrypt "--to, without a CRL" 4 'no certificate to encrypt to rsa@tetangga.go.id: undecided:' --to rsa@tetangga.go.id
rm -r trust
want "without any authority" 4 "STATUS_UNKNOWN" -c segel.conf encrypt check rsa@tetangga.go.id
mv r.db gone.db
want "without a registry" 4 "cannot be opened" -c segel.conf encrypt check rsa@tetangga.go.id
encrypt "--to, without a registry" 4 'cannot be opened' --to rsa@tetangga.go.id
mv gone.db r.db

# --- switched off, and the noun's table ---
sed -i 's/use = true;/use = false;/' segel.conf
want "switched off: told, and explained all the same" 1 "encrypt.use is off" -c segel.conf encrypt check a@asing.example
want "a name" 0 'split: { trigger = "X-Segel-' encrypt name
cp out one; want "another name" 0 "X-Segel-" encrypt name
cmp -s one out && say no "two names are alike" || say ok
want "the noun's help names its verbs" 0 "segelctl encrypt check ADDRESS..." encrypt --help
want "and the command that it is" 0 "Usage: segelctl encrypt FILE" encrypt --help
want "no recipient" 2 "is missing" encrypt check

finish
