/* Sessions: the steps of a message, what ends it, and many at once. Also run with the thread sanitizer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "milter/log.h"
#include "tests/support/scene.h"

enum { OFFICES = 20, THREADS = 24, MESSAGES = 10 };

static struct scene *scene;

static int
set_up(void **state)
{
	(void)state;
	log_open("test", LOG_TO_STDERR, LOG_LEVEL_PANIC);
	scene = scene_new(OFFICES);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	scene_free(scene);
	return 0;
}

static struct session *
connect_client(void)
{
	return session_new(&scene->filter, 0xabc, "192.0.2.1", true);
}

static void
assert_nothing_in_hand(void)
{
	assert_int_equal(atomic_load(&scene->filter.messages), 0);
	assert_int_equal(atomic_load(&scene->filter.sessions), 0);
}

/* From MAIL to the end of the message; the answer's plan must be given back. */
static void
send(struct session *session, size_t login, size_t from, const char *mark, struct answer *ret)
{
	scene_mail(scene, session, login, ret);
	assert_int_equal(ret->kind, ANSWER_CONTINUE);
	scene_content(session, from, mark, ret);
	assert_int_equal(ret->kind, ANSWER_CONTINUE);
	scene_eom(session, ret);
}

static void
assert_sealed_by(struct session *session, struct answer *answer, size_t office, const char *mark)
{
	unsigned char found[32], want[32];
	char *body;

	assert_int_equal(answer->kind, ANSWER_ACCEPT);
	assert_non_null(answer->plan);
	assert_non_null(answer->plan->sealed);
	assert_true(scene_signer(answer->plan, found));
	scene_cert(scene, office, want);
	assert_memory_equal(found, want, 32);
	body = scene_body(answer->plan);
	assert_non_null(strstr(body, mark));
	assert_non_null(strstr(body, "\r\nSubject: Surat\r\n dinas\r\n"));
	free(body);
	session_applied(session, answer);
}

static void
a_message_is_sealed_for_its_login(void **state)
{
	AUTO(session_free) struct session *session = connect_client();
	struct answer answer;

	(void)state;
	send(session, 3, 3, "satu", &answer);
	assert_string_equal(answer.queue_id, "4TEST");
	assert_int_equal(atomic_load(&scene->filter.messages), 1); /* until its edits are done */
	assert_sealed_by(session, &answer, 3, "satu");
	assert_int_equal(atomic_load(&scene->filter.messages), 0);
	send(session, 4, 4, "dua", &answer); /* another login on the same connection */
	assert_sealed_by(session, &answer, 4, "dua");
	session_free(TAKE(session));
	assert_nothing_in_hand();
}

static void
refused(size_t login, size_t from, enum answer_kind kind, enum reason reason)
{
	AUTO(session_free) struct session *session = connect_client();
	struct answer answer;

	send(session, login, from, "x", &answer);
	assert_int_equal(answer.kind, kind);
	assert_int_equal(answer.reason, reason);
	assert_null(answer.plan);
	assert_non_null(strstr(answer.text, reason_word(reason)));
	assert_int_equal(atomic_load(&scene->filter.messages), 0);
}

static void
somebody_elses_from_is_refused(void **state)
{
	(void)state;
	refused(1, 2, ANSWER_REJECT, REASON_LOGIN_MISMATCH);
	refused(1, OFFICES + 1, ANSWER_REJECT, REASON_LOGIN_MISMATCH);
	refused(OFFICES + 1, 1, ANSWER_REJECT, REASON_LOGIN_MISMATCH);
}

/* The default language is the users' own. */
static void
refusals_speak_the_language_of_the_settings(void **state)
{
	AUTO(session_free) struct session *session = connect_client();
	struct answer answer;

	(void)state;
	scene_speak(scene, "id");
	send(session, 1, 2, "x", &answer);
	scene_speak(scene, "en");
	assert_int_equal(answer.kind, ANSWER_REJECT);
	assert_non_null(strstr(answer.text, "LOGIN_MISMATCH: akun ini tidak berhak mengirim atas nama alamat tersebut ("));
	send(session, 1, 2, "x", &answer);
	assert_non_null(strstr(answer.text, "LOGIN_MISMATCH: this account may not send under that address ("));
}

static void
a_hold_counts_from_the_next_message(void **state)
{
	AUTO(session_free) struct session *session = connect_client();
	struct answer answer;

	(void)state;
	scene_mail(scene, session, 5, &answer);
	scene_hold(scene, 5, true); /* between MAIL and DATA of an open session */
	scene_content(session, 5, "x", &answer);
	scene_eom(session, &answer);
	assert_int_equal(answer.kind, ANSWER_REJECT);
	assert_int_equal(answer.reason, REASON_REG_HELD);
	assert_non_null(strstr(answer.text, "laptop hilang"));
	scene_hold(scene, 5, false);
	send(session, 5, 5, "lagi", &answer);
	assert_sealed_by(session, &answer, 5, "lagi");
}

/* What the aborted message held must not be seen in the next. */
static void
an_aborted_message_leaves_nothing(void **state)
{
	AUTO(session_free) struct session *session = connect_client();
	struct answer answer;
	char *body;

	(void)state;
	scene_mail(scene, session, 1, &answer);
	scene_content(session, 1, "RAHASIA", &answer);
	scene_event(session, EV_ABORT, NULL, NULL, &answer);
	assert_int_equal(atomic_load(&scene->filter.messages), 0);
	scene_mail(scene, session, 2, &answer);
	scene_content(session, 2, "terbuka", &answer);
	scene_eom(session, &answer);
	assert_int_equal(answer.kind, ANSWER_ACCEPT);
	body = scene_body(answer.plan);
	assert_null(strstr(body, "RAHASIA"));
	free(body);
	assert_sealed_by(session, &answer, 2, "terbuka");
}

static void
a_connection_may_close_anywhere(void **state)
{
	struct session *session;
	struct answer answer;

	(void)state;
	session_free(connect_client());
	session = connect_client();
	scene_mail(scene, session, 1, &answer);
	session_free(session);
	session = connect_client();
	scene_mail(scene, session, 1, &answer);
	scene_content(session, 1, "x", &answer);
	session_free(session);
	session = connect_client();
	send(session, 1, 1, "x", &answer);
	assert_int_equal(answer.kind, ANSWER_ACCEPT);
	edit_plan_free(TAKE(answer.plan)); /* the MTA went away before the edits */
	session_free(session);
	assert_nothing_in_hand();
}

static void
events_out_of_turn_defer(void **state)
{
	AUTO(session_free) struct session *session = connect_client();
	struct answer answer;

	(void)state;
	scene_event(session, EV_RCPT, "<a@b>", NULL, &answer);
	assert_int_equal(answer.kind, ANSWER_DEFER);
	scene_eom(session, &answer);
	assert_int_equal(answer.kind, ANSWER_DEFER);
	scene_mail(scene, session, 1, &answer);
	assert_int_equal(answer.kind, ANSWER_CONTINUE);
	scene_mail(scene, session, 1, &answer); /* a second MAIL */
	assert_int_equal(answer.kind, ANSWER_DEFER);
	scene_mail(scene, session, 1, &answer);
	scene_event(session, EV_BODY, "x\r\n", NULL, &answer);
	scene_event(session, EV_HEADER, "From", " a@b", &answer); /* a field after the body */
	assert_int_equal(answer.kind, ANSWER_DEFER);
	scene_eom(session, &answer);
	assert_int_equal(answer.kind, ANSWER_DEFER);
	assert_int_equal(atomic_load(&scene->filter.messages), 0);
}

static void
refusal_at_mail_ends_the_message(void **state)
{
	AUTO(session_free) struct session *session = connect_client();
	struct transport_facts transport = { .login = "kantor1", .auth_type = "PLAIN" };
	const struct event event = { .kind = EV_MAIL, .text = "<kantor1@kota.go.id>", .transport = &transport, .now = SCENE_NOW };
	struct answer answer;

	(void)state;
	session_step(session, &event, &answer);
	assert_int_equal(answer.kind, ANSWER_REJECT);
	assert_int_equal(answer.reason, REASON_TLS_MISSING);
	assert_int_equal(atomic_load(&scene->filter.messages), 0);
	scene_content(session, 1, "x", &answer);
	assert_int_equal(answer.kind, ANSWER_DEFER);
}

static void
too_large_is_refused_not_cut(void **state)
{
	AUTO(session_free) struct session *session = connect_client();
	char piece[4096];
	struct answer answer;

	(void)state;
	memset(piece, 'a', sizeof(piece));
	memcpy(piece + sizeof(piece) - 3, "\r\n", 3);
	scene_mail(scene, session, 1, &answer);
	scene_content(session, 1, "x", &answer);
	for (int i = 0; i < 17; i++) /* 64 KiB and a little */
		scene_event(session, EV_BODY, piece, NULL, &answer);
	scene_eom(session, &answer);
	assert_int_equal(answer.kind, ANSWER_REJECT);
	assert_int_equal(answer.reason, REASON_PARSE_LIMIT);
}

static void
pretending_decides_and_changes_nothing(void **state)
{
	AUTO(session_free) struct session *session = connect_client();
	struct answer answer;

	(void)state;
	scene->filter.pretend = true;
	send(session, 1, 2, "x", &answer);
	scene->filter.pretend = false;
	assert_int_equal(answer.kind, ANSWER_ACCEPT);
	assert_null(answer.plan);
	session_applied(session, &answer);
}

static void
draining_takes_no_new_message(void **state)
{
	AUTO(session_free) struct session *session = connect_client();
	struct answer answer;

	(void)state;
	scene_mail(scene, session, 1, &answer);
	atomic_store(&scene->filter.draining, true);
	scene_content(session, 1, "terakhir", &answer);
	scene_eom(session, &answer);
	assert_sealed_by(session, &answer, 1, "terakhir");
	scene_mail(scene, session, 1, &answer);
	atomic_store(&scene->filter.draining, false);
	assert_int_equal(answer.kind, ANSWER_DEFER);
}

/* Any sequence of events: an answer to each, and nothing left in hand. */
static void
random_events_never_hang_or_leak(void **state)
{
	unsigned seed = 20261121;

	(void)state;
	for (int round = 0; round < 300; round++) {
		AUTO(session_free) struct session *session = connect_client();

		for (int step = 0; step < 12; step++) {
			struct answer answer;

			seed = seed * 1103515245 + 12345;
			switch ((seed >> 16) % 7) {
			case 0: case 1: scene_mail(scene, session, 0, &answer); break;
			case 2: scene_event(session, EV_RCPT, "<a@b>", NULL, &answer); break;
			case 3: scene_event(session, EV_HEADER, "From", " kantor0@kota.go.id", &answer); break;
			case 4: scene_event(session, EV_BODY, "x\r\n", NULL, &answer); break;
			case 5: scene_event(session, EV_ABORT, NULL, NULL, &answer); break;
			default: scene_eom(session, &answer); session_applied(session, &answer); break;
			}
		}
	}
	assert_nothing_in_hand();
}

struct worker {
	pthread_t thread;
	unsigned number;
	unsigned sealed, wrong;
};

static void
one_of_many(struct session *session, struct worker *worker, size_t office)
{
	unsigned char found[32], want[32];
	struct answer answer;

	scene_mail(scene, session, office, &answer);
	scene_content(session, office, "x", &answer);
	scene_eom(session, &answer);
	if (answer.plan && answer.plan->sealed && scene_signer(answer.plan, found)) {
		scene_cert(scene, office, want);
		if (memcmp(found, want, 32) == 0)
			worker->sealed++;
		else
			worker->wrong++;
	}
	session_applied(session, &answer);
}

static void *
work(void *context)
{
	struct worker *worker = context;
	struct session *session = session_new(&scene->filter, worker->number, "192.0.2.1", true);
	struct answer answer;

	for (unsigned i = 0; i < MESSAGES; i++) {
		const size_t office = (worker->number * 7 + i) % OFFICES;

		if (i % 3 == 1) { /* an aborted message of somebody else before it */
			scene_mail(scene, session, (office + 1) % OFFICES, &answer);
			scene_content(session, (office + 1) % OFFICES, "aborted", &answer);
			scene_event(session, EV_ABORT, NULL, NULL, &answer);
		}
		one_of_many(session, worker, office);
	}
	session_free(session);
	return NULL;
}

static void
no_wrong_signer_among_many_threads(void **state)
{
	struct worker workers[THREADS] = { 0 };
	unsigned sealed = 0, wrong = 0;

	(void)state;
	for (unsigned i = 0; i < THREADS; i++) {
		workers[i].number = i;
		assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
	}
	for (int i = 0; i < 5; i++) /* reloads in the middle of it */
		scene_reload(scene);
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(workers[i].thread, NULL);
		sealed += workers[i].sealed;
		wrong += workers[i].wrong;
	}
	assert_int_equal(wrong, 0);
	assert_int_equal(sealed, THREADS * MESSAGES);
	assert_nothing_in_hand();
}

/* Last: the agent does not come back. */
static void
without_the_key_agent_mail_is_deferred(void **state)
{
	(void)state;
	scene_stop_keyd(scene);
	refused(1, 1, ANSWER_DEFER, REASON_KEY_UNAVAILABLE);
}

static void
without_the_registry_mail_is_deferred(void **state)
{
	char *path = xasprintf("%s/registry.db", scene->folder), *moved = xasprintf("%s.away", path);

	(void)state;
	assert_int_equal(rename(path, moved), 0);
	refused(1, 1, ANSWER_DEFER, REASON_REG_UNAVAILABLE);
	assert_int_equal(rename(moved, path), 0);
	free(path);
	free(moved);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_message_is_sealed_for_its_login),
		cmocka_unit_test(somebody_elses_from_is_refused),
		cmocka_unit_test(refusals_speak_the_language_of_the_settings),
		cmocka_unit_test(a_hold_counts_from_the_next_message),
		cmocka_unit_test(an_aborted_message_leaves_nothing),
		cmocka_unit_test(a_connection_may_close_anywhere),
		cmocka_unit_test(events_out_of_turn_defer),
		cmocka_unit_test(refusal_at_mail_ends_the_message),
		cmocka_unit_test(too_large_is_refused_not_cut),
		cmocka_unit_test(pretending_decides_and_changes_nothing),
		cmocka_unit_test(draining_takes_no_new_message),
		cmocka_unit_test(random_events_never_hang_or_leak),
		cmocka_unit_test(no_wrong_signer_among_many_threads),
		cmocka_unit_test(without_the_registry_mail_is_deferred),
		cmocka_unit_test(without_the_key_agent_mail_is_deferred),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
