/* Settings: every problem of a file, with file, line and what is wanted; nothing is guessed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "policy/config.h"
#include "policy/config_quarantine.h"
#include "policy/setting.h"

static char *
write_temporary(const char *text)
{
	char *path = strdup("/tmp/segel-test-XXXXXX");
	int fd = mkstemp(path);

	assert_true(fd != -1);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	return path;
}

static struct config *
load(const char *text, struct buf *problems)
{
	struct config *config = NULL;
	char *path = write_temporary(text);

	buf_init(problems, 65536);
	if (config_load(path, &config, problems) == -1)
		assert_null(config);
	unlink(path);
	free(path);
	return config;
}

/* The same as an empty file, said in the file's own syntax. */
static void
no_file_gives_every_default(void **state)
{
	AUTO(config_free) struct config *empty = NULL;
	AUTO(config_free) struct config *none = NULL;
	AUTO_BUF struct buf problems = { 0 };
	AUTO_BUF struct buf text_empty = { 0 };
	AUTO_BUF struct buf text_none = { 0 };

	(void)state;
	empty = load("", &problems);
	assert_int_equal(config_load(NULL, &none, &problems), 0);
	buf_init(&text_empty, 65536);
	buf_init(&text_none, 65536);
	config_dump(empty, &text_empty);
	config_dump(none, &text_none);
	assert_string_equal(buf_text(&text_none), buf_text(&text_empty));
	assert_memory_equal(&none->table, &empty->table, sizeof(none->table));
	assert_int_equal(none->verify.subject_address.n, 0);
}

static void
empty_file_gives_every_default(void **state)
{
	AUTO(config_free) struct config *config = NULL;
	AUTO_BUF struct buf problems = { 0 };

	(void)state;
	config = load("", &problems);
	assert_non_null(config);
	assert_int_equal(config->language, LANGUAGE_ID);
	assert_false(config->pretend);
	assert_int_equal(config->limits.message_size, 35 * 1024 * 1024);
	assert_int_equal(config->registry.timeout, 2000);
	assert_string_equal(config->keyd.socket, "/run/segel/keyd/keyd.sock");
	assert_int_equal(config->submission.auth_types.n, 7);
	assert_string_equal(config->submission.auth_types.at[6], "OAUTHBEARER");
	assert_int_equal(config->keyd.keys.n, 0);
	assert_string_equal(config->inbound.role.socket, "/run/segel/inbound/milter.sock");
	assert_string_equal(config->local.role.user, "segel-local");
	assert_int_equal(config->tls.ciphers.n, 3);
	assert_int_equal(config->tls.rules.n + config->local.senders.n, 0);
	assert_true(config->table.cells[REASON_REG_HELD][CLASS_SUBMISSION].reachable);
}

static void
values_are_taken(void **state)
{
	AUTO(config_free) struct config *config = NULL;
	AUTO_BUF struct buf problems = { 0 };
	const struct keyd_key_setting *keys;
	size_t n;

	(void)state;
	config = load("language = \"en\"; pretend = true;\n"
		      "limits: { message_size = \"5000000000B\" ; recipients = 7; };\n", &problems);
	assert_null(config); /* 5000000000 is over the ceiling, not 705032704 */
	buf_done(&problems);
	config = load("language = \"en\"; pretend = true;\n"
		      "limits: { message_size = \"1MiB\"; recipients = 7; };\n"
		      "registry: { timeout = \"1500ms\"; };\n"
		      "keyd: { signers = [ \"a\", \"b\" ]; keys = ( { file = \"/k1\"; passphrase_file = \"/p1\"; },\n"
		      "  { file = \"/k2\"; passphrase_file = \"/p2\"; limit = 5; } ); };\n"
		      "policy = ( { finding = \"REG_HELD\"; class = \"submission\"; action = \"defer\"; } );\n",
	    &problems);
	assert_non_null(config);
	assert_int_equal(config->language, LANGUAGE_EN);
	assert_true(config->pretend);
	assert_int_equal(config->limits.message_size, 1024 * 1024);
	assert_int_equal(config->registry.timeout, 1500);
	assert_int_equal(config->keyd.signers.n, 2);
	keys = config_keys(config, &n);
	assert_int_equal(n, 2);
	assert_string_equal(keys[0].file, "/k1");
	assert_int_equal(keys[0].limit, 600);
	assert_int_equal(keys[1].limit, 5);
	assert_int_equal(config->table.cells[REASON_REG_HELD][CLASS_SUBMISSION].action, ACTION_DEFER);
}

/* Each of these differs by one thing from a row of problems_are_named. */
static void
rules_of_encryption_are_taken(void **state)
{
	static const char *const texts[] = {
		"encrypt: { rules = ( { to = \"x.example\"; unit = \"U\"; level = \"must\"; }, { to = \"x.example\"; level = \"may\"; } ); };",
		"encrypt: { rules = ( { to = \"x.example\"; level = \"may\"; }, { to = \".x.example\"; level = \"must\"; } ); };",
		"encrypt: { rules = ( { level = \"never\"; } ); peers = [ \"10.0.0.0/8\" ]; };",
		"encrypt: { use = true; split = true; hide_subject = false; }; split: { trigger = \"X-Segel-0123\"; };",
		"encrypt: { use = true; split = true; hide_subject = false; trigger = \"\"; };",
		"encrypt: { use = true; hide_subject = true; };",
		"encrypt: { split = true; hide_subject = true; };",
		"egress: { unsealed = [ \"root@x.example\", \".y.example\" ]; };",
		"policy = ( { finding = \"ENC_REQUIRED\"; class = \"egress\"; action = \"hold\"; } );",
	};

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(texts); i++) {
		AUTO(config_free) struct config *config = NULL;
		AUTO_BUF struct buf problems = { 0 };

		config = load(texts[i], &problems);
		if (!config)
			fail_msg("%s: %s", texts[i], buf_text(&problems));
	}
}

static void
problems_are_named(void **state)
{
	static const struct {
		const char *text;
		const char *want; /* must stand in the report */
	} rows[] = {
		{ "langauge = \"en\";", ":1: langauge: no such setting; did you mean 'language'?" },
		{ "\n\nkeyd: { sokcet = \"/x\"; };", ":3: keyd.sokcet: no such setting; did you mean 'keyd.socket'?" },
		{ "sael: { form = \"clear\"; };", ":1: sael: no such setting; did you mean 'seal'?" },
		{ "archive: { dir = \"/x\"; };", ":1: archive: no such setting" },
		{ "quarantine: { folder = \"/x\"; };", ":1: quarantine.folder: no such setting" },
		{ "keyd: { keys = ( { file = \"/k\"; passphrase_file = \"/p\"; purpose = \"unknown\"; } ); };", "purpose: wanted one of \"seal\", \"decrypt\"" },
		{ "keyd: { keys = ( { file = \"/k\"; passphrase_file = \"/p\"; purpose = \"decrypt\"; } ); unwrappers = [ ]; };",
		  "keyd.unwrappers: is empty, so nobody could use the key '/k'" },
		{ "keyd: { keys = ( { file = \"/k\"; passphrase_file = \"/p\"; purpose = \"decrypt\"; signers = [ \"segel-submission\" ]; } ); };",
		  "'/k' is of purpose decrypt, which never signs" },
		{ "keyd: { keys = ( { file = \"/k\"; passphrase_file = \"/p\"; unwrappers = [ \"segel-inbound\" ]; } ); };",
		  "'/k' is of purpose seal, which never unwraps" },
		{ "keyd: { keys = ( { file = \"/k\"; passphrase_file = \"/p\"; purpose = \"decrypt\"; unwrappers = [ \"a b\" ]; } ); };",
		  "keyd.keys: 'a b': wanted one user" },
		{ "keyd: { keys = ( { file = \"/k\"; passphrase_file = \"/p\"; }, { file = \"/k\"; passphrase_file = \"/p\"; purpose = \"decrypt\"; } ); };",
		  "'/k' is listed twice" },
		{ "keyd: { unwrappers = [ \"a b\" ]; };", "keyd.unwrappers: 'a b': wanted one user" },
		{ "encrypt: { rules = ( { to = \"a b\"; level = \"must\"; } ); };", "encrypt.rules: to 'a b': wanted \"user@domain\"" },
		{ "encrypt: { rules = ( { to = \"*\"; level = \"must\"; } ); };", "encrypt.rules: to '*': wanted" },
		{ "encrypt: { rules = ( { to = \"x.example\"; level = \"always\"; } ); };", "level: wanted one of \"must\", \"may\", \"never\", \"forbid\"" },
		{ "encrypt: { rules = ( { to = \"x.example\"; level = \"unknown\"; } ); };", "level: wanted one of \"must\"" },
		{ "encrypt: { rules = ( { to = \"x.example\"; } ); };", "level: must be given" },
		{ "encrypt: { rules = ( { to = \"x.example\"; level = \"may\"; }, { to = \"X.example\"; unit = \"U\"; level = \"must\"; } ); };",
		  "row 2 (to 'X.example', unit 'U') is never reached: row 1 fits before it" },
		{ "encrypt: { rules = ( { to = \"x.example\"; unit = \"U\"; level = \"may\"; }, { to = \"x.example\"; unit = \"U\"; level = \"must\"; } ); };",
		  "row 2 (to 'x.example', unit 'U') is never reached" },
		{ "encrypt: { peers = [ \"10.0.0.1/8\" ]; };", "encrypt.peers: '10.0.0.1/8': wanted a block" },
		{ "encrypt: { trigger = \"Subject\"; };", "encrypt.trigger: 'Subject': wanted \"X-\"" },
		{ "encrypt: { trigger = \"X-Rahasia\"; }; split: { trigger = \"X-RAHASIA\"; };", "split.trigger: 'X-RAHASIA' is what senders write" },
		{ "encrypt: { use = true; split = true; };", "split.trigger: is empty" },
		{ "encrypt: { use = true; split = true; }; split: { trigger = \"X-Segel-0123\"; };", "encrypt.hide_subject: is true" },
		{ "encrypt: { use = true; split = true; hide_subject = true; trigger = \"\"; };", "set it to false" },
		{ "encrypt: { copy_certificate = \"arsip.pem\"; };", "encrypt.copy_certificate: 'arsip.pem': wanted a path" },
		{ "encrypt: { cipher = \"3des\"; };", "encrypt.cipher: wanted one of \"by-capability\", \"cbc\", \"gcm\"" },
		{ "encrypt: { rsa = \"raw\"; };", "encrypt.rsa: wanted one of \"by-capability\", \"v1.5\", \"oaep\"" },
		{ "egress: { unsealed = [ \"root@\" ]; };", "egress.unsealed: 'root@': wanted \"user@domain\"" },
		{ "egress: { metrics = \"0.0.0.0:9\"; };", "egress.metrics:" },
		{ "policy = ( { finding = \"ENC_REQUIRED\"; class = \"egress\"; action = \"tag\"; } );", "ENC_REQUIRED in class egress cannot be softened to 'tag'" },
		{ "policy = ( { finding = \"ENC_NO_CERT\"; class = \"submission\"; action = \"accept\"; } );", "ENC_NO_CERT in class submission cannot be softened" },
		{ "quarantine: { holders = [ \"\" ]; };", "quarantine.holders: '': wanted one user" },
		{ "quarantine: { holders = [ \"segel-inbound,mail\" ]; };", "quarantine.holders: 'segel-inbound,mail': wanted one user" },
		{ "quarantine: { certificate = \"/q.crt\"; holders = [ ]; };", "quarantine.holders: is empty" },
		{ "quarantine: { certificate = \"q.crt\"; };", "quarantine.certificate: 'q.crt': wanted a path from '/' on" },
		{ "quarantine: { certificate = \"/k\"; }; keyd: { keys = ( { file = \"/k\"; passphrase_file = \"/p\"; purpose = \"decrypt\"; } ); };",
		  "quarantine.certificate: '/k' is a key of keyd.keys" },
		{ "quarantine: { dir = \"var/q\"; };", "quarantine.dir: 'var/q': wanted a path" },
		{ "quarantine: { audit_dir = \"\"; };", "quarantine.audit_dir: '': wanted a path" },
		{ "quarantine: { sendmail = \"sendmail\"; };", "quarantine.sendmail: 'sendmail': wanted a path" },
		{ "quarantine: { hold_socket = \"hold.sock\"; };", "quarantine.hold_socket: 'hold.sock': wanted a path" },
		{ "quarantine: { hold_socket = \"/run/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"; };",
		  "is too long for a socket" },
		{ "quarantine: { review_socket = \"/run/segel/hold/review.sock\"; };", "is in the folder of quarantine.hold_socket" },
		{ "quarantine: { hold_socket = \"/run/q/a\"; review_socket = \"/run/q/b\"; };", "is in the folder of quarantine.hold_socket" },
		{ "quarantine: { max_size = \"52MiB\"; };", "quarantine.max_size: is less than the largest message that is read (55050240 bytes: limits.message_size" },
		{ "quarantine: { two_persons = [ \"SIG_INVALD\" ]; };", "quarantine.two_persons: no finding 'SIG_INVALD'" },
		{ "quarantine: { retention = ( { findings = [ \"POISON\", \"poison\" ]; } ); };", "quarantine.retention: no finding 'poison'" },
		{ "quarantine: { retention = ( { findings = [ ]; } ); };", "quarantine.retention, row 1: names no finding" },
		{ "quarantine: { retention = ( { keep = \"1d\"; } ); };", "findings: must be given" },
		{ "quarantine: { retention = ( { findings = [ \"POISON\" ]; keep = \"1s\"; } ); };", "keep: wanted a duration" },
		{ "quarantine: { release_to = \"192.0.2.1:25\"; };", "quarantine.release_to: '192.0.2.1:25': others could reach this address" },
		{ "quarantine: { release_to = \"mail.example:25\"; };", "quarantine.release_to: " },
		{ "quarantine: { release_to = \"127.0.0.1\"; };", "quarantine.release_to: " },
		{ "quarantine: { release_to = \"\"; };", "quarantine.release_to: " },
		{ "quarantine: { digest_from = \"keamanan@kota.example\"; };", "quarantine.digest_to: is empty" },
		{ "quarantine: { digest_from = \"keamanan\"; digest_to = [ \"a@kota.example\" ]; };", "quarantine.digest_from: 'keamanan' is no address" },
		{ "quarantine: { digest_to = [ \"a@kota.example\", \"b\" ]; };", "quarantine.digest_to: 'b' is no address" },
		{ "limits: { message_size = 35; };", "limits.message_size: wanted a size in quotes such as \"35MiB\"" },
		{ "limits: { message_size = \"35\"; };", "wanted a size in quotes" },
		{ "limits: { message_size = \"35mb\"; };", "wanted a size in quotes" },
		{ "limits: { message_size = \"-1MiB\"; };", "wanted a size in quotes" },
		{ "limits: { message_size = \"65MiB\"; };", "wanted a size in quotes" },
		{ "limits: { message_size = \"99999999999999999999GiB\"; };", "wanted a size in quotes" },
		{ "limits: { recipients = 1001; };", "limits.recipients: wanted a number from 1 to 1000" },
		{ "limits: { recipients = 0; };", "wanted a number from 1 to 1000" },
		{ "limits: { recipients = 1.5; };", "wanted a number" },
		{ "registry: { timeout = \"10\"; };", "registry.timeout: wanted a duration in quotes such as \"10s\"" },
		{ "registry: { timeout = \"0s\"; };", "wanted a duration" },
		{ "pretend = \"yes\";", "pretend: wanted true or false" },
		{ "pretend = 1;", "pretend: wanted true or false" },
		{ "language = \"fr\";", "language: wanted one of \"id\", \"en\"" },
		{ "seal: { form = \"unknown\"; };", "seal.form: wanted one of \"clear\", \"opaque\"" },
		{ "tlspol: { map = \"\"; };", "tlspol.map: '': wanted a name" },
		{ "tlspol: { map = \"tls map\"; };", "tlspol.map: 'tls map': wanted a name" },
		{ "trust: { allow_private = [ \"10.20.0.1/16\" ]; };", "trust.allow_private: '10.20.0.1/16': wanted a block" },
		{ "trust: { allow_private = [ \"office\" ]; };", "trust.allow_private: 'office': wanted a block" },
		{ "trust: { proxy = \"proxy:3128\"; };", "trust.proxy: 'proxy:3128': wanted" },
		{ "trust: { proxy = \"http://a:b@proxy:3128\"; };", "without a login" },
		{ "trust: { timeout = \"500ms\"; };", "trust.timeout: wanted a duration" },
		{ "trust: { grace = \"15d\"; };", "trust.grace: wanted a duration" },
		{ "tlspol: { max_connections = 0; };", "tlspol.max_connections: wanted a number from 1" },
		{ "tlspol: { idle = \"999ms\"; };", "tlspol.idle: wanted a duration" },
		{ "tls: { minimum = \"TLSv1.1\"; };", "tls.minimum: wanted one of \"TLSv1.2\", \"TLSv1.3\"" },
		{ "submission: { auth_types = \"PLAIN\"; };", "submission.auth_types: wanted a list of texts" },
		{ "submission: { auth_types = [ \"XCLIENT\" ]; };", "XCLIENT is a claim of another host" },
		{ "submission: { auth_types = [ \"PLAIN\", \"xclient\" ]; };", "XCLIENT is a claim of another host" },
		{ "keyd: { keys = ( { file = \"/k\"; } ); };", "passphrase_file: must be given" },
		{ "keyd: { keys = ( { file = \"/k\"; passphrase_file = \"/p\"; pin = \"1\"; } ); };", "pin: no such setting" },
		{ "keyd = 5;", "keyd: no such setting" },
		{ "policy = ( { finding = \"REG_HELT\"; class = \"submission\"; action = \"defer\"; } );", "no finding 'REG_HELT'" },
		{ "policy = ( { finding = \"REG_HELD\"; class = \"outbound\"; action = \"defer\"; } );", "no class 'outbound'" },
		{ "policy = ( { finding = \"REG_HELD\"; class = \"submission\"; action = \"drop\"; } );", "no action 'drop'" },
		{ "policy = ( { finding = \"LOGIN_MISSING\"; class = \"egress\"; action = \"reject\"; } );",
		  "LOGIN_MISSING cannot arise in class egress" },
		{ "policy = ( { finding = \"REG_HELD\"; class = \"submission\"; action = \"hold\"; } );", "has no quarantine" },
		{ "policy = ( { finding = \"LOGIN_MISMATCH\"; class = \"submission\"; action = \"accept\"; } );",
		  "LOGIN_MISMATCH in class submission cannot be softened to 'accept'" },
		{ "policy = ( { finding = \"REG_UNAVAILABLE\"; class = \"submission\"; action = \"tag\"; } );",
		  "cannot be softened to 'tag'" },
		{ "policy = ( { finding = \"INTERNAL\"; class = \"inbound-other\"; action = \"accept\"; } );",
		  "cannot be softened to 'accept'" },
		{ "policy = ( { finding = \"REG_HELD\"; class = \"local\"; action = \"hold\"; } );", "cannot be held in class local" },
		{ "policy = ( { finding = \"TLS_MISSING\"; class = \"inbound-official\"; action = \"hold\"; } );", "TLS_MISSING cannot be held" },
		{ "tls: { ciphers = []; };", "nothing would count as TLS" },
		{ "tls: { rules = ( { class = \"local\"; } ); };", "tls.rules: class 'local'" },
		{ "tls: { rules = ( { class = \"inbound\"; } ); };", "tls.rules: class 'inbound'" },
		{ "tls: { rules = ( { network = \"10.0.0.1/8\"; } ); };", "no bit set behind" },
		{ "tls: { rules = ( { class = \"submission\"; network = \"10.0.0.0/8\"; minimum = \"none\"; } ); };", "below TLSv1.2 needs" },
		{ "tls: { rules = ( { network = \"10.0.0.0/8\"; minimum = \"none\"; } ); };", "below TLSv1.2 needs" },
		{ "tls: { rules = ( { class = \"inbound-other\"; minimum = \"TLSv1.1\"; } ); };", "below TLSv1.2 needs" },
		{ "tls: { rules = ( { minimum = \"SSLv3\"; } ); };", "minimum: wanted one of \"none\"" },
		{ "local: { senders = ( { user = \"www-data\"; } ); };", "from: must be given" },
		{ "local: { senders = ( { from = [ \"a@b.go.id\" ]; } ); };", "user: must be given" },
		{ "local: { senders = ( { user = \"www data\"; from = [ \"a@b.go.id\" ]; } ); };", "wanted one UNIX login" },
		{ "local: { senders = ( { user = \"www\"; from = [ \"aplikasi\" ]; } ); };", "'aplikasi' is no address" },
		{ "local: { senders = ( { user = \"a\"; from = [ \"x@b.go.id\" ]; }, { user = \"b\"; from = [ \"X@B.go.id\" ]; } ); };",
		  "is listed for 'a' and for 'b'" },
		{ "local: { senders = ( { user = \"www\"; from = [ \"a+web@b.go.id\" ]; } ); };", "wanted an address without an extension" },
		{ "local: { senders = ( { user = \"a\"; from = [ \"x@k\xc3\xb6ta.id\" ]; }, { user = \"b\"; from = [ \"x@xn--kta-sna.id\" ]; } ); };",
		  "is listed for 'a' and for 'b'" },
		{ "local: { metrics = \"0.0.0.0:1\"; };", "local.metrics: " },
		{ "language = ", ":1: syntax error" },
	};

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
		AUTO(config_free) struct config *config = NULL;
		AUTO_BUF struct buf problems = { 0 };

		config = load(rows[i].text, &problems);
		if (config || !strstr(buf_text(&problems), rows[i].want))
			fail_msg("%s\n  wanted: %s\n  found:  %s", rows[i].text, rows[i].want, buf_text(&problems));
	}
}

/* The neighbours of what is refused above. */
static void
quarantine_settings_are_taken(void **state)
{
	static const char *const rows[] = {
		"quarantine: { certificate = \"/q.crt\"; };",
		"quarantine: { certificate = \"/q.crt\"; holders = [ \"segel-inbound\", \"64102\" ]; };",
		"quarantine: { holders = [ ]; };",
		"keyd: { unwrappers = [ ]; };",
		"keyd: { keys = ( { file = \"/k\"; passphrase_file = \"/p\"; purpose = \"decrypt\"; } ); };",
		"keyd: { keys = ( { file = \"/k\"; passphrase_file = \"/p\"; purpose = \"decrypt\"; unwrappers = [ \"segel-inbound\" ]; } ); "
		"unwrappers = [ \"segel-reviewd\", \"segel-inbound\" ]; };",
		"keyd: { keys = ( { file = \"/k\"; passphrase_file = \"/p\"; purpose = \"decrypt\"; }, { file = \"/l\"; passphrase_file = \"/p\"; "
		"signers = [ \"segel-submission\" ]; } ); unwrappers = [ \"64104\" ]; };",
		"quarantine: { hold_socket = \"/run/q1/a\"; review_socket = \"/run/q2/a\"; };",
		"quarantine: { hold_socket = \"/run/q/a\"; review_socket = \"/run/q/deeper/a\"; };",
		"quarantine: { max_size = \"53MiB\"; };",
		"quarantine: { two_persons = [ ]; };",
		"quarantine: { retention = ( { findings = [ \"POISON\" ]; keep = \"1h\"; }, { findings = [ \"POISON\", \"SIG_INVALID\" ]; } ); };",
		"quarantine: { release_to = \"/run/released.sock\"; };",
		"quarantine: { release_to = \"[::1]:10027\"; };",
		"quarantine: { digest_to = [ \"a@kota.example\" ]; };",
		"quarantine: { digest_from = \"keamanan@kota.example\"; digest_to = [ \"a@kota.example\" ]; };",
	};

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
		AUTO(config_free) struct config *config = NULL;
		AUTO_BUF struct buf problems = { 0 };

		config = load(rows[i], &problems);
		if (!config)
			fail_msg("%s\n  found:  %s", rows[i], buf_text(&problems));
	}
}

/* What is good and may still be meant otherwise. */
static void
notes_are_given(void **state)
{
	static const struct {
		const char *text;
		const char *want; /* NULL = nothing to note */
	} rows[] = {
		{ "", "quarantine.certificate is empty" },
		{ "quarantine: { certificate = \"/q.crt\"; };", "none of keyd.keys is of purpose decrypt" },
		{ "quarantine: { certificate = \"/q.crt\"; }; keyd: { keys = ( { file = \"/k\"; passphrase_file = \"/p\"; } ); };",
		  "none of keyd.keys is of purpose decrypt" },
		{ "quarantine: { certificate = \"/q.crt\"; }; keyd: { keys = ( { file = \"/k\"; passphrase_file = \"/p\"; purpose = \"decrypt\"; } ); };",
		  NULL },
	};

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
		AUTO(config_free) struct config *config = NULL;
		AUTO_BUF struct buf problems = { 0 };
		AUTO_BUF struct buf notes = { 0 };

		config = load(rows[i].text, &problems);
		assert_non_null(config);
		buf_init(&notes, 4096);
		config_notes(config, &notes);
		if (rows[i].want ? !strstr(buf_text(&notes), rows[i].want) : notes.len != 0)
			fail_msg("%s: '%s'", rows[i].text, buf_text(&notes));
	}
}

/* Where nothing is held any more, there is nothing to say about a quarantine. */
static void
nothing_is_noted_where_nothing_is_held(void **state)
{
	AUTO(config_free) struct config *config = NULL;
	AUTO_BUF struct buf problems = { 0 };
	AUTO_BUF struct buf text = { 0 };
	AUTO_BUF struct buf notes = { 0 };
	struct action_table defaults;
	const char *between = "";

	(void)state;
	table_defaults(&defaults);
	buf_init(&text, 65536);
	buf_add_text(&text, "policy = (");
	for (int reason = 0; reason < N_REASONS; reason++)
		for (int class = CLASS_INBOUND_OFFICIAL; class <= CLASS_INBOUND_OTHER; class++) {
			const struct cell *cell = &defaults.cells[reason][class];

			if (!cell->reachable || (cell->action != ACTION_HOLD && cell->action != ACTION_REJECT_HOLD))
				continue;
			buf_printf(&text, "%s{ finding = \"%s\"; class = \"%s\"; action = \"reject\"; }", between, reason_word((enum reason)reason),
			    class_name((enum class)class));
			between = ",\n";
		}
	buf_add_text(&text, ");");
	config = load(buf_text(&text), &problems);
	if (!config)
		fail_msg("%s", buf_text(&problems));
	buf_init(&notes, 4096);
	config_notes(config, &notes);
	assert_string_equal(buf_text(&notes), "");
}

static void
all_problems_at_once(void **state)
{
	AUTO(config_free) struct config *config = NULL;
	AUTO_BUF struct buf problems = { 0 };

	(void)state;
	config = load("langauge = \"en\";\npretend = 3;\nlimits: { recipients = 0; };\n", &problems);
	assert_null(config);
	assert_non_null(strstr(buf_text(&problems), ":1: langauge"));
	assert_non_null(strstr(buf_text(&problems), ":2: pretend"));
	assert_non_null(strstr(buf_text(&problems), ":3: limits.recipients"));
}

static void
missing_file_is_a_problem(void **state)
{
	AUTO_BUF struct buf problems = { 0 };
	struct config *config = NULL;

	(void)state;
	buf_init(&problems, 4096);
	assert_int_equal(config_load("/nonexistent/segel.conf", &config, &problems), -1);
	assert_non_null(strstr(buf_text(&problems), "/nonexistent/segel.conf: cannot be read: No such file"));
}

/* What dump prints is a settings file that means the same. */
static void
dump_reads_back(void **state)
{
	AUTO(config_free) struct config *config = NULL;
	AUTO(config_free) struct config *again = NULL;
	AUTO_BUF struct buf problems = { 0 };
	AUTO_BUF struct buf problems_again = { 0 };
	AUTO_BUF struct buf first = { 0 };
	AUTO_BUF struct buf second = { 0 };

	(void)state;
	config = load("keyd: { keys = ( { file = \"/k\\\"1\"; passphrase_file = \"/p\\\\1\"; } ); };\n"
		      "submission: { auth_types = [ ]; };\n"
		      "policy = ( { finding = \"REG_HELD\"; class = \"submission\"; action = \"defer\"; } );\n", &problems);
	assert_non_null(config);
	buf_init(&first, 65536);
	config_dump(config, &first);
	again = load(buf_text(&first), &problems_again);
	if (!again)
		fail_msg("%s", buf_text(&problems_again));
	buf_init(&second, 65536);
	config_dump(again, &second);
	assert_string_equal(buf_text(&first), buf_text(&second));
	assert_int_equal(again->table.cells[REASON_REG_HELD][CLASS_SUBMISSION].action, ACTION_DEFER);
}

/* The sample, with its comments, is a file that gives the defaults. */
static void
sample_is_the_defaults(void **state)
{
	AUTO(config_free) struct config *config = NULL;
	AUTO(config_free) struct config *defaults = NULL;
	AUTO_BUF struct buf problems = { 0 };
	AUTO_BUF struct buf no_problems = { 0 };
	AUTO_BUF struct buf sample = { 0 };
	AUTO_BUF struct buf a = { 0 };
	AUTO_BUF struct buf b = { 0 };

	(void)state;
	buf_init(&sample, 65536);
	setting_sample(&sample);
	config = load(buf_text(&sample), &problems);
	if (!config)
		fail_msg("%s", buf_text(&problems));
	defaults = load("", &no_problems);
	buf_init(&a, 65536);
	buf_init(&b, 65536);
	config_dump(config, &a);
	config_dump(defaults, &b);
	assert_string_equal(buf_text(&a), buf_text(&b));
}

static void
settings_table_is_sound(void **state)
{
	(void)state;
	for (const struct setting *setting = settings; setting->name; setting++) {
		AUTO_BUF struct buf allowed = { 0 };

		assert_non_null(setting->help);
		assert_non_null(setting->fallback);
		assert_int_equal(setting->type == SETTING_CHOICE, setting->choices != NULL);
		assert_int_equal(setting->type == SETTING_ROWS, setting->row != NULL);
		buf_init(&allowed, 4096);
		setting_allowed(setting, &allowed);
		assert_true(allowed.len > 0);
		for (const struct setting *other = settings; other != setting; other++) {
			assert_string_not_equal(other->name, setting->name);
			assert_int_not_equal(other->offset, setting->offset);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(empty_file_gives_every_default),
		cmocka_unit_test(no_file_gives_every_default),
		cmocka_unit_test(values_are_taken),
		cmocka_unit_test(rules_of_encryption_are_taken),
		cmocka_unit_test(problems_are_named),
		cmocka_unit_test(quarantine_settings_are_taken),
		cmocka_unit_test(notes_are_given),
		cmocka_unit_test(nothing_is_noted_where_nothing_is_held),
		cmocka_unit_test(all_problems_at_once),
		cmocka_unit_test(missing_file_is_a_problem),
		cmocka_unit_test(dump_reads_back),
		cmocka_unit_test(sample_is_the_defaults),
		cmocka_unit_test(settings_table_is_sound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
