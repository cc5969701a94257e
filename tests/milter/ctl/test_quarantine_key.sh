#!/bin/bash
# segelctl quarantine key: three files, judged by openssl(1) and by the key agent; nothing is overwritten, and nothing
# stays of what failed. Root only: the files get an owner.
# shellcheck source=tests/milter/ctl/desk.sh
. "$(dirname -- "${BASH_SOURCE[0]}")/desk.sh"
needs openssl

# is NAME VALUE COMMAND...
is() {
	local name=$1 value=$2
	shift 2
	"$@" >out 2>err
	[ "$(cat out)" = "$value" ] && say ok || say no "$name"
}

mkdir keys && chown daemon:daemon keys && chmod 700 keys
want "made" 0 'purpose = "decrypt";' quarantine key --out keys
cp out printed
is "modes and owners" "644 root
600 daemon
600 daemon" stat -c "%a %U" keys/quarantine.crt keys/quarantine.key keys/quarantine.pass
is "three files and no more" "quarantine.crt quarantine.key quarantine.pass" sh -c 'ls keys | xargs'
is "the passphrase alone, 256 bits of it" 1 grep -cxE '[0-9a-f]{64}' keys/quarantine.pass
holds "the key is encrypted" grep -q "BEGIN ENCRYPTED PRIVATE KEY" keys/quarantine.key
holds "and opens" openssl pkey -in keys/quarantine.key -passin file:keys/quarantine.pass -noout -check
holds "and not by another passphrase" sh -c '! openssl pkey -in keys/quarantine.key -passin pass:x -noout'
holds "RSA of 3072 bits" sh -c 'openssl x509 -in keys/quarantine.crt -noout -text | grep -q "Public-Key: (3072 bit)"'
is "the certificate is the key's" "$(openssl x509 -in keys/quarantine.crt -noout -pubkey)" \
	openssl pkey -in keys/quarantine.key -passin file:keys/quarantine.pass -pubout
holds "it verifies by itself" openssl verify -CAfile keys/quarantine.crt -check_ss_sig keys/quarantine.crt
is "it takes keys and does nothing else" "X509v3 Basic Constraints: critical
    CA:FALSE
X509v3 Key Usage: critical
    Key Encipherment" openssl x509 -in keys/quarantine.crt -noout -ext basicConstraints,keyUsage
holds "it is good for nine years" openssl x509 -in keys/quarantine.crt -noout -checkend 283824000
holds "but not for ever" sh -c '! openssl x509 -in keys/quarantine.crt -noout -checkend 347000000'

sha256sum keys/* >sums
want "never overwritten" 3 "keys/quarantine.key' exists and is never overwritten" quarantine key --out keys
holds "as before" sha256sum --status -c sums
want "another name" 0 "later.key" quarantine key --out keys --name later
holds "another key" sh -c '! cmp -s keys/later.key keys/quarantine.key && ! cmp -s keys/later.pass keys/quarantine.pass'

# Whichever file is in the way, nothing new stays.
for in_the_way in x.key x.pass x.crt; do
	mkdir other && echo mine >other/$in_the_way
	want "$in_the_way in the way" 3 "$in_the_way' exists" quarantine key --out other --name x
	is "only $in_the_way is there" "$in_the_way mine" sh -c 'echo $(ls other; cat other/*)'
	rm -r other
done
mkdir other && ln -s "$DIR/elsewhere" other/x.key
want "a link in the way" 3 "exists" quarantine key --out other --name x
holds "nothing was written through it" test ! -e elsewhere
want "no folder" 2 "cannot be used" quarantine key --out nowhere
for name in "" . ../x a/b "a b"; do
	want "name '$name'" 2 "wanted 1 to 48 letters" quarantine key --out other "--name=$name"
done

# The agent takes the lines as they were printed.
mkdir run audit && chown daemon run audit && chmod 750 run audit
{
	echo "keyd: { user = \"daemon\"; socket = \"$DIR/run/s\"; socket_group = \"daemon\"; audit_dir = \"$DIR/audit\";"
	echo "unwrappers = [ \"daemon\" ]; keys = ("
	sed -n '/^{ file/,/}$/p' printed
	echo "); };"
	echo "quarantine: {"
	grep '^certificate = ' printed
	echo "};"
} >segel.conf
cp -r keys rootkeys && chown -R root rootkeys
sed "s,$DIR/keys,$DIR/rootkeys," segel.conf >root.conf
is "segel-keyd -n" "root.conf: good" "$BUILD/segel-keyd" -n -c root.conf
want "the settings are good" 0 "" -c segel.conf config check

finish
