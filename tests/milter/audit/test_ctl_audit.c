/* segelctl audit: list and verify, as a terminal and as a program see them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "milter/audit/audit.h"
#include "milter/ctl/ctl.h"

extern const struct ctl_command ctl_audit_commands[];

struct world {
	char dir[64];
	char file[96];
	char other[96];
	char *out; /* owned; of the last command */
	char *err;
	size_t out_len, err_len;
};

static void
append(struct audit *audit, const char *event, const char *queue_id, const char *from)
{
	const struct audit_pair pairs[] = { { "qid", queue_id }, { "from", from } };
	struct err err;

	if (audit_append(audit, event, pairs, N_ELEMENTS(pairs), NULL, &err) == -1)
		fail_msg("%s", err.text);
}

static int
setup(void **state)
{
	struct world *world = xcalloc(1, sizeof(*world));
	struct audit *audit = NULL;
	struct err err;

	snprintf(world->dir, sizeof(world->dir), "/tmp/segel-ctl-XXXXXX");
	assert_non_null(mkdtemp(world->dir));
	snprintf(world->file, sizeof(world->file), "%s/a.audit", world->dir);
	snprintf(world->other, sizeof(world->other), "%s/b.audit", world->dir);
	assert_int_equal(audit_open(world->dir, "a", &audit, &err), 0);
	append(audit, "start", "-", "");
	append(audit, "seal-intent", "4c1bXr", "dinas@x.id");
	append(audit, "seal-intent", "5d2cYs", "\xc3\x89 \x1b[31m\xff@x.id");
	append(audit, "message", "4c1bXr", "dinas@x.id");
	audit_close(audit);
	assert_int_equal(audit_open(world->dir, "b", &audit, &err), 0);
	append(audit, "message", "4c1bXr", "b@x.id");
	audit_close(audit);
	*state = world;
	return 0;
}

static int
teardown(void **state)
{
	struct world *world = *state;

	unlink(world->file);
	unlink(world->other);
	rmdir(world->dir);
	free(world->out);
	free(world->err);
	free(world);
	return 0;
}

static enum ctl_exit
run(struct world *world, const char *const *words, int n)
{
	static const struct ctl_noun nouns[] = { { "audit", "records", ctl_audit_commands }, { 0 } };
	char *argv[12] = { NULL };
	enum ctl_exit result;
	FILE *out, *err;

	free(world->out);
	free(world->err);
	out = open_memstream(&world->out, &world->out_len);
	err = open_memstream(&world->err, &world->err_len);
	argv[0] = xstrdup("segelctl");
	for (int i = 0; i < n; i++)
		argv[i + 1] = xstrdup(words[i]);
	result = ctl_main(nouns, n + 1, argv, out, err);
	fclose(out);
	fclose(err);
	for (int i = 0; i <= n; i++)
		free(argv[i]);
	return result;
}

#define RUN(world, ...) run(world, (const char *const[]){ __VA_ARGS__ }, \
	(int)N_ELEMENTS(((const char *const[]){ __VA_ARGS__ })))

static size_t
n_lines(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += *text == '\n';
	return n;
}

/* One byte of a value in this line. */
static void
flip(const struct world *world, int line)
{
	FILE *file = fopen(world->file, "r+e");
	int c = 0;

	assert_non_null(file);
	for (int i = 1; i < line;)
		i += fgetc(file) == '\n';
	while (c != '=')
		c = fgetc(file);
	fputc('X', file);
	fclose(file);
}

static void
test_list(void **state)
{
	struct world *world = *state;

	assert_int_equal(RUN(world, "audit", "list", world->file), CTL_OK);
	assert_int_equal(n_lines(world->out), 4);
	assert_non_null(strstr(world->out, "Z seal-intent qid=4c1bXr from=dinas@x.id\n"));
	assert_null(strchr(world->out, '\x1b'));
	assert_int_equal(RUN(world, "audit", "list", world->file, world->other, "--qid", "4c1bXr"), CTL_OK);
	assert_int_equal(n_lines(world->out), 3);
	assert_int_equal(RUN(world, "audit", "list", world->file, "--event", "seal-intent"), CTL_OK);
	assert_int_equal(n_lines(world->out), 2);
	assert_int_equal(RUN(world, "audit", "list", world->file, "--event", "seal-intent", "--qid", "none"), CTL_OK);
	assert_int_equal(world->out_len, 0);
}

static void
test_list_json(void **state)
{
	struct world *world = *state;
	json_error_t error;
	json_t *rows, *row;

	assert_int_equal(RUN(world, "audit", "list", world->file, world->other, "--json"), CTL_OK);
	rows = json_loads(world->out, 0, &error);
	if (!rows)
		fail_msg("%s:\n%s", error.text, world->out);
	assert_int_equal(json_array_size(rows), 5);
	row = json_array_get(rows, 1);
	assert_string_equal(json_string_value(json_object_get(row, "event")), "seal-intent");
	assert_string_equal(json_string_value(json_object_get(json_object_get(row, "values"), "from")), "dinas@x.id");
	assert_true(json_is_true(json_object_get(row, "good")));
	json_decref(rows);
	assert_int_equal(RUN(world, "audit", "list", world->file, "--qid", "none", "--json"), CTL_OK);
	rows = json_loads(world->out, 0, &error);
	assert_int_equal(json_array_size(rows), 0);
	json_decref(rows);
}

static void
test_verify(void **state)
{
	struct world *world = *state;
	AUTO(xfree) char *want = NULL;

	assert_int_equal(RUN(world, "audit", "verify", world->file, world->other), CTL_OK);
	assert_int_equal(n_lines(world->out), 3);
	flip(world, 3);
	want = xasprintf("%s: line 3: hash does not hold", world->file);
	assert_int_equal(RUN(world, "audit", "verify", world->file, world->other), CTL_FALSE);
	assert_non_null(strstr(world->err, want));
	assert_int_equal(RUN(world, "audit", "verify", world->other), CTL_OK);
	/* No filter hides what was changed. */
	assert_int_equal(RUN(world, "audit", "list", world->file, "--qid", "none"), CTL_FALSE);
	assert_non_null(strstr(world->out, "[line 3: hash does not hold"));
	assert_non_null(strstr(world->err, want));
}

static void
test_unavailable(void **state)
{
	struct world *world = *state;
	AUTO(xfree) char *missing = xasprintf("%s/none.audit", world->dir);

	assert_int_equal(RUN(world, "audit", "verify", missing), CTL_UNAVAILABLE);
	assert_non_null(strstr(world->err, "No such file"));
	flip(world, 2);
	assert_int_equal(RUN(world, "audit", "verify", missing, world->file), CTL_UNAVAILABLE);
	assert_non_null(strstr(world->err, "line 2"));
	assert_int_equal(RUN(world, "audit", "list", missing), CTL_UNAVAILABLE);
	assert_int_equal(RUN(world, "-c", missing, "audit", "verify"), CTL_UNAVAILABLE);
}

/* Without FILE: whatever lies in the folders of the settings. */
static void
test_files_of_the_settings(void **state)
{
	struct world *world = *state;
	AUTO(xfree) char *settings = xasprintf("%s/settings", world->dir);
	FILE *out = fopen(settings, "we");

	fprintf(out, "submission: { audit_dir = \"%s\"; };\nkeyd: { audit_dir = \"/tmp/segel-no-such-folder\"; };\n", world->dir);
	fclose(out);
	if (RUN(world, "-c", settings, "audit", "verify") != CTL_OK)
		fail_msg("%s", world->err);
	assert_int_equal(n_lines(world->out), 3);
	unlink(settings);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_list, setup, teardown),
		cmocka_unit_test_setup_teardown(test_list_json, setup, teardown),
		cmocka_unit_test_setup_teardown(test_verify, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unavailable, setup, teardown),
		cmocka_unit_test_setup_teardown(test_files_of_the_settings, setup, teardown),
	};

	return cmocka_run_group_tests_name("segelctl audit", tests, NULL, NULL);
}
