#include "tests/support/scene.h"

#include <fcntl.h>
#include <limits.h>
#include <openssl/cms.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "milter/keyd/server.h"
#include "milter/listen.h"
#include "policy/registry/write.h"
#include "smime/cert.h"

#define FROM "2026-01-01T00:00:00Z"
#define TO "2036-01-01T00:00:00Z"

struct keyd {
	struct audit *audit;
	struct agent *agent;
	struct server *server;
};

static void
must(bool good, const char *what, const struct err *err)
{
	if (good)
		return;
	fprintf(stderr, "scene: %s: %s\n", what, err ? err->text : "failed");
	exit(EXIT_FAILURE);
}

/* Where this program was built: .../build/MODE. */
static void
build_folder(char ret[PATH_MAX])
{
	ssize_t len = readlink("/proc/self/exe", ret, PATH_MAX - 1);
	char *tests;

	must(len > 0, "readlink", NULL);
	ret[len] = '\0';
	tests = strstr(ret, "/tests/");
	must(tests != NULL, "the build folder is not known", NULL);
	*tests = '\0';
}

static void
run(const char *command)
{
	must(system(command) == 0, command, NULL);
}

static void
make_key(const struct scene *scene, size_t i)
{
	char build[PATH_MAX];
	char *command;

	build_folder(build);
	command = xasprintf("%s/tests/pki/mkpki --self --out %s/k%zu --cn Kantor%zu --email kantor%zu@kota.go.id --from " FROM
	    " --to " TO " --key p256 --usage sign --eku email --passphrase-file %s/pass >/dev/null", build, scene->folder, i, i,
	    i, scene->folder);
	run(command);
	free(command);
}

static void
write_file(const struct scene *scene, const char *name, const char *text)
{
	char *path = xasprintf("%s/%s", scene->folder, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	must(fd != -1 && write(fd, text, strlen(text)) == (ssize_t)strlen(text), path, NULL);
	close(fd);
	free(path);
}

static void
make_folder(const struct scene *scene, const char *name)
{
	char *path = xasprintf("%s/%s", scene->folder, name);

	must(mkdir(path, 0750) == 0, path, NULL);
	free(path);
}

static void
read_cert(const struct scene *scene, size_t i, struct buf *der)
{
	char *path = xasprintf("%s/k%zu.der", scene->folder, i);
	unsigned char bytes[LIMIT_CERT_BYTES];
	FILE *file = fopen(path, "re");

	must(file != NULL, path, NULL);
	buf_init(der, LIMIT_CERT_BYTES);
	buf_add(der, bytes, fread(bytes, 1, sizeof(bytes), file));
	fclose(file);
	free(path);
}

void
scene_cert(const struct scene *scene, size_t office, unsigned char ret[32])
{
	AUTO_BUF struct buf der = { 0 };
	struct cert_facts facts;
	struct err err;

	read_cert(scene, office, &der);
	must(cert_inspect(buf_slice(&der), &facts, &err) == 0, "certificate", &err);
	memcpy(ret, facts.sha256, 32);
}

static void
register_office(struct registry_writer *writer, const struct scene *scene, size_t i)
{
	AUTO_BUF struct buf der = { 0 };
	struct cert_facts facts;
	char address[64], login[32], cert[32];
	struct new_binding binding = { .cert = cert, .purpose = PURPOSE_SEAL, .address = address, .from = SCENE_NOW - 1000 };
	struct err err = { .text = "" };
	int64_t id;

	snprintf(address, sizeof(address), "kantor%zu@kota.go.id", i);
	snprintf(login, sizeof(login), "kantor%zu", i);
	read_cert(scene, i, &der);
	must(cert_inspect(buf_slice(&der), &facts, &err) == 0, "certificate", &err);
	must(write_address_add(writer, address, "U1", NULL, &id, &err) == WRITE_DONE, address, &err);
	must(write_login_add(writer, login, address, &id, &err) == WRITE_DONE, login, &err);
	must(write_cert_import(writer, der.at, der.len, &facts, CERT_KIND_OFFICE, &id, &err) == WRITE_DONE, "import", &err);
	snprintf(cert, sizeof(cert), "%lld", (long long)id);
	must(write_binding_add(writer, &binding, &id, &err) == WRITE_DONE, "bind", &err);
}

static void
make_registry(const struct scene *scene)
{
	const struct founder founder = { "root", "Kepala OP", "asn", NULL, "SK 1/2026" };
	AUTO(registry_write_close) struct registry_writer *writer = NULL;
	char *path = xasprintf("%s/registry.db", scene->folder);
	struct err err = { .text = "" };
	int64_t id;

	must(registry_create(path, &founder, SCENE_NOW - 5000, false, &err) == WRITE_DONE, "registry", &err);
	must(registry_write_open(path, "root", SCENE_NOW - 4000, &writer, &err) == WRITE_DONE, "writer", &err);
	must(write_begin(writer, &err) == WRITE_DONE, "begin", &err);
	must(write_unit_add(writer, "U1", "Dinas", &id, &err) == WRITE_DONE, "unit", &err);
	must(write_domain_add(writer, "kota.go.id", "own", true, &id, &err) == WRITE_DONE, "domain", &err);
	for (size_t i = 0; i < scene->n_offices; i++)
		register_office(writer, scene, i);
	must(write_commit(writer, &err) == WRITE_DONE, "commit", &err);
	free(path);
}

void
scene_hold(struct scene *scene, size_t office, bool hold)
{
	AUTO(registry_write_close) struct registry_writer *writer = NULL;
	char *path = xasprintf("%s/registry.db", scene->folder);
	unsigned char sha256[32];
	char hex[65];
	struct err err = { .text = "" };

	scene_cert(scene, office, sha256);
	sha256_hex(sha256, hex);
	must(registry_write_open(path, "root", SCENE_NOW - 100, &writer, &err) == WRITE_DONE, "writer", &err);
	must(write_begin(writer, &err) == WRITE_DONE, "begin", &err);
	if (hold)
		must(write_cert_hold(writer, hex, "laptop hilang", 0, NULL, &err) == WRITE_DONE, "hold", &err);
	else
		must(write_cert_unhold(writer, hex, "ditemukan", NULL, &err) == WRITE_DONE, "unhold", &err);
	must(write_commit(writer, &err) == WRITE_DONE, "commit", &err);
	free(path);
}

static void
start_keyd(struct scene *scene)
{
	struct keyd_key_settings *keys = xcalloc(scene->n_offices, sizeof(*keys));
	char *pass = xasprintf("%s/pass", scene->folder), *dir = xasprintf("%s/audit-keyd", scene->folder);
	char *socket = xasprintf("%s/keyd/keyd.sock", scene->folder), uid[16];
	const char *signers[] = { uid };
	const struct server_options options = { .max_connections = 64, .idle_ms = 60000, .frame_ms = 5000 };
	struct keyd_settings settings = { .signers = signers, .n_signers = 1, .keys = keys, .n_keys = scene->n_offices };
	AUTO(store_unref) struct store *store = NULL;
	struct err err = { .text = "" };
	int listen_fd = -1;

	snprintf(uid, sizeof(uid), "%u", (unsigned)getuid());
	for (size_t i = 0; i < scene->n_offices; i++)
		keys[i] = (struct keyd_key_settings){ .file = xasprintf("%s/k%zu.key", scene->folder, i), .passphrase_file = pass,
			.purpose = KEY_PURPOSE_SEAL, .limit = 1000000 };
	scene->keyd = xcalloc(1, sizeof(*scene->keyd));
	must(store_load(&settings, &store, &err) == 0, "keys", &err);
	must(audit_open(dir, "keyd", &scene->keyd->audit, &err) == 0, "audit", &err);
	scene->keyd->agent = agent_new(scene->keyd->audit, &store);
	must(listen_unix(socket, "segel-keyd", getuid(), getgid(), &listen_fd, &err) == 0, "listen", &err);
	must(server_start(&listen_fd, scene->keyd->agent, &options, &scene->keyd->server, &err) == 0, "server", &err);
	for (size_t i = 0; i < scene->n_offices; i++)
		free((char *)(uintptr_t)keys[i].file);
	free(keys);
	free(pass);
	free(dir);
	free(socket);
}

void
scene_stop_keyd(struct scene *scene)
{
	if (!scene->keyd)
		return;
	must(server_stop(&scene->keyd->server, 10000), "the key agent does not stop", NULL);
	agent_free(scene->keyd->agent);
	audit_close(scene->keyd->audit);
	free(scene->keyd);
	scene->keyd = NULL;
}

void
scene_reload(struct scene *scene)
{
	AUTO(snapshot_free) struct snapshot *snapshot = NULL;
	char *file = xasprintf("%s/segel.conf", scene->folder);
	AUTO_BUF struct buf problems = { 0 };

	buf_init(&problems, 4096);
	if (snapshot_load(file, scene->filter.role, &snapshot, &problems) == -1) {
		fprintf(stderr, "scene: %s", buf_text(&problems));
		exit(EXIT_FAILURE);
	}
	snapshot_put(scene->filter.box, &snapshot);
	free(file);
}

static void
write_settings(const struct scene *scene, const char *language)
{
	const char *f = scene->folder;
	char *text = xasprintf("language = \"%s\";\nregistry: { file = \"%s/registry.db\"; timeout = \"10s\"; };\n"
	    "keyd: { socket = \"%s/keyd/keyd.sock\"; };\nseal: { chain_dir = \"%s/chain\"; };\n"
	    "trust: { dir = \"%s/trust\"; };\nlimits: { message_size = \"64KiB\"; };\n", language, f, f, f, f);

	write_file(scene, "segel.conf", text);
	free(text);
}

void
scene_speak(struct scene *scene, const char *language)
{
	write_settings(scene, language);
	scene_reload(scene);
}

struct scene *
scene_new(size_t n_offices)
{
	struct scene *scene = xcalloc(1, sizeof(*scene));
	struct err err = { .text = "" };
	char *dir;

	scene->n_offices = n_offices;
	snprintf(scene->folder, sizeof(scene->folder), "/tmp/segel-scene-XXXXXX");
	must(mkdtemp(scene->folder) != NULL, "mkdtemp", NULL);
	write_file(scene, "pass", "rahasia\n");
	make_folder(scene, "keyd");
	make_folder(scene, "chain");
	make_folder(scene, "audit-keyd");
	make_folder(scene, "audit");
	make_folder(scene, "state");
	make_folder(scene, "trust");
	make_folder(scene, "trust/anchors");
	make_folder(scene, "trust/crl");
	make_folder(scene, "trust/ocsp");
	for (size_t i = 0; i < n_offices; i++)
		make_key(scene, i);
	make_registry(scene);
	start_keyd(scene);
	write_settings(scene, "en");
	scene->filter.role = role_of(ROLE_SUBMISSION);
	scene->filter.box = snapshot_box_new();
	dir = xasprintf("%s/audit", scene->folder);
	must(audit_open(dir, "milter", &scene->filter.audit, &err) == 0, "audit", &err);
	free(dir);
	dir = xasprintf("%s/state", scene->folder);
	must(replay_open(dir, 1000, &scene->filter.replay, &err) == 0, "replay", &err);
	must(poison_open(dir, time(NULL), &scene->filter.poison, &err) == 0, "poison", &err);
	free(dir);
	scene_reload(scene);
	return scene;
}

void
scene_free(struct scene *scene)
{
	char *command = xasprintf("rm -rf %s", scene->folder);

	snapshot_box_free(scene->filter.box);
	audit_close(scene->filter.audit);
	replay_close(scene->filter.replay);
	poison_close(scene->filter.poison);
	scene_stop_keyd(scene);
	run(command);
	free(command);
	free(scene);
}

void
scene_event(struct session *session, enum event_kind kind, const char *text, const char *value, struct answer *ret)
{
	const struct event event = {
		.kind = kind, .text = text, .value = value, .bytes = text, .len = text ? strlen(text) : 0, .now = SCENE_NOW,
	};

	session_step(session, &event, ret);
}

void
scene_mail(struct scene *scene, struct session *session, size_t office, struct answer *ret)
{
	struct transport_facts transport = { .tls = true, .tls_version = "TLSv1.3", .cipher = "TLS_AES_256_GCM_SHA384", .auth_type = "PLAIN" };
	char sender[64];
	const struct event event = { .kind = EV_MAIL, .text = sender, .transport = &transport, .now = SCENE_NOW };

	(void)scene;
	snprintf(transport.login, sizeof(transport.login), "kantor%zu", office);
	snprintf(sender, sizeof(sender), "<kantor%zu@kota.go.id>", office);
	session_step(session, &event, ret);
	if (ret->kind == ANSWER_CONTINUE)
		scene_event(session, EV_RCPT, "<warga@example.org>", NULL, ret);
}

void
scene_content(struct session *session, size_t office, const char *mark, struct answer *ret)
{
	char from[64], body[256];

	snprintf(from, sizeof(from), " Kantor <kantor%zu@kota.go.id>", office);
	scene_event(session, EV_HEADER, "From", from, ret);
	scene_event(session, EV_HEADER, "To", " warga@example.org", ret);
	scene_event(session, EV_HEADER, "Subject", " Surat\n dinas", ret);
	scene_event(session, EV_HEADER, "Message-ID", " <1@kota.go.id>", ret);
	snprintf(body, sizeof(body), "Isi surat: %s\r\n", mark);
	scene_event(session, EV_BODY, body, NULL, ret);
}

void
scene_eom(struct session *session, struct answer *ret)
{
	const struct event event = { .kind = EV_EOM, .queue_id = "4TEST", .now = SCENE_NOW };

	session_step(session, &event, ret);
}

char *
scene_body(const struct edit_plan *plan)
{
	AUTO_BUF struct buf body = { 0 };

	buf_init(&body, 16 * 1024 * 1024);
	for (size_t i = 0; i < plan->sealed->n_body; i++)
		buf_add_slice(&body, plan->sealed->body[i]);
	return xstrdup(buf_text(&body));
}

/* The judge is OpenSSL's own reader of S/MIME, which shares no code with ours. */
bool
scene_signer(const struct edit_plan *plan, unsigned char ret[32])
{
	char *body = scene_body(plan);
	char *mail = xasprintf("MIME-Version: 1.0\r\nContent-Type: %s\r\n\r\n%s", plan->sealed->content_type, body);
	BIO *in = BIO_new_mem_buf(mail, -1), *content = NULL;
	CMS_ContentInfo *cms = SMIME_read_CMS(in, &content);
	STACK_OF(X509) *signers = NULL;
	unsigned len = 0;
	bool good;

	good = cms && CMS_verify(cms, NULL, NULL, content, NULL, CMS_NO_SIGNER_CERT_VERIFY | CMS_BINARY) == 1
	    && (signers = CMS_get0_signers(cms)) && sk_X509_num(signers) == 1
	    && X509_digest(sk_X509_value(signers, 0), EVP_sha256(), ret, &len) == 1;
	ERR_clear_error();
	sk_X509_free(signers);
	CMS_ContentInfo_free(cms);
	BIO_free(content);
	BIO_free(in);
	free(mail);
	free(body);
	return good;
}
