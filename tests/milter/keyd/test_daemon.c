/*
 * segel-keyd as a process: started from a settings file, asked through its socket, judged by
 * openssl(1), /proc and its audit log. Runs as root: the agent drops to a user of its own, and
 * strangers ask as other users. Keys are made by openssl(1).
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "milter/audit/audit.h"
#include "milter/keyd/channel.h"
#include "milter/keyd/client.h"
#include "milter/keyd/wire.h"
#include "smime/box.h"
#include "smime/cert.h"

enum {
	AGENT_UID = 64101,   /* none of these numbers has an entry */
	SIGNER_UID = 64102,
	STRANGER_UID = 64103,
	UNWRAPPER_UID = 64104,
	SOCKET_GID = 64100,
	THREADS = 8,
	EACH = 200,
	FILE_CAP = 16 * 1024 * 1024,
};

static const struct kind {
	const char *name;
	const char *file;
	enum digest alg;
} kinds[] = {
	{ "rsa", "rsa.pem", DIGEST_SHA256 },
	{ "p256", "p256.pem", DIGEST_SHA256 },
	{ "p384", "p384.p12", DIGEST_SHA384 },
};

/* Of purpose decrypt. */
#define N_VAULTS 2
static const char *const vaults[N_VAULTS] = { "vault", "vault4096" };

struct world {
	char dir[64]; /* keys/, run/, audit/, settings, log */
	char socket[96];
	char audit[96];
	unsigned char spki[N_ELEMENTS(kinds)][32];
	unsigned char vault[N_VAULTS][32];
	pid_t pid; /* of the agent; 0 = not running */
};

/* Runs in the world's keys folder. */
static void
shell(const struct world *world, const char *script)
{
	AUTO(xfree) char *command = xasprintf("cd '%s/keys' && exec 2>>../tools.log && set -e && %s", world->dir, script);

	if (system(command) != 0)
		fail_msg("failed: %s", command);
}

static void
read_spki(const struct world *world, const char *name, unsigned char ret[32])
{
	AUTO(xfree) char *command = xasprintf("cd '%s/keys' && openssl pkey -pubin -in %s.pub -outform DER | "
	    "sha256sum | cut -c1-64", world->dir, name);
	char hex[65] = "";
	FILE *out = popen(command, "re");

	assert_non_null(out);
	assert_int_equal(fread(hex, 1, 64, out), 64);
	pclose(out);
	assert_true(sha256_from_hex(hex, ret));
}

static void
make_keys(struct world *world)
{
	shell(world,
	    "umask 077; echo rahasia >pass; cp pass pass2; echo salah >wrong; echo 'no key' >no.pem; "
	    "openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -aes-256-cbc -pass file:pass -out rsa.pem; "
	    "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -aes-256-cbc -pass file:pass -out p256.pem; "
	    "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 -aes-256-cbc -pass file:pass -out p384.pem; "
	    "openssl pkey -in p256.pem -passin file:pass -out plain.pem; "
	    "openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:3072 -aes-256-cbc -pass file:pass -out vault.pem; "
	    "openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:4096 -aes-256-cbc -pass file:pass -out vault4096.pem; "
	    "for k in rsa p256 p384 vault vault4096; do "
	    "  openssl req -x509 -new -key $k.pem -passin file:pass -subj /CN=$k -days 2 -out $k.crt; "
	    "  openssl x509 -in $k.crt -noout -pubkey >$k.pub; "
	    "done; "
	    "openssl pkcs12 -export -inkey p384.pem -passin file:pass -in p384.crt -passout file:pass2 -out p384.p12; "
	    "rm p384.pem; cp rsa.pem open.pem; chmod 644 open.pem; cp pass open.pass; chmod 640 open.pass; "
	    "mkdir own; cp rsa.pem p256.pem vault.pem pass own/; chown -R 64101 own");
	for (size_t i = 0; i < N_ELEMENTS(kinds); i++)
		read_spki(world, kinds[i].name, world->spki[i]);
	for (size_t i = 0; i < N_VAULTS; i++)
		read_spki(world, vaults[i], world->vault[i]);
}

static void
make_folder(const struct world *world, const char *name, uid_t uid, gid_t gid)
{
	AUTO(xfree) char *path = xasprintf("%s/%s", world->dir, name);

	assert_int_equal(mkdir(path, 0750), 0);
	assert_int_equal(chown(path, uid, gid), 0);
	assert_int_equal(chmod(path, 0750), 0);
}

static int
group_setup(void **state)
{
	struct world *world = xcalloc(1, sizeof(*world));

	if (geteuid() != 0)
		fail_msg("this test needs root: it asks the agent as several users");
	snprintf(world->dir, sizeof(world->dir), "/tmp/segel-keyd-XXXXXX");
	assert_non_null(mkdtemp(world->dir));
	assert_int_equal(chmod(world->dir, 0711), 0);
	snprintf(world->socket, sizeof(world->socket), "%s/run/keyd.sock", world->dir);
	snprintf(world->audit, sizeof(world->audit), "%s/audit/segel-keyd.audit", world->dir);
	make_folder(world, "keys", 0, 0);
	assert_int_equal(system("command -v openssl >/dev/null"), 0);
	make_keys(world);
	*state = world;
	return 0;
}

static int
group_teardown(void **state)
{
	struct world *world = *state;
	AUTO(xfree) char *command = xasprintf("rm -rf '%s'", world->dir);

	if (system(command) != 0)
		return -1;
	free(world);
	return 0;
}

static int
setup(void **state)
{
	struct world *world = *state;

	make_folder(world, "run", AGENT_UID, SOCKET_GID);
	make_folder(world, "audit", AGENT_UID, AGENT_UID);
	return 0;
}

static int
teardown(void **state)
{
	struct world *world = *state;
	AUTO(xfree) char *command = xasprintf("cd '%s' && rm -rf run audit settings log", world->dir);

	if (world->pid) {
		kill(world->pid, SIGKILL);
		waitpid(world->pid, NULL, 0);
		world->pid = 0;
	}
	return system(command) == 0 ? 0 : -1;
}

/* One entry of keyd.keys. */
#define KEY_ENTRY_FOR(file, pass, limit, signers) \
	"{ file = \"@/keys/" file "\"; passphrase_file = \"" pass "\"; limit = " #limit "; signers = [ " signers " ]; }"
#define KEY_ENTRY(file, pass, limit) KEY_ENTRY_FOR(file, pass, limit, "\"0\", \"64102\"")
#define PASS "@/keys/pass"
#define VAULT(file, limit) "{ file = \"@/keys/" file "\"; passphrase_file = \"" PASS "\"; limit = " #limit "; purpose = \"decrypt\"; }"
#define MAIL_KEY(file, limit, unwrappers) "{ file = \"@/keys/" file "\"; passphrase_file = \"" PASS "\"; limit = " #limit "; purpose = \"decrypt\"; " \
	"unwrappers = [ " unwrappers " ]; }"
#define OWN_MAIL_KEY(file) "{ file = \"@/keys/own/" file "\"; passphrase_file = \"@/keys/own/pass\"; purpose = \"decrypt\"; }"
#define UNWRAPPERS "\tunwrappers = [ \"64104\" ];\n"
#define ALL_KEYS KEY_ENTRY("rsa.pem", PASS, 100000) ", " KEY_ENTRY("p256.pem", PASS, 100000) ", " \
	KEY_ENTRY("p384.p12", PASS, 100000)

/* '@' stands for the world's folder. */
static void
add_expanded(FILE *out, const struct world *world, const char *text)
{
	for (; *text; text++) {
		if (*text == '@')
			fputs(world->dir, out);
		else
			fputc(*text, out);
	}
}

static void
write_settings(const struct world *world, const char *keys, const char *more)
{
	AUTO(xfree) char *file = xasprintf("%s/settings", world->dir);
	FILE *out = fopen(file, "we");

	assert_non_null(out);
	fprintf(out, "log: { target = \"stderr\"; };\nkeyd: {\n\tsocket = \"%s\";\n\tsocket_group = \"%d\";\n"
	    "\tuser = \"%d\";\n\tsigners = [ \"0\", \"%d\" ];\n\taudit_dir = \"%s/audit\";\n",
	    world->socket, SOCKET_GID, AGENT_UID, SIGNER_UID, world->dir);
	fputs("\tkeys = ( ", out);
	add_expanded(out, world, keys);
	fputs(" );\n", out);
	add_expanded(out, world, more);
	fputs("};\n", out);
	assert_int_equal(fclose(out), 0);
}

/* What is special about a start. */
struct how {
	uid_t uid; /* already this user, as under systemd; 0 = root, and drops by itself */
};

static const struct how plainly = { 0 };

static void
run_agent(const struct world *world, const char *option, const struct how *how)
{
	const char *build = getenv("SEGEL_BUILD");
	AUTO(xfree) char *program = xasprintf("%s/segel-keyd", build ? build : "build/asan");
	AUTO(xfree) char *settings = xasprintf("%s/settings", world->dir);
	AUTO(xfree) char *log = xasprintf("%s/log", world->dir);
	const gid_t group = SOCKET_GID;
	char *const args[] = { (char[]){ "segel-keyd" }, xstrdup(option), (char[]){ "-c" }, settings, NULL };
	int binary = open(program, O_RDONLY | O_CLOEXEC); /* its folder may be closed to that user */
	int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0644);

	dup2(fd, STDERR_FILENO);
	if (how->uid && (setgroups(1, &group) == -1 || setresgid(how->uid, how->uid, how->uid) == -1 ||
	    setresuid(how->uid, how->uid, how->uid) == -1))
		_exit(125);
	fexecve(binary, args, environ);
	fprintf(stderr, "'%s' cannot be run: %s\n", program, strerror(errno));
	_exit(126);
}

static void
spawn(struct world *world, const char *option, const struct how *how)
{
	world->pid = fork();
	assert_true(world->pid != -1);
	if (world->pid == 0)
		run_agent(world, option, how);
}

static char *
log_text(const struct world *world)
{
	AUTO(xfree) char *file = xasprintf("%s/log", world->dir);
	char *text = xcalloc(1, 64 * 1024);
	FILE *in = fopen(file, "re");

	if (in) {
		(void)!fread(text, 1, 64 * 1024 - 1, in);
		fclose(in);
	}
	return text;
}

static void
assert_logged(const struct world *world, const char *want)
{
	AUTO(xfree) char *text = log_text(world);

	if (!strstr(text, want))
		fail_msg("the log does not say '%s':\n%s", want, text);
}

static void
pause_ms(long ms)
{
	const struct timespec pause = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&pause, NULL);
}

/* --- reload --- */

static void
await_log(const struct world *world, const char *want)
{
	for (int i = 0; i < 300; i++) {
		AUTO(xfree) char *text = log_text(world);

		if (strstr(text, want))
			return;
		pause_ms(10);
	}
	assert_logged(world, want);
}

static int
ended(struct world *world)
{
	int status = 0;

	assert_int_equal(waitpid(world->pid, &status, 0), world->pid);
	world->pid = 0;
	return status;
}

/* Until it answers; a start that fails ends the test with its log. */
static void
start_as(struct world *world, const struct how *how)
{
	AUTO(keyd_client_free) struct keyd_client *client = keyd_client_new(world->socket, 2000);
	struct err err;

	spawn(world, "-f", how);
	for (int i = 0; i < 1000; i++) {
		AUTO(xfree) char *text = NULL;

		if (keyd_ping(client, &err) == 0)
			return;
		if (waitpid(world->pid, NULL, WNOHANG) == 0) {
			pause_ms(10);
			continue;
		}
		world->pid = 0;
		text = log_text(world);
		fail_msg("segel-keyd did not start:\n%s", text);
	}
	fail_msg("segel-keyd does not answer: %s", err.text);
}

static void
start(struct world *world, const char *keys, const char *more)
{
	write_settings(world, keys, more);
	start_as(world, &plainly);
}

/* TERM; its sanitizers had nothing to say. */
static void
stop(struct world *world)
{
	int status;

	kill(world->pid, SIGTERM);
	status = ended(world);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		AUTO(xfree) char *text = log_text(world);

		fail_msg("segel-keyd ended with status %x:\n%s", (unsigned)status, text);
	}
	assert_int_equal(access(world->socket, F_OK), -1);
}

static const unsigned char some_digest[64] = "what is signed: forty-eight bytes of it, or fewer, no hash";

static int
sign_as(struct keyd_client *client, const unsigned char spki[32], enum digest alg, const char *qid,
    unsigned char *sig, size_t *sig_len, struct err *err)
{
	const struct sign_context context = { "budi", "dinas kesehatan@prov.example.id", qid, "session 1" };

	*sig_len = SIGNATURE_BYTES;
	return keyd_sign(client, &context, spki, alg, (struct slice){ some_digest, digest_len(alg) }, sig, sig_len, err);
}

static int
sign(struct keyd_client *client, const unsigned char spki[32], enum digest alg, struct err *err)
{
	unsigned char sig[SIGNATURE_BYTES];
	size_t len;

	return sign_as(client, spki, alg, "4c1bXr", sig, &len, err);
}

static void
write_file(const struct world *world, const char *name, const void *bytes, size_t len)
{
	AUTO(xfree) char *file = xasprintf("%s/keys/%s", world->dir, name);
	FILE *out = fopen(file, "we");

	assert_non_null(out);
	assert_int_equal(fwrite(bytes, 1, len, out), len);
	assert_int_equal(fclose(out), 0);
}

/* --- signatures --- */

static void
check_by_openssl(struct world *world, struct keyd_client *client, size_t kind, enum digest alg)
{
	unsigned char sig[SIGNATURE_BYTES];
	AUTO(xfree) char *good = xasprintf("openssl pkeyutl -verify -pubin -inkey %s.pub -in digest -sigfile sig "
	    "-pkeyopt digest:%s >/dev/null", kinds[kind].name, digest_name(alg));
	AUTO(xfree) char *other = xasprintf("! %s", good);
	struct err err;
	size_t len;

	if (sign_as(client, world->spki[kind], alg, "4c1bXr", sig, &len, &err) == -1)
		fail_msg("%s: %s", kinds[kind].name, err.text);
	write_file(world, "digest", some_digest, digest_len(alg));
	write_file(world, "sig", sig, len);
	shell(world, good);
	sig[len - 1] ^= 1;
	write_file(world, "sig", sig, len);
	shell(world, other);
}

static void
test_signatures(void **state)
{
	struct world *world = *state;
	AUTO(keyd_client_free) struct keyd_client *client = NULL;

	start(world, ALL_KEYS, "");
	client = keyd_client_new(world->socket, 5000);
	for (size_t i = 0; i < N_ELEMENTS(kinds); i++)
		check_by_openssl(world, client, i, kinds[i].alg);
	check_by_openssl(world, client, 0, DIGEST_SHA384);
	stop(world);
}

struct found {
	size_t n;
	size_t n_intents;
	size_t n_unwraps;
	size_t n_decrypts;
	size_t n_failed;
	size_t n_bad;
	char pairs[2048]; /* of the last intent, or failure */
	char syncs[32];   /* of the stop record */
};

static bool
count_intents(void *ctx, const struct audit_record *record)
{
	struct found *found = ctx;

	found->n++;
	found->n_bad += !record->good;
	for (size_t i = 0; i < record->n_pairs && strcmp(record->event, "stop") == 0; i++) {
		if (strcmp(record->pairs[i].key, "syncs") == 0)
			snprintf(found->syncs, sizeof(found->syncs), "%s", record->pairs[i].value);
	}
	found->n_intents += strcmp(record->event, "seal-intent") == 0;
	found->n_unwraps += strcmp(record->event, "unwrap-intent") == 0;
	found->n_decrypts += strcmp(record->event, "decrypt-intent") == 0;
	found->n_failed += strcmp(record->event, "decrypt-failed") == 0;
	if (!strstr(record->event, "-intent") && strcmp(record->event, "decrypt-failed") != 0)
		return true;
	found->pairs[0] = '\0';
	for (size_t i = 0; i < record->n_pairs; i++) {
		size_t len = strlen(found->pairs);

		snprintf(found->pairs + len, sizeof(found->pairs) - len, "%s=%s;", record->pairs[i].key, record->pairs[i].value);
	}
	return true;
}

static struct found
audited(const struct world *world)
{
	struct found found = { 0 };
	struct err err;

	if (audit_read(world->audit, count_intents, &found, &err) == -1)
		fail_msg("%s", err.text);
	return found;
}

static void
test_intent_is_there_before_the_signature(void **state)
{
	struct world *world = *state;
	AUTO(keyd_client_free) struct keyd_client *client = NULL;
	char key[65], want[1024];
	struct found found;
	struct err err;

	start(world, ALL_KEYS, "");
	client = keyd_client_new(world->socket, 5000);
	assert_int_equal(audited(world).n_intents, 0);
	for (size_t i = 1; i <= 5; i++) {
		assert_int_equal(sign(client, world->spki[1], DIGEST_SHA256, &err), 0);
		assert_int_equal(audited(world).n_intents, i);
	}
	sha256_hex(world->spki[1], key);
	snprintf(want, sizeof(want), "login=budi;from=dinas kesehatan@prov.example.id;qid=4c1bXr;session=session 1;key=%s;"
	    "alg=sha256;digest=", key);
	found = audited(world);
	assert_int_equal(found.n_bad, 0);
	assert_memory_equal(found.pairs, want, strlen(want));
	snprintf(want, sizeof(want), "uid=0;pid=%d;", (int)getpid());
	assert_non_null(strstr(found.pairs, want));
	stop(world);
}

/* --- refusals --- */

struct question {
	const char *name;
	size_t key; /* of kinds; beyond = one the agent does not hold */
	enum digest alg;
	size_t digest_len;
	const char *login, *from;
	enum wire_status want;
};

static const struct question questions[] = {
	{ "good", 0, DIGEST_SHA256, 32, "budi", "dinas@x.id", WIRE_STATUS_OK },
	{ "unknown key", 9, DIGEST_SHA256, 32, "budi", "dinas@x.id", WIRE_STATUS_UNKNOWN_KEY },
	{ "digest a byte short", 0, DIGEST_SHA256, 31, "budi", "dinas@x.id", WIRE_STATUS_BAD_REQUEST },
	{ "digest a byte long", 0, DIGEST_SHA256, 33, "budi", "dinas@x.id", WIRE_STATUS_BAD_REQUEST },
	{ "sha384 digest called sha256", 0, DIGEST_SHA256, 48, "budi", "dinas@x.id", WIRE_STATUS_BAD_REQUEST },
	{ "no login", 0, DIGEST_SHA256, 32, "", "dinas@x.id", WIRE_STATUS_BAD_REQUEST },
	{ "no From", 0, DIGEST_SHA256, 32, "budi", "", WIRE_STATUS_BAD_REQUEST },
	{ "P-256 with SHA-256", 1, DIGEST_SHA256, 32, "budi", "dinas@x.id", WIRE_STATUS_OK },
	{ "P-256 with SHA-384", 1, DIGEST_SHA384, 48, "budi", "dinas@x.id", WIRE_STATUS_BAD_REQUEST },
	{ "P-384 with SHA-384", 2, DIGEST_SHA384, 48, "budi", "dinas@x.id", WIRE_STATUS_OK },
	{ "P-384 with SHA-256", 2, DIGEST_SHA256, 32, "budi", "dinas@x.id", WIRE_STATUS_BAD_REQUEST },
};

static void
test_refusals(void **state)
{
	static const unsigned char unknown[32] = "no such key";
	struct world *world = *state;
	AUTO(keyd_client_free) struct keyd_client *client = NULL;
	size_t n_good = 0;

	start(world, ALL_KEYS, "");
	client = keyd_client_new(world->socket, 5000);
	for (size_t i = 0; i < N_ELEMENTS(questions); i++) {
		const struct question *row = &questions[i];
		const struct sign_context context = { row->login, row->from, "4c1bXr", "s-1" };
		const unsigned char *spki = row->key < N_ELEMENTS(kinds) ? world->spki[row->key] : unknown;
		AUTO(xfree) unsigned char *digest = xcalloc(row->digest_len, 1);
		unsigned char sig[SIGNATURE_BYTES];
		size_t len = sizeof(sig);
		struct err err = { .kind = ERR_NONE };
		int result = keyd_sign(client, &context, spki, row->alg, (struct slice){ digest, row->digest_len }, sig, &len, &err);

		n_good += result == 0;
		if ((result == 0) != (row->want == WIRE_STATUS_OK) || (result && !strstr(err.text, wire_status_name(row->want))))
			fail_msg("%s: '%s', wanted %s", row->name, err.text, wire_status_name(row->want));
	}
	assert_int_equal(audited(world).n_intents, n_good); /* what is refused before is no intent */
	stop(world);
}

/* As another user: what came of a ping and of a signature, as bits. */
enum { COULD_PING = 1, COULD_SIGN = 2, WAS_DENIED = 4 };

static int
ask_as(const struct world *world, uid_t uid, gid_t gid)
{
	pid_t child = fork();
	int status = 0;

	if (child == 0) {
		struct keyd_client *client = keyd_client_new(world->socket, 5000);
		struct err err;
		int bits = 0;

		if (setgroups(0, NULL) == -1 || setresgid(gid, gid, gid) == -1 || setresuid(uid, uid, uid) == -1)
			_exit(100);
		bits |= keyd_ping(client, &err) == 0 ? COULD_PING : 0;
		if (sign(client, world->spki[0], DIGEST_SHA256, &err) == 0)
			bits |= COULD_SIGN;
		else if (strstr(err.text, "(denied: "))
			bits |= WAS_DENIED;
		_exit(bits);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void
test_only_signers_sign(void **state)
{
	struct world *world = *state;

	start(world, ALL_KEYS, "");
	assert_int_equal(ask_as(world, SIGNER_UID, SOCKET_GID), COULD_PING | COULD_SIGN);
	assert_int_equal(ask_as(world, STRANGER_UID, SOCKET_GID), COULD_PING | WAS_DENIED);
	assert_int_equal(ask_as(world, AGENT_UID, SOCKET_GID), COULD_PING | WAS_DENIED);
	assert_int_equal(ask_as(world, SIGNER_UID, STRANGER_UID), 0); /* not in the group: no socket for it */
	assert_int_equal(ask_as(world, STRANGER_UID, STRANGER_UID), 0);
	assert_int_equal(audited(world).n_intents, 1);
	assert_logged(world, "uid=64103");
	assert_logged(world, "refused (denied)");
	stop(world);
}

/* A key is for whom its entry names; where it names nobody, for the first of keyd.signers (0) alone. */
static void
test_a_key_is_for_its_own_signers(void **state)
{
	struct world *world = *state;

	start(world, KEY_ENTRY_FOR("rsa.pem", PASS, 10, "\"64102\""), "");
	assert_int_equal(ask_as(world, SIGNER_UID, SOCKET_GID), COULD_PING | COULD_SIGN);
	assert_int_equal(ask_as(world, 0, SOCKET_GID), COULD_PING);
	stop(world);
	start(world, KEY_ENTRY_FOR("rsa.pem", PASS, 10, ""), "");
	assert_int_equal(ask_as(world, SIGNER_UID, SOCKET_GID), COULD_PING);
	assert_int_equal(ask_as(world, 0, SOCKET_GID), COULD_PING | COULD_SIGN);
	assert_logged(world, "is not for uid 64102; see signers of its entry in keyd.keys");
	stop(world);
}

/* As another user: 0 it is here, 1 it is not, 2 denied, 3 could not ask. */
static int
asked_for(const struct world *world, uid_t uid, gid_t gid, const unsigned char spki[32])
{
	pid_t child = fork();
	int status = 0;

	if (child == 0) {
		struct keyd_client *client = keyd_client_new(world->socket, 5000);
		struct err err;
		bool has;

		if (setgroups(0, NULL) == -1 || setresgid(gid, gid, gid) == -1 || setresuid(uid, uid, uid) == -1)
			_exit(100);
		if (keyd_has(client, spki, &has, &err) == 0)
			_exit(!has);
		_exit(strstr(err.text, "(denied: ") ? 2 : 3);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void
test_signers_are_told_which_keys_are_here(void **state)
{
	static const unsigned char unknown[32] = "no such key";
	struct world *world = *state;
	size_t n_records;

	start(world, KEY_ENTRY("rsa.pem", PASS, 1), "");
	n_records = audited(world).n;
	for (int i = 0; i < 3; i++) /* no signature: the key's limit of one does not count */
		assert_int_equal(asked_for(world, SIGNER_UID, SOCKET_GID, world->spki[0]), 0);
	assert_int_equal(asked_for(world, SIGNER_UID, SOCKET_GID, world->spki[1]), 1);
	assert_int_equal(asked_for(world, SIGNER_UID, SOCKET_GID, unknown), 1);
	/* A stranger learns neither that it is here nor that it is not. */
	assert_int_equal(asked_for(world, STRANGER_UID, SOCKET_GID, world->spki[0]), 2);
	assert_int_equal(asked_for(world, STRANGER_UID, SOCKET_GID, unknown), 2);
	assert_int_equal(asked_for(world, STRANGER_UID, STRANGER_UID, world->spki[0]), 3);
	assert_int_equal(audited(world).n, n_records);
	assert_logged(world, "refused (denied)");
	stop(world);
}

/* --- unwrapping --- */

/* openssl wraps `content` for this key. */
static size_t
wrap(struct world *world, const char *vault, const char *options, const void *content, size_t len, unsigned char block[512])
{
	AUTO(xfree) char *file = xasprintf("%s/keys/block", world->dir);
	AUTO(xfree) char *script = xasprintf("openssl pkeyutl -encrypt -pubin -inkey %s.pub -in content -out block %s", vault, options);
	FILE *in;
	size_t n;

	write_file(world, "content", content, len);
	shell(world, script);
	in = fopen(file, "re");
	assert_non_null(in);
	n = fread(block, 1, 512, in);
	fclose(in);
	return n;
}

#define OAEP "-pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256 -pkeyopt rsa_mgf1_md:sha256"
static const char content[] = "thirty-two bytes: AES-256's key.";

/* Everything about one request for a content key; asked by a child as that user. */
struct opening {
	uid_t uid;
	const unsigned char *spki;
	struct slice block;
	const char *item, *reason;
};

/* 0 and the key, or -1 and the text. */
static int
unwrap_as(const struct world *world, const struct opening *opening, unsigned char key[32], struct err *err)
{
	int pipes[2], status = 0;
	struct { int result; struct err err; unsigned char key[32]; } answer = { .result = -1 };
	pid_t child;

	assert_int_equal(pipe(pipes), 0);
	child = fork();
	if (child == 0) {
		struct keyd_client *client = keyd_client_new(world->socket, 5000);

		if (setgroups(0, NULL) == -1 || setresgid(SOCKET_GID, SOCKET_GID, SOCKET_GID) == -1
		    || setresuid(opening->uid, opening->uid, opening->uid) == -1)
			_exit(100);
		answer.result = keyd_unwrap(client, opening->item, opening->reason, opening->spki, opening->block, answer.key, &answer.err);
		_exit(write(pipes[1], &answer, sizeof(answer)) != (ssize_t)sizeof(answer));
	}
	close(pipes[1]);
	assert_int_equal(read(pipes[0], &answer, sizeof(answer)), sizeof(answer));
	close(pipes[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	memcpy(key, answer.key, 32);
	*err = answer.err;
	return answer.result;
}

static void
test_unwraps(void **state)
{
	struct world *world = *state;
	unsigned char block[512], key[32];
	char hex[65], want[256];
	struct found found;
	struct err err;

	start(world, VAULT("vault.pem", 100) ", " VAULT("vault4096.pem", 100) ", " ALL_KEYS, UNWRAPPERS);
	for (size_t i = 0; i < N_VAULTS; i++) {
		size_t len = wrap(world, vaults[i], OAEP, content, 32, block);
		const struct opening opening = { UNWRAPPER_UID, world->vault[i], { block, len }, "item-7", "view: asked by its owner" };

		assert_int_equal(audited(world).n_unwraps, i);
		if (unwrap_as(world, &opening, key, &err) == -1)
			fail_msg("%s: %s", vaults[i], err.text);
		assert_memory_equal(key, content, 32);
		found = audited(world);
		assert_int_equal(found.n_unwraps, i + 1);
		sha256_hex(world->vault[i], hex);
		snprintf(want, sizeof(want), "item=item-7;reason=view: asked by its owner;key=%s;uid=64104;pid=", hex);
		assert_memory_equal(found.pairs, want, strlen(want));
	}
	assert_int_equal(audited(world).n_intents, 0);
	assert_int_equal(audited(world).n_bad, 0);
	stop(world);
}

/* Who may, and with which keys: whoever unwraps does not sign, and the other way round. */
static void
test_only_unwrappers_unwrap(void **state)
{
	struct world *world = *state;
	unsigned char vault_block[512], seal_block[512], key[32];
	const uid_t others[] = { 0, SIGNER_UID, STRANGER_UID, AGENT_UID };
	struct opening opening;
	struct err err;

	start(world, VAULT("vault.pem", 100) ", " ALL_KEYS, UNWRAPPERS);
	(void)wrap(world, "vault", OAEP, content, 32, vault_block);
	(void)wrap(world, "rsa", OAEP, content, 32, seal_block);
	opening = (struct opening){ UNWRAPPER_UID, world->vault[0], { vault_block, 384 }, "i", "r" };
	assert_int_equal(unwrap_as(world, &opening, key, &err), 0);
	for (size_t i = 0; i < N_ELEMENTS(others); i++) {
		opening.uid = others[i];
		assert_int_equal(unwrap_as(world, &opening, key, &err), -1);
		if (!strstr(err.text, "(denied: uid ") || !strstr(err.text, "keyd.unwrappers"))
			fail_msg("uid %d: %s", (int)others[i], err.text);
	}
	/* A key that seals unwraps nothing, not for an unwrapper either, whatever was wrapped for it. */
	opening = (struct opening){ UNWRAPPER_UID, world->spki[0], { seal_block, 256 }, "i", "r" };
	assert_int_equal(unwrap_as(world, &opening, key, &err), -1);
	assert_non_null(strstr(err.text, "(unknown-key: "));
	assert_non_null(strstr(err.text, "is of purpose seal"));
	opening.uid = SIGNER_UID;
	assert_int_equal(unwrap_as(world, &opening, key, &err), -1);
	assert_non_null(strstr(err.text, "(denied: "));
	/* An unwrapper does not sign. */
	assert_int_equal(ask_as(world, UNWRAPPER_UID, SOCKET_GID), COULD_PING | WAS_DENIED);
	/* And nobody is told of a key that is not for him. */
	assert_int_equal(asked_for(world, UNWRAPPER_UID, SOCKET_GID, world->vault[0]), 0);
	assert_int_equal(asked_for(world, UNWRAPPER_UID, SOCKET_GID, world->vault[1]), 1);
	assert_int_equal(asked_for(world, UNWRAPPER_UID, SOCKET_GID, world->spki[0]), 1);
	assert_int_equal(asked_for(world, SIGNER_UID, SOCKET_GID, world->vault[0]), 1);
	assert_int_equal(audited(world).n_unwraps, 1);
	assert_int_equal(audited(world).n_intents, 0);
	stop(world);
}

/* A key that decrypts never signs, for a signer or for anybody. */
static void
test_a_vault_never_signs(void **state)
{
	struct world *world = *state;
	AUTO(keyd_client_free) struct keyd_client *client = NULL;
	struct err err;

	/* uid 0, who asks here, is both. */
	start(world, VAULT("vault.pem", 100) ", " ALL_KEYS, "\tunwrappers = [ \"64104\", \"0\" ];\n");
	client = keyd_client_new(world->socket, 5000);
	assert_int_equal(sign(client, world->spki[0], DIGEST_SHA256, &err), 0);
	assert_int_equal(sign(client, world->vault[0], DIGEST_SHA256, &err), -1);
	assert_non_null(strstr(err.text, "(unknown-key: "));
	assert_non_null(strstr(err.text, "is of purpose decrypt"));
	assert_int_equal(audited(world).n_intents, 1);
	stop(world);
}

static int
take_bytes(void *ctx, struct slice bytes, struct err *err)
{
	(void)err;
	buf_add_slice(ctx, bytes);
	return 0;
}

static int
unwrap_through_agent(void *ctx, const unsigned char spki[32], struct slice wrapped, unsigned char key[BOX_KEY_BYTES], struct err *err)
{
	return keyd_unwrap(ctx, "item-7", "view: asked by its owner", spki, wrapped, key, err);
}

static int
open_box(struct keyd_client *client, const char *name, struct slice box, struct buf *ret, struct err *err)
{
	const struct box_sink sink = { take_bytes, ret };
	const struct unwrapper unwrapper = { unwrap_through_agent, client };
	AUTO(box_reader_free) struct box_reader *reader = box_reader_new(name, &unwrapper, &sink);

	return box_read(reader, box, err) == -1 || box_read_end(reader, err) == -1 ? -1 : 0;
}

/* What a filter encrypts with the certificate alone is read through the agent, with one unwrapping on record. */
static void
test_a_box_opens_through_the_agent(void **state)
{
	struct world *world = *state;
	AUTO(keyd_client_free) struct keyd_client *client = NULL;
	AUTO(xfree) char *message = xcalloc(300000, 1);
	AUTO(xfree) char *file = xasprintf("%s/keys/vault.crt", world->dir);
	AUTO_BUF struct buf pem = { 0 };
	AUTO_BUF struct buf der = { 0 };
	AUTO_BUF struct buf box = { 0 };
	AUTO_BUF struct buf back = { 0 };
	AUTO(box_writer_free) struct box_writer *writer = NULL;
	const struct box_sink sink = { take_bytes, &box };
	FILE *in = fopen(file, "re");
	struct err err;

	assert_non_null(in);
	buf_init(&pem, 16 * 1024);
	buf_init(&box, 1024 * 1024);
	buf_init(&back, 1024 * 1024);
	buf_init(&der, 16 * 1024);
	for (int c; (c = fgetc(in)) != EOF;)
		buf_add(&pem, &(char){ (char)c }, 1);
	fclose(in);
	memset(message, 'm', 300000);
	assert_int_equal(cert_read(buf_slice(&pem), &der, &err), 0);
	assert_int_equal(box_writer_new(buf_slice(&der), "item-7", &sink, &writer, &err), 0);
	assert_int_equal(box_write(writer, (struct slice){ (unsigned char *)message, 300000 }, &err), 0);
	assert_int_equal(box_finish(writer, &err), 0);

	start(world, VAULT("vault.pem", 100) ", " ALL_KEYS, "\tunwrappers = [ \"0\" ];\n");
	client = keyd_client_new(world->socket, 5000);
	if (open_box(client, "item-7", buf_slice(&box), &back, &err) == -1)
		fail_msg("%s", err.text);
	assert_int_equal(back.len, 300000);
	assert_memory_equal(back.at, message, 300000);
	assert_int_equal(audited(world).n_unwraps, 1);
	assert_int_equal(open_box(client, "item-8", buf_slice(&box), &back, &err), -1);
	stop(world);
}

/* Whatever is wrong with a block, the answer is the same, byte for byte; each was on record before. */
static void
test_bad_blocks_look_alike(void **state)
{
	static const struct {
		const char *name;
		const char *vault;
		const char *options;
		size_t content_len, cut; /* bytes of the block that are sent; 0 = all */
		int flip;                /* this byte; -1 = none */
	} rows[] = {
		{ "31 bytes", "vault", OAEP, 31, 0, -1 },
		{ "33 bytes", "vault", OAEP, 33, 0, -1 },
		{ "empty", "vault", OAEP, 0, 0, -1 },
		{ "PKCS#1 v1.5", "vault", "-pkeyopt rsa_padding_mode:pkcs1", 32, 0, -1 },
		{ "no padding", "vault", "-pkeyopt rsa_padding_mode:none", 384, 0, -1 },
		{ "OAEP with SHA-1", "vault", "-pkeyopt rsa_padding_mode:oaep", 32, 0, -1 },
		{ "OAEP with MGF1-SHA-1", "vault", "-pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256 -pkeyopt rsa_mgf1_md:sha1", 32, 0, -1 },
		{ "OAEP with a label", "vault", OAEP " -pkeyopt rsa_oaep_label:6161", 32, 0, -1 },
		{ "for another key", "vault4096", OAEP, 32, 384, -1 },
		{ "for a longer key", "vault4096", OAEP, 32, 0, -1 },
		{ "first byte flipped", "vault", OAEP, 32, 0, 0 },
		{ "last byte flipped", "vault", OAEP, 32, 0, 383 },
		{ "a byte short", "vault", OAEP, 32, 383, -1 },
		{ "of one byte", "vault", OAEP, 32, 1, -1 },
	};
	static const unsigned char zeros[384];
	struct world *world = *state;
	unsigned char block[512], key[32];
	char first[sizeof(((struct err *)0)->text)] = "";
	struct opening opening;
	struct err err;

	start(world, VAULT("vault.pem", 100), UNWRAPPERS);
	opening = (struct opening){ UNWRAPPER_UID, world->vault[0], { block, 0 }, "i", "r" };
	for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
		const void *bytes = rows[i].content_len == 384 ? (const void *)zeros : "thirty-two bytes: AES-256's key.+";
		size_t len = wrap(world, rows[i].vault, rows[i].options, bytes, rows[i].content_len, block);

		opening.block.len = rows[i].cut ? rows[i].cut : len;
		if (rows[i].flip >= 0)
			block[rows[i].flip] ^= 1;
		if (unwrap_as(world, &opening, key, &err) != -1 || err.kind != ERR_CONFIG)
			fail_msg("%s: %d '%s'", rows[i].name, err.kind, err.text);
		if (*first == '\0')
			snprintf(first, sizeof(first), "%s", err.text);
		if (strcmp(first, err.text) != 0)
			fail_msg("%s: '%s', another one '%s'", rows[i].name, err.text, first);
		assert_int_equal(audited(world).n_unwraps, i + 1);
	}
	opening.block.len = 0;
	assert_int_equal(unwrap_as(world, &opening, key, &err), -1);
	assert_string_equal(err.text, first);
	assert_non_null(strstr(first, "(bad-block: the content key cannot be unwrapped"));
	/* And the good one after all of them. */
	opening.block.len = wrap(world, "vault", OAEP, content, 32, block);
	assert_int_equal(unwrap_as(world, &opening, key, &err), 0);
	stop(world);
}

static void
test_unwrapping_wants_names_and_has_a_limit(void **state)
{
	struct world *world = *state;
	unsigned char block[512], key[32];
	struct opening opening;
	struct err err;

	start(world, VAULT("vault.pem", 3) ", " VAULT("vault4096.pem", 3), UNWRAPPERS);
	opening = (struct opening){ UNWRAPPER_UID, world->vault[0], { block, wrap(world, "vault", OAEP, content, 32, block) }, "", "r" };
	assert_int_equal(unwrap_as(world, &opening, key, &err), -1);
	assert_non_null(strstr(err.text, "(bad-request: the request names no item or no reason)"));
	opening.item = "i";
	opening.reason = "";
	assert_int_equal(unwrap_as(world, &opening, key, &err), -1);
	assert_non_null(strstr(err.text, "(bad-request: "));
	opening.reason = "r";
	assert_int_equal(audited(world).n_unwraps, 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(unwrap_as(world, &opening, key, &err), 0);
	block[7] ^= 1; /* one that fails counts as well: guessing is what the limit is for */
	assert_int_equal(unwrap_as(world, &opening, key, &err), -1);
	assert_non_null(strstr(err.text, "(bad-block: "));
	block[7] ^= 1;
	assert_int_equal(unwrap_as(world, &opening, key, &err), -1);
	assert_int_equal(err.kind, ERR_TEMP);
	assert_non_null(strstr(err.text, "(limit: "));
	assert_int_equal(audited(world).n_unwraps, 3);
	opening.spki = world->vault[1];
	opening.block.len = wrap(world, "vault4096", OAEP, content, 32, block);
	assert_int_equal(unwrap_as(world, &opening, key, &err), 0); /* each key has its own */
	stop(world);
}

/* --- mail --- */

/* Everything about one content key of mail; asked by a child as that user. */
struct mail {
	uid_t uid;
	const unsigned char *spki;
	struct open_context context;
	struct key_transport transport;
	struct key_agreement agreement;
	bool by_agreement, only_failed; /* else by RSA; only_failed: reports a failure */
};

struct opened {
	int result;
	enum key_opening opening;
	unsigned char content[KEY_CONTENT_BYTES];
	struct err err;
};

static int
ask_for(struct keyd_client *client, const struct mail *mail, struct opened *ret)
{
	if (mail->only_failed)
		return keyd_failed(client, &mail->context, mail->spki, &ret->err);
	if (mail->by_agreement)
		return keyd_open_ec(client, &mail->context, mail->spki, &mail->agreement, ret->content, &ret->opening, &ret->err);
	return keyd_open_rsa(client, &mail->context, mail->spki, &mail->transport, ret->content, &ret->opening, &ret->err);
}

static struct opened
open_as(const struct world *world, const struct mail *mail)
{
	struct opened answer = { .result = -1 };
	int pipes[2], status = 0;
	pid_t child;

	assert_int_equal(pipe(pipes), 0);
	child = fork();
	if (child == 0) {
		struct keyd_client *client = keyd_client_new(world->socket, 5000);

		if (setgroups(0, NULL) == -1 || setresgid(SOCKET_GID, SOCKET_GID, SOCKET_GID) == -1
		    || setresuid(mail->uid, mail->uid, mail->uid) == -1)
			_exit(100);
		answer.result = ask_for(client, mail, &answer);
		_exit(write(pipes[1], &answer, sizeof(answer)) != (ssize_t)sizeof(answer));
	}
	close(pipes[1]);
	assert_int_equal(read(pipes[0], &answer, sizeof(answer)), sizeof(answer));
	close(pipes[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	return answer;
}

static const struct open_context some_mail = { "4c1bXr", "session 1", "kadis@kota.example.id", "dinas@prov.example.id", "192.0.2.1" };

static struct mail
rsa_mail(struct world *world, size_t vault, enum key_padding padding, const char *options, size_t len, unsigned char block[512])
{
	const enum key_hash hash = padding == KEY_PADDING_OAEP ? KEY_HASH_SHA1 : KEY_HASH_UNKNOWN;
	size_t block_len = wrap(world, vaults[vault], options, content, len, block);

	return (struct mail){ .uid = UNWRAPPER_UID, .spki = world->vault[vault], .context = some_mail,
		.transport = { padding, hash, hash, len, { block, block_len } } };
}

#define V15 "-pkeyopt rsa_padding_mode:pkcs1"
#define OAEP_SHA1 "-pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha1 -pkeyopt rsa_mgf1_md:sha1"

/* What an agreement's slices borrow from. */
struct agreement {
	unsigned char ukm[KEY_UKM_BYTES], point[KEY_POINT_BYTES], wrapped[KEY_WRAPPED_BYTES], content[KEY_CONTENT_BYTES];
};

static size_t
bytes_of(const char *hex, unsigned char *ret, size_t room)
{
	size_t n = strlen(hex) / 2;

	assert_true(n <= room);
	for (size_t i = 0; i < n; i++) {
		unsigned byte;

		assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
		ret[i] = (unsigned char)byte;
	}
	return n;
}

/* As key_mail.py makes it: SHA-384, AES-256 wrap, some keying material, 32 bytes. */
static struct mail
ec_mail(struct world *world, size_t kind, struct agreement *room)
{
	AUTO(xfree) char *file = xasprintf("%s/keys/vector", world->dir);
	AUTO(xfree) char *script = NULL;
	char self[400] = "", line[4096] = "", *words[7], *save = NULL;
	struct mail mail = { .uid = UNWRAPPER_UID, .spki = world->spki[kind], .context = some_mail, .by_agreement = true };
	FILE *in;

	assert_true(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
	*strrchr(self, '/') = '\0';
	script = xasprintf("'%s/../../../../../tests/smime/key_mail.py' agree %s.pub >vectors; "
	    "grep '^sha384 32 0 0001.* [0-9a-f]\\{80\\} ' vectors | head -1 >vector", self, kinds[kind].name);
	shell(world, script);
	in = fopen(file, "re");
	assert_non_null(in);
	assert_non_null(fgets(line, sizeof(line), in));
	fclose(in);
	for (size_t i = 0; i < N_ELEMENTS(words); i++) {
		words[i] = strtok_r(i ? NULL : line, " \n", &save);
		assert_non_null(words[i]);
	}
	mail.agreement = (struct key_agreement){ .kdf = KEY_HASH_SHA384, .wrap_len = 32, .has_ukm = true, .content_len = 32,
		.ukm = { room->ukm, bytes_of(words[3], room->ukm, sizeof(room->ukm)) },
		.point = { room->point, bytes_of(words[4], room->point, sizeof(room->point)) },
		.wrapped = { room->wrapped, bytes_of(words[5], room->wrapped, sizeof(room->wrapped)) } };
	assert_int_equal(bytes_of(words[6], room->content, sizeof(room->content)), 32);
	return mail;
}

static void
check_opened(struct world *world, const char *name, const struct mail *mail, const void *want, const char *want_pairs)
{
	const size_t before = audited(world).n_decrypts;
	struct opened opened = open_as(world, mail);
	struct found found = audited(world);
	char hex[65];
	AUTO(xfree) char *pairs = NULL;

	if (opened.result == -1 || opened.opening != KEY_OPENED)
		fail_msg("%s: %d '%s'", name, (int)opened.opening, opened.err.text);
	assert_memory_equal(opened.content, want, mail->by_agreement ? 32 : mail->transport.content_len);
	sha256_hex(mail->spki, hex);
	pairs = xasprintf("qid=4c1bXr;session=session 1;from=kadis@kota.example.id;recipient=dinas@prov.example.id;client=192.0.2.1;"
	    "%s;key=%s;uid=64104;pid=", want_pairs, hex);
	assert_int_equal(found.n_decrypts, before + 1);
	if (strncmp(found.pairs, pairs, strlen(pairs)) != 0)
		fail_msg("%s: on record: %s", name, found.pairs);
}

#define MAIL_KEYS MAIL_KEY("vault.pem", 1000, "\"64104\"") ", " MAIL_KEY("p256.pem", 1000, "\"64104\"") ", " \
	"{ file = \"@/keys/p384.p12\"; passphrase_file = \"@/keys/pass2\"; purpose = \"decrypt\"; unwrappers = [ \"64104\" ]; }"

/* Blocks of openssl's and agreements of python3-cryptography's; each on record before. */
static void
test_opens_mail(void **state)
{
	struct world *world = *state;
	unsigned char block[512];
	struct agreement agreement;
	struct mail mail;

	start(world, MAIL_KEYS ", " KEY_ENTRY("rsa.pem", PASS, 100), UNWRAPPERS);
	for (size_t len = 16; len <= 32; len += 8) {
		AUTO(xfree) char *v15 = xasprintf("by=v1.5;content=%zu", len);
		AUTO(xfree) char *oaep = xasprintf("by=oaep;content=%zu", len);

		mail = rsa_mail(world, 0, KEY_PADDING_V15, V15, len, block);
		check_opened(world, "v1.5", &mail, content, v15);
		mail = rsa_mail(world, 0, KEY_PADDING_OAEP, OAEP_SHA1, len, block);
		check_opened(world, "OAEP", &mail, content, oaep);
	}
	mail = ec_mail(world, 1, &agreement);
	check_opened(world, "P-256", &mail, agreement.content, "by=ecdh;content=32");
	mail = ec_mail(world, 2, &agreement);
	check_opened(world, "P-384", &mail, agreement.content, "by=ecdh;content=32");
	assert_int_equal(audited(world).n_unwraps, 0);
	assert_int_equal(audited(world).n_bad, 0);
	stop(world);
}

static void
check_opening(struct world *world, const char *name, const struct mail *mail, enum key_opening want)
{
	struct opened opened = open_as(world, mail);

	if (opened.result == -1 || opened.opening != want)
		fail_msg("%s: %d, opening %d '%s'", name, opened.result, (int)opened.opening, opened.err.text);
}

/* Whose keys they are; a key that seals opens nothing. */
static void
test_who_opens_mail(void **state)
{
	struct world *world = *state;
	unsigned char block[512], other_block[512];
	struct mail mail, other, seal;
	struct opened opened;

	start(world, MAIL_KEYS ", " MAIL_KEY("vault4096.pem", 100, "\"64102\"") ", " KEY_ENTRY("rsa.pem", PASS, 100),
	    "\tunwrappers = [ \"64104\", \"64102\" ];\n");
	mail = rsa_mail(world, 0, KEY_PADDING_V15, V15, 32, block);
	check_opening(world, "its own", &mail, KEY_OPENED);
	mail.uid = SIGNER_UID;
	check_opening(world, "another's", &mail, KEY_NOT_HERE);
	mail.uid = STRANGER_UID;
	opened = open_as(world, &mail);
	assert_int_equal(opened.result, -1);
	assert_non_null(strstr(opened.err.text, "(denied: "));
	other = rsa_mail(world, 1, KEY_PADDING_OAEP, OAEP_SHA1, 32, other_block);
	check_opening(world, "the other's, by the first", &other, KEY_NOT_HERE);
	other.uid = SIGNER_UID;
	check_opening(world, "the other's, by himself", &other, KEY_OPENED);
	seal = rsa_mail(world, 0, KEY_PADDING_V15, V15, 32, block);
	seal.spki = world->spki[0];
	seal.transport.block = (struct slice){ other_block, wrap(world, "rsa", V15, content, 32, other_block) };
	check_opening(world, "a key that seals", &seal, KEY_NOT_HERE);
	seal.uid = SIGNER_UID;
	check_opening(world, "a key that seals, by its signer", &seal, KEY_NOT_HERE);
	stop(world);
}

static void
check_agreement(struct world *world, const char *name, enum key_opening want, struct agreement *room, const unsigned char *spki,
    void (*change)(struct key_agreement *))
{
	struct mail mail = ec_mail(world, 1, room);

	if (spki)
		mail.spki = spki;
	if (change)
		change(&mail.agreement);
	check_opening(world, name, &mail, want);
}

static const unsigned char too_long[600];

static void long_ukm(struct key_agreement *how) { how->ukm = (struct slice){ too_long, sizeof(too_long) }; }
static void long_point(struct key_agreement *how) { how->point = (struct slice){ too_long, sizeof(too_long) }; }
static void long_wrapped(struct key_agreement *how) { how->wrapped = (struct slice){ too_long, sizeof(too_long) }; }
static void other_kdf(struct key_agreement *how) { how->kdf = KEY_HASH_SHA256; }

/* What does not open has one answer; of v1.5 it is a content key. What is too long for any key is one of them, and on record as they are. */
static void
test_mail_that_does_not_open(void **state)
{
	struct world *world = *state;
	unsigned char block[512];
	struct agreement room;
	struct mail mail;
	struct opened opened[2];

	start(world, MAIL_KEYS, UNWRAPPERS);
	mail = rsa_mail(world, 0, KEY_PADDING_V15, V15, 32, block);
	block[100] ^= 1;
	for (int i = 0; i < 2; i++) {
		opened[i] = open_as(world, &mail);
		assert_int_equal(opened[i].result, 0);
		assert_int_equal(opened[i].opening, KEY_OPENED);
		assert_memory_not_equal(opened[i].content, content, 32);
	}
	assert_memory_equal(opened[0].content, opened[1].content, 32);
	mail.transport.block = (struct slice){ too_long, sizeof(too_long) };
	check_opening(world, "v1.5, too long for any key", &mail, KEY_OPENED);
	mail.spki = world->spki[1];
	check_opening(world, "a block for a curve", &mail, KEY_REFUSED);
	mail = rsa_mail(world, 0, KEY_PADDING_OAEP, OAEP_SHA1, 32, block);
	block[100] ^= 1;
	check_opening(world, "OAEP, a bit", &mail, KEY_REFUSED);
	mail.transport.block = (struct slice){ too_long, sizeof(too_long) };
	check_opening(world, "OAEP, too long for any key", &mail, KEY_REFUSED);
	check_agreement(world, "good", KEY_OPENED, &room, NULL, NULL);
	check_agreement(world, "an RSA key", KEY_REFUSED, &room, world->vault[0], NULL);
	check_agreement(world, "a key on another curve", KEY_REFUSED, &room, world->spki[2], NULL);
	check_agreement(world, "another kdf", KEY_REFUSED, &room, NULL, other_kdf);
	check_agreement(world, "ukm, too long", KEY_REFUSED, &room, NULL, long_ukm);
	check_agreement(world, "point, too long", KEY_REFUSED, &room, NULL, long_point);
	check_agreement(world, "wrapped, too long", KEY_REFUSED, &room, NULL, long_wrapped);
	assert_int_equal(audited(world).n_decrypts, 13);
	stop(world);
}

/* What makes no sense is a bug of ours, and nothing is done. */
static void
test_mail_wants_names_and_sense(void **state)
{
	struct world *world = *state;
	unsigned char block[512];
	struct mail mail, changed;

	start(world, MAIL_KEYS, UNWRAPPERS);
	mail = rsa_mail(world, 0, KEY_PADDING_V15, V15, 32, block);
	for (size_t i = 0; i < 6; i++) {
		struct opened opened;

		changed = mail;
		switch (i) {
		case 0: changed.context.recipient = ""; break;
		case 1: changed.context.session = ""; break;
		case 2: changed.context.sender = ""; break;
		case 3: changed.transport.mask = KEY_HASH_SHA1; break;
		case 4: changed.transport.content_len = 17; break;
		case 5: changed.transport.content_len = 256; break;
		}
		opened = open_as(world, &changed);
		if (opened.result != -1 || (opened.err.kind != ERR_BUG && opened.err.kind != ERR_CONFIG))
			fail_msg("change %zu: %d '%s'", i, opened.result, opened.err.text);
	}
	assert_int_equal(audited(world).n_decrypts, 0);
	mail.context.queue_id = mail.context.from = "";
	check_opening(world, "without queue id and From", &mail, KEY_OPENED);
	stop(world);
}

static void
report_failures(struct world *world, struct mail mail, const char *sender, size_t n)
{
	mail.only_failed = true;
	mail.context.sender = sender;
	for (size_t i = 0; i < n; i++) {
		struct opened opened = open_as(world, &mail);

		if (opened.result == -1)
			fail_msg("failure %zu: %s", i, opened.err.text);
	}
}

/* After so many failures of one sender with one key nothing of his is tried with it, while all others go on; a reload forgets nothing. */
static void
test_failures_end_it_for_their_sender(void **state)
{
	struct world *world = *state;
	unsigned char block[512];
	struct agreement room;
	struct mail mail, other;
	struct found found;

	shell(world, "chmod 711 ."); /* these the agent can read again */
	write_settings(world, OWN_MAIL_KEY("vault.pem") ", " OWN_MAIL_KEY("p256.pem"), UNWRAPPERS);
	start_as(world, &(const struct how){ .uid = AGENT_UID });
	mail = rsa_mail(world, 0, KEY_PADDING_V15, V15, 32, block);
	report_failures(world, mail, "2001:db8:1:2::1", 10);
	report_failures(world, mail, "2001:db8:1:2::2", 9); /* of the same /64 */
	mail.context.sender = "2001:db8:1:2::3";
	check_opening(world, "19 failures", &mail, KEY_OPENED);
	report_failures(world, mail, "2001:db8:1:2:3::", 1);
	found = audited(world);
	assert_int_equal(found.n_failed, 20);
	if (!strstr(found.pairs, "client=2001:db8:1:2:3::;failures=20;key="))
		fail_msg("%s", found.pairs);
	assert_logged(world, "20 messages from '2001:db8:1:2:3::' did not open with one key within an hour");
	check_opening(world, "20 failures", &mail, KEY_LIMITED);
	mail.transport.padding = KEY_PADDING_OAEP;
	mail.transport.digest = mail.transport.mask = KEY_HASH_SHA1;
	check_opening(world, "20 failures, by another padding", &mail, KEY_LIMITED);
	assert_int_equal(audited(world).n_decrypts, found.n_decrypts);
	mail = rsa_mail(world, 0, KEY_PADDING_V15, V15, 32, block);
	mail.context.sender = "2001:db8:1:3::1";
	check_opening(world, "another sender", &mail, KEY_OPENED);
	other = ec_mail(world, 1, &room);
	other.context.sender = "2001:db8:1:2::1";
	check_opening(world, "another key", &other, KEY_OPENED);
	report_failures(world, other, "2001:db8:1:2::1", 20);
	check_opening(world, "by agreement", &other, KEY_LIMITED);
	kill(world->pid, SIGHUP);
	await_log(world, ": reloaded ");
	mail.context.sender = "2001:db8:1:2::77";
	check_opening(world, "after a reload", &mail, KEY_LIMITED);
	/* A failure is an unwrapper's to report, of a key that is his. */
	mail.only_failed = true;
	mail.uid = STRANGER_UID;
	assert_int_equal(open_as(world, &mail).result, -1);
	mail.uid = UNWRAPPER_UID;
	mail.spki = world->vault[1];
	assert_int_equal(open_as(world, &mail).result, -1);
	assert_int_equal(audited(world).n_failed, 40);
	stop(world);
	shell(world, "chmod 750 .");
}

/* Only keys that decrypt: signers are not looked up. Only keys that seal: unwrappers are not. */
static void
test_each_purpose_wants_its_users(void **state)
{
	struct world *world = *state;

	start(world, VAULT("vault.pem", 3), UNWRAPPERS);
	assert_int_equal(ask_as(world, SIGNER_UID, SOCKET_GID), COULD_PING | WAS_DENIED);
	stop(world);
	start(world, ALL_KEYS, "\tunwrappers = [ \"no-such-user\" ];\n");
	assert_int_equal(ask_as(world, SIGNER_UID, SOCKET_GID), COULD_PING | COULD_SIGN);
	stop(world);
	write_settings(world, VAULT("vault.pem", 3), "\tunwrappers = [ \"no-such-user\" ];\n");
	spawn(world, "-n", &plainly);
	assert_int_equal(WEXITSTATUS(ended(world)), 1);
	assert_logged(world, "keyd.unwrappers: ");
	write_settings(world, VAULT("vault.pem", 3), "\tunwrappers = [ ];\n");
	spawn(world, "-n", &plainly);
	assert_int_equal(WEXITSTATUS(ended(world)), 1);
	assert_logged(world, "keyd.unwrappers: is empty, so nobody could use the key");
}

/* As strace tells: the record is written and synced before the answer leaves. */
static void
test_the_record_is_on_disk_before_the_key_is_out(void **state)
{
	struct world *world = *state;
	AUTO(xfree) char *trace = xasprintf("%s/run/trace", world->dir);
	AUTO(xfree) char *pid = NULL;
	AUTO(xfree) char *order = NULL;
	AUTO(keyd_client_free) struct keyd_client *client = keyd_client_new(world->socket, 5000);
	unsigned char block[512], key[32];
	struct opening opening;
	struct err err;
	pid_t tracer;
	int status;

	start(world, VAULT("vault.pem", 100), UNWRAPPERS);
	opening = (struct opening){ UNWRAPPER_UID, world->vault[0], { block, wrap(world, "vault", OAEP, content, 32, block) }, "item-9", "r" };
	pid = xasprintf("%d", (int)world->pid);
	tracer = fork();
	if (tracer == 0) {
		execlp("strace", "strace", "-qq", "-f", "-s", "4096", "-e", "trace=write,pwrite64,writev,fsync,fdatasync,sendto", "-o", trace, "-p", pid,
		    (char *)NULL);
		_exit(127);
	}
	/* Until it watches: a ping's answer is in its file. */
	for (int i = 0; i < 500; i++) {
		struct stat st;

		assert_int_equal(keyd_ping(client, &err), 0);
		if (stat(trace, &st) == 0 && st.st_size > 0)
			break;
		assert_int_equal(waitpid(tracer, &status, WNOHANG), 0);
		pause_ms(10);
	}
	assert_int_equal(unwrap_as(world, &opening, key, &err), 0);
	kill(tracer, SIGINT);
	assert_int_equal(waitpid(tracer, &status, 0), tracer);
	/* record, sync, answer: an answer to unwrap is 4 + 1 + 1 + 4 + 1 + 2 + 32 bytes. */
	order = xasprintf("awk '/unwrap-intent/ { o = o \"r\" } /f(data)?sync\\(/ { o = o \"s\" } /sendto\\(.* = 45$/ { o = o \"a\" } "
	    "END { exit o !~ /rs+a$/ }' ../run/trace");
	shell(world, order);
	stop(world);
}

struct bad_start {
	const char *name;
	const char *keys;
	const char *before; /* shell, in keys/ */
	const char *after;
	const char *want[2];
};

static const struct bad_start bad_starts[] = {
	{ "no keys", "", NULL, NULL, { "keyd.keys is empty" } },
	{ "signer of a key who is none", KEY_ENTRY_FOR("rsa.pem", PASS, 10, "\"64103\""), NULL, NULL,
	  { "keyd.keys, entry 1", "'64103' is not among keyd.signers" } },
	{ "wrong passphrase", KEY_ENTRY("rsa.pem", "@/keys/wrong", 10), NULL, NULL, { "rsa.pem", "passphrase" } },
	{ "wrong passphrase, PKCS#12", KEY_ENTRY("p384.p12", "@/keys/wrong", 10), NULL, NULL, { "p384.p12", "passphrase" } },
	{ "key readable by others", KEY_ENTRY("open.pem", PASS, 10), NULL, NULL, { "open.pem", "chmod" } },
	{ "passphrase readable by the group", KEY_ENTRY("rsa.pem", "@/keys/open.pass", 10), NULL, NULL, { "open.pass", "chmod" } },
	{ "no key in the file", KEY_ENTRY("no.pem", PASS, 10), NULL, NULL, { "no.pem" } },
	{ "no file", KEY_ENTRY("none.pem", PASS, 10), NULL, NULL, { "none.pem", "No such file" } },
	{ "key not encrypted", KEY_ENTRY("plain.pem", PASS, 10), NULL, NULL, { "plain.pem" } },
	{ "a key twice", KEY_ENTRY("rsa.pem", PASS, 10) ", " KEY_ENTRY("rsa.pem", PASS, 10), NULL, NULL, { "twice" } },
	{ "a key for both", KEY_ENTRY("rsa.pem", PASS, 10) ", " VAULT("rsa.pem", 10), NULL, NULL, { "twice", "one purpose" } },
	{ "a key for both, in two files", VAULT("rsa.pem", 10) ", " KEY_ENTRY("own/rsa.pem", PASS, 10), "chown root own/rsa.pem",
	  "chown 64101 own/rsa.pem", { "entry 2", "one purpose" } },
	{ "a key that seals, for an unwrapper", "{ file = \"@/keys/rsa.pem\"; passphrase_file = \"" PASS "\"; unwrappers = [ \"64104\" ]; }",
	  NULL, NULL, { "never unwraps" } },
	{ "unwrapper of a key who is none", MAIL_KEY("vault.pem", 10, "\"64104\", \"64103\""), NULL, NULL,
	  { "keyd.keys, entry 1", "unwrappers: '64103' is not among keyd.unwrappers" } },
	{ "unwrapper of a key who is no user", MAIL_KEY("vault.pem", 10, "\"no-such-user\""), NULL, NULL, { "keyd.keys, entry 1: unwrappers: " } },
	{ "a key that decrypts, for a signer", "{ file = \"@/keys/vault.pem\"; passphrase_file = \"" PASS "\"; purpose = \"decrypt\"; "
	  "signers = [ \"0\" ]; }", NULL, NULL, { "never signs" } },
	{ "a purpose that is none", "{ file = \"@/keys/vault.pem\"; passphrase_file = \"" PASS "\"; purpose = \"both\"; }", NULL, NULL,
	  { "purpose", "seal" } },
	{ "no such credential", KEY_ENTRY("rsa.pem", "credential:pass", 10), NULL, NULL, { "credential", "systemd" } },
	{ "limit 0", KEY_ENTRY("rsa.pem", PASS, 0), NULL, NULL, { "limit" } },
	{ "socket folder open to others", ALL_KEYS, "chmod o+x ../run", NULL, { "folder of its own", "/run" } },
	{ "a file in the socket's place", ALL_KEYS, "echo >../run/keyd.sock", NULL, { "no socket" } },
	{ "audit folder missing", ALL_KEYS, "mv ../audit ../audit2", "mv ../audit2 ../audit", { "audit_dir", "No such file" } },
	{ "audit folder of somebody else", ALL_KEYS, "chown root ../audit", NULL, { "audit_dir", "Permission denied" } },
	{ "audit folder open to all", ALL_KEYS, "chmod 777 ../audit", NULL, { "audit_dir", "chmod o-w" } },
};

static void
check_bad_start(struct world *world, const struct bad_start *row)
{
	void *state = world;
	AUTO(xfree) char *text = NULL;
	int status;

	if (row->before)
		shell(world, row->before);
	write_settings(world, row->keys, UNWRAPPERS);
	spawn(world, "-f", &plainly);
	status = ended(world);
	text = log_text(world);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 1)
		fail_msg("%s: status %x:\n%s", row->name, (unsigned)status, text);
	for (size_t i = 0; i < N_ELEMENTS(row->want); i++) {
		if (row->want[i] && !strstr(text, row->want[i]))
			fail_msg("%s: does not say '%s':\n%s", row->name, row->want[i], text);
	}
	if (row->after)
		shell(world, row->after);
	assert_int_equal(teardown(&state), 0);
	assert_int_equal(setup(&state), 0);
}

static void
test_bad_starts(void **state)
{
	for (size_t i = 0; i < N_ELEMENTS(bad_starts); i++)
		check_bad_start(*state, &bad_starts[i]);
}

static void
test_check_only(void **state)
{
	struct world *world = *state;

	write_settings(world, ALL_KEYS, "");
	spawn(world, "-n", &plainly);
	assert_int_equal(ended(world), 0);
	assert_int_equal(access(world->socket, F_OK), -1);
	assert_int_equal(access(world->audit, F_OK), -1);
	write_settings(world, KEY_ENTRY("rsa.pem", "@/keys/wrong", 10), "");
	spawn(world, "-n", &plainly);
	assert_int_equal(WEXITSTATUS(ended(world)), 1);
}

static void
test_credential(void **state)
{
	struct world *world = *state;
	AUTO(xfree) char *folder = xasprintf("%s/keys", world->dir);

	setenv("CREDENTIALS_DIRECTORY", folder, 1);
	start(world, KEY_ENTRY("rsa.pem", "credential:pass", 10), "");
	stop(world);
	unsetenv("CREDENTIALS_DIRECTORY");
}

/* --- hostile peers --- */

static int
connected(const struct world *world)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", world->socket);
	assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

/* Status of the answer, or 0 where the agent closed without one. Afterwards it must be closed. */
static enum wire_status
last_answer(int fd, int wait_ms)
{
	AUTO_BUF struct buf frame = { 0 };
	AUTO_BUF struct buf more = { 0 };
	struct wire_answer answer;
	struct err err;
	enum channel_end end;

	buf_init(&frame, WIRE_FRAME_BYTES);
	buf_init(&more, WIRE_FRAME_BYTES);
	end = channel_read(fd, -1, monotonic_ms() + wait_ms, 1000, &frame, NULL, &err);
	if (end == CHANNEL_CLOSED)
		return WIRE_STATUS_UNKNOWN;
	assert_int_equal(end, CHANNEL_FRAME);
	assert_int_equal(wire_answer_parse(buf_slice(&frame), &answer, &err), 0);
	assert_int_equal(channel_read(fd, -1, monotonic_ms() + wait_ms, 1000, &more, NULL, &err), CHANNEL_CLOSED);
	return answer.status;
}

static const struct garbage {
	const char *name;
	const char *bytes;
	size_t len;
} garbage[] = {
	{ "HTTP", "GET / HTTP/1.0\r\n\r\n", 18 },
	{ "length 0", "\0\0\0\0", 4 },
	{ "length a byte over the cap", "\0\0\x20\x01", 4 },
	{ "huge length", "\xff\xff\xff\xff", 4 },
	{ "version 2", "\0\0\0\6\2\1\0\0\0\1", 10 },
	{ "unknown operation", "\0\0\0\6\1\4\0\0\0\1", 10 },
	{ "unwrap without fields", "\0\0\0\6\1\3\0\0\0\1", 10 },
	{ "ping with a tail", "\0\0\0\7\1\1\0\0\0\1x", 11 },
	{ "sign without fields", "\0\0\0\6\1\2\0\0\0\1", 10 },
	{ "one byte", "\0\0\0\1\1", 5 },
};

static void
test_garbage(void **state)
{
	struct world *world = *state;
	AUTO(keyd_client_free) struct keyd_client *client = NULL;
	struct err err;

	start(world, ALL_KEYS, "");
	for (size_t i = 0; i < N_ELEMENTS(garbage); i++) {
		AUTO_FD int fd = connected(world);

		assert_int_equal(send(fd, garbage[i].bytes, garbage[i].len, MSG_NOSIGNAL), garbage[i].len);
		if (last_answer(fd, 2000) != WIRE_STATUS_BAD_REQUEST)
			fail_msg("%s: was not refused", garbage[i].name);
	}
	client = keyd_client_new(world->socket, 5000);
	assert_int_equal(sign(client, world->spki[0], DIGEST_SHA256, &err), 0);
	assert_logged(world, "refused (bad-request)");
	stop(world);
}

/* Half a frame then silence, a byte every half second, and one who never reads: all at once. */
static void
test_slow_peers(void **state)
{
	struct world *world = *state;
	AUTO(keyd_client_free) struct keyd_client *client = NULL;
	AUTO_FD int half = -1;
	AUTO_FD int drip = -1;
	AUTO_FD int silent = -1;
	static const char ping[] = "\0\0\0\6\1\1\0\0\0\1";
	bool half_gone = false, drip_gone = false;
	int64_t begin;
	struct err err;

	start(world, ALL_KEYS, "");
	half = connected(world);
	drip = connected(world);
	silent = connected(world);
	begin = monotonic_ms();
	assert_int_equal(send(half, "\0\0\0\6\1", 5, MSG_NOSIGNAL), 5);
	for (int i = 0; monotonic_ms() - begin < 12000 && !(half_gone && drip_gone); i++) {
		char byte;

		if (i < 3)
			(void)!send(drip, "\0", 1, MSG_NOSIGNAL); /* never gets beyond its length */
		pause_ms(500);
		half_gone |= recv(half, &byte, 1, MSG_DONTWAIT) == 0;
		drip_gone |= recv(drip, &byte, 1, MSG_DONTWAIT) == 0;
	}
	assert_in_range(monotonic_ms() - begin, 4000, 8000);
	client = keyd_client_new(world->socket, 5000);
	assert_int_equal(sign(client, world->spki[0], DIGEST_SHA256, &err), 0);
	/* A signer may be silent; it is served when it speaks. */
	assert_int_equal(send(silent, ping, 10, MSG_NOSIGNAL), 10);
	shutdown(silent, SHUT_WR);
	assert_int_equal(last_answer(silent, 2000), WIRE_STATUS_OK);
	assert_logged(world, "timeout within a frame");
	stop(world);
}

static void
test_connections_have_a_cap(void **state)
{
	struct world *world = *state;
	AUTO(keyd_client_free) struct keyd_client *client = NULL;
	int fds[6];
	struct err err;

	start(world, ALL_KEYS, "\tmax_connections = 4;\n");
	for (size_t i = 0; i < N_ELEMENTS(fds); i++)
		fds[i] = connected(world);
	client = keyd_client_new(world->socket, 1000);
	assert_int_equal(keyd_ping(client, &err), -1);
	assert_logged(world, "max_connections");
	for (size_t i = 0; i < N_ELEMENTS(fds); i++)
		close(fds[i]);
	for (int i = 0; i < 100 && keyd_ping(client, &err) == -1; i++)
		pause_ms(30);
	assert_int_equal(keyd_ping(client, &err), 0);
	stop(world);
}

static void
test_limit(void **state)
{
	struct world *world = *state;
	AUTO(keyd_client_free) struct keyd_client *client = NULL;
	struct err err;

	start(world, KEY_ENTRY("rsa.pem", PASS, 5) ", " KEY_ENTRY("p256.pem", PASS, 6), "");
	client = keyd_client_new(world->socket, 5000);
	for (int i = 0; i < 5; i++)
		assert_int_equal(sign(client, world->spki[0], DIGEST_SHA256, &err), 0);
	assert_int_equal(sign(client, world->spki[0], DIGEST_SHA256, &err), -1);
	assert_int_equal(err.kind, ERR_TEMP);
	assert_non_null(strstr(err.text, "limit"));
	assert_int_equal(sign(client, world->spki[1], DIGEST_SHA256, &err), 0); /* each key has its own */
	assert_int_equal(audited(world).n_intents, 6);
	stop(world);
}

/* --- the audit log fails --- */

static void
assert_nothing_is_signed(struct world *world, struct keyd_client *client)
{
	struct err err;

	for (int i = 0; i < 3; i++) {
		assert_int_equal(sign(client, world->spki[0], DIGEST_SHA256, &err), -1);
		assert_non_null(strstr(err.text, "audit-unavailable"));
	}
	assert_int_equal(keyd_ping(client, &err), -1); /* segel-milter -n must see it */
	assert_non_null(strstr(err.text, "audit-unavailable"));
	assert_logged(world, "nothing is signed from now on");
}

/* After the start, which a sanitizer would not survive; as the agent's own user, who needs no capability for it. */
static void
limit_files(const struct world *world, rlim_t most_bytes)
{
	const struct rlimit most = { most_bytes, most_bytes };
	pid_t child = fork();
	int status = -1;

	if (child == 0)
		_exit(setresgid(AGENT_UID, AGENT_UID, AGENT_UID) == -1 || setresuid(AGENT_UID, AGENT_UID, AGENT_UID) == -1 ||
		    prlimit(world->pid, RLIMIT_FSIZE, &most, NULL) == -1);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static void
test_audit_full(void **state)
{
	struct world *world = *state;
	AUTO(keyd_client_free) struct keyd_client *client = NULL;
	size_t n = 0;
	struct err err;

	start(world, ALL_KEYS, "");
	limit_files(world, 3000); /* room for a few records and a part of one */
	client = keyd_client_new(world->socket, 5000);
	while (n < 20 && sign(client, world->spki[1], DIGEST_SHA256, &err) == 0)
		n++;
	assert_in_range(n, 1, 10);
	assert_nothing_is_signed(world, client);
	assert_true(audited(world).n_intents >= n);
	stop(world);

	/* Room again, and a new start: on it goes, with the torn record on record. */
	start(world, ALL_KEYS, "");
	assert_int_equal(sign(client, world->spki[1], DIGEST_SHA256, &err), 0);
	assert_int_equal(audited(world).n_bad, 0);
	stop(world);
}

static void
test_audit_removed(void **state)
{
	struct world *world = *state;
	AUTO(keyd_client_free) struct keyd_client *client = NULL;
	struct err err;

	start(world, ALL_KEYS, "");
	client = keyd_client_new(world->socket, 5000);
	assert_int_equal(sign(client, world->spki[0], DIGEST_SHA256, &err), 0);
	assert_int_equal(unlink(world->audit), 0);
	assert_nothing_is_signed(world, client);
	stop(world);
}

/* --- load, and death under load --- */

struct worker {
	struct world *world;
	struct keyd_client *client;
	int n;            /* signatures to make */
	atomic_uint *made;
};

static void *
sign_many(void *arg)
{
	const struct worker *worker = arg;
	struct err err;

	for (int i = 0; i < worker->n; i++) {
		if (sign(worker->client, worker->world->spki[1], DIGEST_SHA256, &err) == -1)
			return (void *)1;
		atomic_fetch_add(worker->made, 1);
	}
	return NULL;
}

static void
test_throughput(void **state)
{
	struct world *world = *state;
	AUTO(keyd_client_free) struct keyd_client *client = NULL;
	pthread_t threads[THREADS];
	struct worker worker;
	atomic_uint made = 0;
	struct found found;
	int64_t begin, took;

	start(world, ALL_KEYS, "");
	client = keyd_client_new(world->socket, 10000);
	worker = (struct worker){ world, client, EACH, &made };
	begin = monotonic_ms();
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, sign_many, &worker), 0);
	for (int i = 0; i < THREADS; i++) {
		void *result;

		pthread_join(threads[i], &result);
		assert_null(result);
	}
	took = monotonic_ms() - begin;
	stop(world);
	found = audited(world);
	print_message("%u signatures (P-256) in %d ms, %d a second, %s syncs\n", made, (int)took,
	    (int)(made * 1000 / (unsigned)(took ? took : 1)), found.syncs);
	assert_int_equal(found.n_intents, THREADS * EACH);
	assert_int_equal(found.n_bad, 0);
	assert_in_range(atoi(found.syncs), 1, THREADS * EACH - 1);
}

static void
test_killed_under_load(void **state)
{
	struct world *world = *state;
	AUTO(keyd_client_free) struct keyd_client *client = NULL;
	pthread_t threads[THREADS];
	struct worker worker;
	atomic_uint made = 0;
	struct err err;

	start(world, ALL_KEYS, "");
	client = keyd_client_new(world->socket, 10000);
	worker = (struct worker){ world, client, 1000000, &made };
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, sign_many, &worker), 0);
	while (atomic_load(&made) < 200)
		pause_ms(1);
	kill(world->pid, SIGKILL);
	(void)ended(world);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	start(world, ALL_KEYS, ""); /* over the socket that was left behind */
	assert_int_equal(audited(world).n_bad, 0);
	assert_true(audited(world).n_intents >= atomic_load(&made));
	assert_int_equal(sign(client, world->spki[0], DIGEST_SHA256, &err), 0);
	stop(world);
}

static void
test_only_one(void **state)
{
	struct world *world = *state;
	pid_t first;

	start(world, ALL_KEYS, "");
	first = world->pid;
	spawn(world, "-f", &plainly);
	assert_int_equal(WEXITSTATUS(ended(world)), 1);
	assert_logged(world, "is segel-keyd running already?");
	world->pid = first;
	assert_int_equal(ask_as(world, SIGNER_UID, SOCKET_GID), COULD_PING | COULD_SIGN);
	stop(world);
}

static void
test_background(void **state)
{
	struct world *world = *state;
	AUTO(keyd_client_free) struct keyd_client *client = keyd_client_new(world->socket, 5000);
	struct ucred cred = { 0 };
	socklen_t len = sizeof(cred);
	AUTO_FD int fd = -1;
	struct err err;

	write_settings(world, ALL_KEYS, "");
	spawn(world, "-cignored", &plainly); /* a later -c counts; without -f the start returns when it serves */
	assert_int_equal(ended(world), 0);
	assert_int_equal(keyd_ping(client, &err), 0);
	fd = connected(world);
	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len), 0);
	kill(cred.pid, SIGTERM);
	for (int i = 0; i < 200 && access(world->socket, F_OK) == 0; i++)
		pause_ms(20);
	assert_int_equal(access(world->socket, F_OK), -1);
}

/* Started by root: what only root may read cannot be read again; that is said, and the old keys stay. */
static void
test_reload_after_root(void **state)
{
	struct world *world = *state;
	AUTO(keyd_client_free) struct keyd_client *client = NULL;
	struct err err;

	start(world, KEY_ENTRY("rsa.pem", PASS, 100), "");
	client = keyd_client_new(world->socket, 5000);
	write_settings(world, KEY_ENTRY("p256.pem", PASS, 100), "");
	kill(world->pid, SIGHUP);
	await_log(world, "reload failed, using the old keys");
	assert_logged(world, "then restart");
	assert_int_equal(sign(client, world->spki[0], DIGEST_SHA256, &err), 0);
	assert_int_equal(sign(client, world->spki[1], DIGEST_SHA256, &err), -1);
	stop(world);
}

/* Started as its own user, as systemd does. */
static void
test_reload(void **state)
{
	struct world *world = *state;
	AUTO(keyd_client_free) struct keyd_client *client = keyd_client_new(world->socket, 5000);
	struct err err;

	shell(world, "chmod 711 .");
	write_settings(world, KEY_ENTRY("own/rsa.pem", "@/keys/own/pass", 2), "");
	start_as(world, &(struct how){ .uid = AGENT_UID });
	assert_int_equal(sign(client, world->spki[0], DIGEST_SHA256, &err), 0);
	assert_int_equal(sign(client, world->spki[1], DIGEST_SHA256, &err), -1);

	write_settings(world, KEY_ENTRY("own/rsa.pem", "@/keys/own/pass", 3) ", " KEY_ENTRY("own/p256.pem", "@/keys/own/pass", 3), "");
	kill(world->pid, SIGHUP);
	await_log(world, ": reloaded ");
	assert_int_equal(sign(client, world->spki[1], DIGEST_SHA256, &err), 0);
	assert_int_equal(sign(client, world->spki[0], DIGEST_SHA256, &err), 0);
	assert_int_equal(sign(client, world->spki[0], DIGEST_SHA256, &err), 0);
	assert_int_equal(sign(client, world->spki[0], DIGEST_SHA256, &err), -1); /* no fresh minute by a reload */

	write_settings(world, "{ nonsense = 1; }", "");
	kill(world->pid, SIGHUP);
	await_log(world, "nonsense");
	assert_int_equal(sign(client, world->spki[1], DIGEST_SHA256, &err), 0);
	stop(world);
	shell(world, "chmod 750 .");
}

/* --- what the kernel says about the process --- */

static void
proc_line(const struct world *world, const char *file, const char *key, char ret[256])
{
	AUTO(xfree) char *path = xasprintf("/proc/%d/%s", (int)world->pid, file);
	FILE *in = fopen(path, "re");

	assert_non_null(in);
	while (fgets(ret, 256, in)) {
		if (strncmp(ret, key, strlen(key)) == 0) {
			fclose(in);
			return;
		}
	}
	fclose(in);
	fail_msg("no '%s' in %s", key, path);
}

static bool
has_sanitizer(const struct world *world)
{
	AUTO(xfree) char *command = xasprintf("grep -qE 'lib(a|t)san' /proc/%d/maps", (int)world->pid);

	return system(command) == 0;
}

static void
test_hardened(void **state)
{
	struct world *world = *state;
	AUTO(xfree) char *proc = NULL;
	char line[256];
	struct stat st;
	long locked;

	start(world, ALL_KEYS, "");
	proc_line(world, "status", "Uid:", line);
	assert_string_equal(line, "Uid:\t64101\t64101\t64101\t64101\n");
	proc_line(world, "status", "Gid:", line);
	assert_string_equal(line, "Gid:\t64101\t64101\t64101\t64101\n");
	proc_line(world, "status", "Groups:", line);
	assert_string_equal(line, "Groups:\t \n");
	proc_line(world, "status", "CapEff:", line);
	assert_string_equal(line, "CapEff:\t0000000000000000\n");
	proc_line(world, "status", "NoNewPrivs:", line);
	assert_string_equal(line, "NoNewPrivs:\t1\n");
	proc_line(world, "status", "Seccomp:", line);
	assert_string_equal(line, "Seccomp:\t2\n");
	proc_line(world, "limits", "Max core file size", line);
	assert_non_null(strstr(line, " 0                    0 "));

	/* What is not dumpable belongs to root, whoever runs it. */
	proc = xasprintf("/proc/%d/environ", (int)world->pid);
	assert_int_equal(stat(proc, &st), 0);
	assert_int_equal(st.st_uid, 0);

	/* Sanitizers switch mlockall off (their shadow would not fit); OpenSSL's heap is locked all the same. */
	proc_line(world, "status", "VmLck:", line);
	locked = strtol(line + strlen("VmLck:"), NULL, 10);
	print_message("locked: %ld KiB%s\n", locked, has_sanitizer(world) ? " (sanitizer: only the secure heap)" : "");
	assert_true(locked >= (has_sanitizer(world) ? 1024 : 4096));

	assert_int_equal(stat(world->socket, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0660);
	assert_int_equal(st.st_gid, SOCKET_GID);
	assert_int_equal(st.st_uid, AGENT_UID);
	stop(world);
}

#define WORLD_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TEST(test_signatures),
		WORLD_TEST(test_intent_is_there_before_the_signature),
		WORLD_TEST(test_refusals),
		WORLD_TEST(test_only_signers_sign),
		WORLD_TEST(test_a_key_is_for_its_own_signers),
		WORLD_TEST(test_signers_are_told_which_keys_are_here),
		WORLD_TEST(test_unwraps),
		WORLD_TEST(test_only_unwrappers_unwrap),
		WORLD_TEST(test_a_vault_never_signs),
		WORLD_TEST(test_a_box_opens_through_the_agent),
		WORLD_TEST(test_bad_blocks_look_alike),
		WORLD_TEST(test_unwrapping_wants_names_and_has_a_limit),
		WORLD_TEST(test_opens_mail),
		WORLD_TEST(test_who_opens_mail),
		WORLD_TEST(test_mail_that_does_not_open),
		WORLD_TEST(test_mail_wants_names_and_sense),
		WORLD_TEST(test_failures_end_it_for_their_sender),
		WORLD_TEST(test_each_purpose_wants_its_users),
		WORLD_TEST(test_the_record_is_on_disk_before_the_key_is_out),
		WORLD_TEST(test_bad_starts),
		WORLD_TEST(test_check_only),
		WORLD_TEST(test_credential),
		WORLD_TEST(test_garbage),
		WORLD_TEST(test_slow_peers),
		WORLD_TEST(test_connections_have_a_cap),
		WORLD_TEST(test_limit),
		WORLD_TEST(test_audit_full),
		WORLD_TEST(test_audit_removed),
		WORLD_TEST(test_throughput),
		WORLD_TEST(test_killed_under_load),
		WORLD_TEST(test_only_one),
		WORLD_TEST(test_background),
		WORLD_TEST(test_reload_after_root),
		WORLD_TEST(test_reload),
		WORLD_TEST(test_hardened),
	};

	return cmocka_run_group_tests_name("segel-keyd", tests, group_setup, group_teardown);
}
