/* segelctl tls client-map: who is let in, who is refused and why, and that no text of the registry gets out of its comment. */
#include "tests/policy/registry/world.h"

#include "milter/ctl/tls.h"

/* --- asking --- */

struct answer {
	enum ctl_exit code;
	char *out, *err;
};

static struct answer
ask_at(const struct world *w, time_t now, const char *format, const char *output)
{
	const struct ctl_option *options = tls_map_options;
	struct ctl ctl = { .registry_file = w->file, .now = now };
	struct answer ret = { 0 };
	size_t out_len, err_len;

	for (const struct ctl_option *o = options; o->name; o++) {
		const char *value = strcmp(o->name, "format") == 0 ? format : output;

		if (value)
			ctl.given[ctl.n_given++] = (struct ctl_given){ o, value };
	}
	ctl.out = open_memstream(&ret.out, &out_len);
	ctl.err = open_memstream(&ret.err, &err_len);
	ret.code = tls_map(&ctl);
	fclose(ctl.out);
	fclose(ctl.err);
	return ret;
}

static void
answer_done(struct answer *answer)
{
	free(answer->out);
	free(answer->err);
}

/* "AA:BB:..." of a fake certificate's bytes. */
static void
fingerprint(const char *bytes, char ret[96])
{
	unsigned char hash[32];

	assert_true(sha256_of(bytes, strlen(bytes), hash));
	for (size_t i = 0; i < 32; i++)
		snprintf(ret + 3 * i, 4, "%02X%s", hash[i], i < 31 ? ":" : "");
}

/* The line whose key this is, without the key; "" where there is none. */
static char *
entry(const char *map, const char *bytes)
{
	char key[96];
	const char *at;

	fingerprint(bytes, key);
	for (at = map; (at = strstr(at, key)); at++) {
		if (at == map || at[-1] == '\n')
			return strndup(at + 96 - 1, strcspn(at + 96 - 1, "\n"));
	}
	return strdup("");
}

static void
want_entry(const struct answer *answer, const char *bytes, const char *want)
{
	char *found = entry(answer->out, bytes);

	if (strncmp(found, want, strlen(want)) != 0 || (!*want && *found))
		fail_msg("entry of '%s' is '%s', wanted '%s'; the map:\n%s\n%s", bytes, found, want, answer->out, answer->err);
	free(found);
}

/* Every line is empty, a comment, or a fingerprint with OK or REJECT; how many of the last. */
static size_t
count_entries(const char *map)
{
	size_t n = 0;

	for (const char *line = map; *line; line += strcspn(line, "\n") + 1) {
		const size_t len = strcspn(line, "\n");

		for (size_t i = 0; i < len; i++)
			assert_true((unsigned char)line[i] >= 0x20 && line[i] != 0x7f);
		assert_int_equal(line[len], '\n');
		if (len == 0 || line[0] == '#')
			continue;
		assert_int_equal(strspn(line, "0123456789ABCDEF:"), 95);
		assert_true(strncmp(line + 95, " OK\n", 4) == 0 || strncmp(line + 95, " REJECT ", 8) == 0);
		n++;
	}
	return n;
}

/* --- a registry of every case --- */

static void
bind_client(struct world *w, const char *cert, const char *unit, const char *domain, time_t from, time_t to, int64_t *id)
{
	struct new_binding binding = {
		.cert = cert, .purpose = PURPOSE_CLIENT, .unit = unit, .domain = domain, .from = from, .to = to,
	};
	struct err err = { 0 };

	if (write_binding_add(w->writer, &binding, id, &err) != WRITE_DONE)
		fail_msg("%s", err.text);
}

static void
add_client(struct world *w, const struct fake *fake, char name[24])
{
	add_cert(w, fake, name);
	bind_client(w, name, NULL, "kota.example", 0, 0, NULL);
}

static void
fill(struct world *w)
{
	struct err err;
	char name[24], other[24], end[24];
	int64_t id;

	world_begin(w);
	add_client(w, &(struct fake){ .bytes = "good", .key = 1, .kind = CERT_KIND_SYSTEM }, name);
	add_client(w, &(struct fake){ .bytes = "held", .key = 2, .kind = CERT_KIND_SYSTEM }, name);
	must(write_cert_hold(w->writer, name, "reported lost", 0, NULL, &err));
	add_client(w, &(struct fake){ .bytes = "held for a while", .key = 3, .kind = CERT_KIND_SYSTEM }, name);
	must(write_cert_hold(w->writer, name, "being looked at", NOW + 50, NULL, &err));
	add_client(w, &(struct fake){ .bytes = "revoked", .key = 4, .kind = CERT_KIND_SYSTEM }, name);
	must(write_cert_revoke(w->writer, name, "MUTASI", NULL, NULL, &err));
	add_client(w, &(struct fake){ .bytes = "compromised", .key = 5, .kind = CERT_KIND_SYSTEM }, name);
	add_client(w, &(struct fake){ .bytes = "same key", .key = 5, .kind = CERT_KIND_SYSTEM }, other);
	must(write_cert_revoke(w->writer, name, "KUNCI_BOCOR", NULL, NULL, &err));
	add_client(w, &(struct fake){ .bytes = "replaced", .key = 6, .kind = CERT_KIND_SYSTEM }, name);
	add_cert(w, &(struct fake){ .bytes = "successor", .key = 7, .kind = CERT_KIND_SYSTEM }, other);
	must(write_cert_replace(w->writer, name, other, NULL, &err));
	add_client(w, &(struct fake){ .bytes = "short", .key = 8, .kind = CERT_KIND_SYSTEM, .not_after = NOW + 10 }, name);
	add_client(w, &(struct fake){ .bytes = "young", .key = 9, .kind = CERT_KIND_SYSTEM, .not_before = NOW + 20 }, name);
	add_cert(w, &(struct fake){ .bytes = "later", .key = 10, .kind = CERT_KIND_SYSTEM }, name);
	bind_client(w, name, "DISHUB", NULL, NOW + 30, NOW + 40, NULL);
	add_cert(w, &(struct fake){ .bytes = "ended", .key = 11, .kind = CERT_KIND_SYSTEM }, name);
	bind_client(w, name, "DISHUB", NULL, 0, 0, &id);
	snprintf(end, sizeof(end), "%lld", (long long)id);
	must(write_binding_end(w->writer, end, "x", &err));
	add_cert(w, &(struct fake){ .bytes = "bound twice", .key = 12, .kind = CERT_KIND_SYSTEM }, name);
	bind_client(w, name, "DISHUB", NULL, 0, 0, &id);
	bind_client(w, name, NULL, "lain.example", 0, 0, NULL);
	snprintf(end, sizeof(end), "%lld", (long long)id);
	must(write_binding_end(w->writer, end, "x", &err));
	add_cert(w, &(struct fake){ .bytes = "domain ends", .key = 13, .kind = CERT_KIND_SYSTEM }, name);
	bind_client(w, name, NULL, "lain.example", 0, 0, NULL);
	add_cert(w, &(struct fake){ .bytes = "for sealing", .key = 14, .kind = CERT_KIND_OFFICE }, name);
	must(write_binding_add(w->writer, &(struct new_binding){ .cert = name, .purpose = PURPOSE_SEAL, .unit = "DISHUB" }, NULL, &err));
	world_commit(w);
}

static const struct {
	const char *bytes, *want; /* want "" = not in the map */
} at_now[] = {
	{ "good", " OK" },
	{ "held", " REJECT sertifikat klien sedang ditahan" },
	{ "held for a while", " REJECT sertifikat klien sedang ditahan" },
	{ "revoked", " REJECT sertifikat klien sudah dicabut" },
	{ "compromised", " REJECT sertifikat klien sudah dicabut" },
	{ "same key", " REJECT sertifikat klien sudah dicabut" },
	{ "replaced", " REJECT sertifikat klien sudah diganti" },
	{ "successor", " OK" },
	{ "short", " OK" },
	{ "young", " REJECT sertifikat klien belum berlaku" },
	{ "later", " REJECT sertifikat klien belum terdaftar" },
	{ "ended", " REJECT pendaftaran sertifikat klien sudah berakhir" },
	{ "bound twice", " OK" },
	{ "domain ends", " OK" },
	{ "for sealing", "" },
	{ "never registered", "" },
};

static void
test_every_case(void **state)
{
	struct answer ccert, relay;

	fill(*state);
	ccert = ask_at(*state, NOW, NULL, NULL);
	relay = ask_at(*state, NOW, "relay", NULL);
	assert_int_equal(ccert.code, CTL_OK);
	assert_int_equal(relay.code, CTL_OK);
	for (size_t i = 0; i < N_ELEMENTS(at_now); i++) {
		want_entry(&ccert, at_now[i].bytes, at_now[i].want);
		/* relay_clientcerts takes whatever it finds for a yes. */
		want_entry(&relay, at_now[i].bytes, strcmp(at_now[i].want, " OK") == 0 ? " OK" : "");
	}
	assert_int_equal(count_entries(ccert.out), N_ELEMENTS(at_now) - 2);
	assert_int_equal(count_entries(relay.out), 5);
	assert_null(strstr(relay.out, "REJECT"));
	answer_done(&ccert);
	answer_done(&relay);
}

/* What changes with time alone. The first second of an end is outside, a certificate's last one inside. */
static const struct {
	int seconds;
	const char *bytes, *want;
} at_times[] = {
	{ 10, "short", " OK" },
	{ 11, "short", " REJECT sertifikat klien sudah kedaluwarsa" },
	{ 19, "young", " REJECT sertifikat klien belum berlaku" },
	{ 20, "young", " OK" },
	{ 29, "later", " REJECT sertifikat klien belum terdaftar" },
	{ 30, "later", " OK" },
	{ 39, "later", " OK" },
	{ 40, "later", " REJECT pendaftaran sertifikat klien sudah berakhir" },
	{ 49, "held for a while", " REJECT sertifikat klien sedang ditahan" },
	{ 50, "held for a while", " OK" },
	{ 50, "held", " REJECT sertifikat klien sedang ditahan" },
};

static void
test_times(void **state)
{
	fill(*state);
	for (size_t i = 0; i < N_ELEMENTS(at_times); i++) {
		struct answer answer = ask_at(*state, NOW + at_times[i].seconds, NULL, NULL);

		want_entry(&answer, at_times[i].bytes, at_times[i].want);
		answer_done(&answer);
	}
}

static void
test_domain_ends(void **state)
{
	struct world *w = *state;
	struct answer before, after;
	struct err err;

	fill(w);
	before = ask_at(w, NOW, NULL, NULL);
	want_entry(&before, "domain ends", " OK");
	world_begin(w);
	must(write_domain_end(w->writer, "lain.example", "x", &err));
	world_commit(w);
	after = ask_at(w, NOW, NULL, NULL);
	want_entry(&after, "domain ends", " REJECT pendaftaran sertifikat klien sudah berakhir");
	want_entry(&after, "bound twice", " REJECT pendaftaran sertifikat klien sudah berakhir");
	want_entry(&after, "good", " OK");
	answer_done(&before);
	answer_done(&after);
}

static void
test_nobody(void **state)
{
	struct answer answer = ask_at(*state, NOW, NULL, NULL);

	assert_int_equal(answer.code, CTL_OK);
	assert_int_equal(count_entries(answer.out), 0);
	answer_done(&answer);
}

/* An agency's code is any text that an officer typed. */
static void
test_injection(void **state)
{
	static const char *const codes[] = {
		"A\nB0:B1 OK", "A\r\nB0:B1 OK", "A\n continued OK", "A\x1b[2J", "A\xc2\x85" "B0:B1 OK", "A\xe2\x80\xa8" "B0:B1 OK", "# \n#",
	};
	struct world *w = *state;
	struct answer answer;
	struct err err;
	char name[24];

	world_begin(w);
	for (size_t i = 0; i < N_ELEMENTS(codes); i++) {
		char bytes[16];

		snprintf(bytes, sizeof(bytes), "cert %zu", i);
		must(write_unit_add(w->writer, codes[i], "x", NULL, &err));
		add_cert(w, &(struct fake){ .bytes = bytes, .key = (int)i + 1, .kind = CERT_KIND_SYSTEM }, name);
		bind_client(w, name, codes[i], NULL, 0, 0, NULL);
	}
	world_commit(w);
	answer = ask_at(w, NOW, NULL, NULL);
	assert_int_equal(answer.code, CTL_OK);
	assert_int_equal(count_entries(answer.out), N_ELEMENTS(codes));
	assert_non_null(strstr(answer.out, "A\\x0AB0:B1 OK"));
	answer_done(&answer);
}

/* --- the file --- */

static char *
read_file(const char *file)
{
	char *text = calloc(1, 65536);
	FILE *in = fopen(file, "r");

	assert_non_null(in);
	assert_true(fread(text, 1, 65535, in) > 0);
	fclose(in);
	return text;
}

static ino_t
inode(const char *file)
{
	struct stat st;

	assert_int_equal(stat(file, &st), 0);
	return st.st_ino;
}

static void
test_output(void **state)
{
	struct world *w = *state;
	char file[128], gone[128], *text, *again;
	struct answer answer;
	struct err err;
	ino_t first;

	fill(w);
	snprintf(file, sizeof(file), "%s/map", w->dir);
	answer = ask_at(w, NOW, NULL, file);
	assert_string_equal(answer.out, "written: 14 certificates, 5 of them let in\n");
	answer_done(&answer);
	text = read_file(file);
	first = inode(file);

	answer = ask_at(w, NOW, NULL, file);
	assert_string_equal(answer.out, "unchanged: 14 certificates, 5 of them let in\n");
	assert_int_equal(inode(file), first);
	answer_done(&answer);

	/* An open descriptor keeps the old bytes: it was replaced, not written over. */
	world_begin(w);
	must(write_cert_hold(w->writer, "1", "reported lost", 0, NULL, &err));
	world_commit(w);
	answer = ask_at(w, NOW, NULL, file);
	assert_string_equal(answer.out, "written: 14 certificates, 4 of them let in\n");
	assert_true(inode(file) != first);
	answer_done(&answer);
	free(text);

	/* The registry goes away: the map stays. */
	text = read_file(file);
	snprintf(gone, sizeof(gone), "%s.gone", w->file);
	assert_int_equal(rename(w->file, gone), 0);
	answer = ask_at(w, NOW, NULL, file);
	assert_int_equal(answer.code, CTL_UNAVAILABLE);
	assert_string_equal(answer.out, "");
	again = read_file(file);
	assert_string_equal(text, again);
	answer_done(&answer);
	free(text);
	free(again);
	assert_int_equal(rename(gone, w->file), 0);
}

static void
test_bad_output(void **state)
{
	struct world *w = *state;
	char file[128];
	struct answer answer = ask_at(w, NOW, NULL, w->dir);

	assert_int_equal(answer.code, CTL_USAGE);
	answer_done(&answer);
	snprintf(file, sizeof(file), "%s/no/map", w->dir);
	answer = ask_at(w, NOW, NULL, file);
	assert_int_equal(answer.code, CTL_UNAVAILABLE);
	assert_non_null(strstr(answer.err, file));
	answer_done(&answer);
	answer = ask_at(w, NOW, "decor", NULL);
	assert_int_equal(answer.code, CTL_USAGE);
	answer_done(&answer);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TEST(test_every_case), WORLD_TEST(test_times),  WORLD_TEST(test_domain_ends), WORLD_TEST(test_nobody),
		WORLD_TEST(test_injection),  WORLD_TEST(test_output), WORLD_TEST(test_bad_output),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
