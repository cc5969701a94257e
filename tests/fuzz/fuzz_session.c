/*
 * What an MTA may send, in any order: registry, key agent and audit log behind it are real. Nothing
 * may be left in hand, and what is sealed is sealed by the login's own certificate.
 */
#include "tests/fuzz/fuzz.h"

#include <unistd.h>

#include "milter/log.h"
#include "tests/support/scene.h"

enum { OFFICES = 2 };

static struct scene *scene;
static unsigned char certs[OFFICES][32];

/* Records are written, not waited for: the disk would set the pace. */
int
fdatasync(int fd)
{
	(void)fd;
	return 0;
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	log_open("fuzz", LOG_TO_STDERR, LOG_LEVEL_PANIC);
	scene = scene_new(OFFICES);
	for (size_t i = 0; i < OFFICES; i++)
		scene_cert(scene, i, certs[i]);
	return 0;
}

static void
end(struct session *session, size_t login, bool apply, struct answer *answer)
{
	unsigned char signer[32];

	scene_eom(session, answer);
	fuzz_must(!answer->plan || scene->filter.role->seals, "a role that does not seal changes nothing");
	if (answer->plan && answer->plan->sealed) {
		fuzz_must(scene->filter.role->role == ROLE_SUBMISSION, "nobody is listed for mail without SMTP");
		fuzz_must(scene_signer(answer->plan, signer), "what is sealed is signed");
		fuzz_must(login < OFFICES && memcmp(signer, certs[login], 32) == 0, "by the login's own certificate");
	}
	if (apply)
		session_applied(session, answer);
	else
		edit_plan_free(TAKE(answer->plan)); /* the MTA went away in the middle of the edits */
}

static void
body(struct session *session, struct feed *feed, struct answer *answer)
{
	AUTO(xfree) char *text = feed_text(feed, 255);

	scene_event(session, EV_BODY, text, NULL, answer);
}

static void
field(struct session *session, struct feed *feed, struct answer *answer)
{
	static const char *const names[] = { "From", "Sender", "Content-Type", "Content-Transfer-Encoding", "Subject", "MIME-Version" };
	unsigned which = feed_byte(feed) % (N_ELEMENTS(names) + 1);
	AUTO(xfree) char *own = which == N_ELEMENTS(names) ? feed_text(feed, 40) : NULL;
	AUTO(xfree) char *value = feed_text(feed, 255);

	scene_event(session, EV_HEADER, own ? own : names[which], value, answer);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	static const enum role roles[] = { ROLE_SUBMISSION, ROLE_INBOUND, ROLE_LOCAL, ROLE_EGRESS };
	struct feed feed = { bytes, len };
	struct session *session = session_new(&scene->filter, 1, "192.0.2.1", true);
	struct answer answer = { .kind = ANSWER_DEFER };
	size_t login = OFFICES;

	scene->filter.role = role_of(roles[len ? bytes[len - 1] % N_ELEMENTS(roles) : 0]);
	while (feed.len > 0) {
		unsigned what = feed_byte(&feed) % 8;

		if (what == 0)
			scene_mail(scene, session, login = feed_byte(&feed) % (OFFICES + 1), &answer);
		else if (what == 1)
			scene_content(session, feed_byte(&feed) % (OFFICES + 1), "isi", &answer);
		else if (what == 2)
			end(session, login, feed_byte(&feed) % 4 != 0, &answer);
		else if (what == 3)
			field(session, &feed, &answer);
		else if (what == 4)
			body(session, &feed, &answer);
		else if (what == 5)
			scene_event(session, EV_RCPT, "<warga@example.org>", NULL, &answer);
		else if (what == 6)
			scene_event(session, EV_ABORT, NULL, NULL, &answer);
		else
			atomic_store(&scene->filter.draining, feed_byte(&feed) % 8 == 7);
	}
	session_free(session);
	atomic_store(&scene->filter.draining, false);
	fuzz_must(atomic_load(&scene->filter.messages) == 0, "no message is left in hand");
	fuzz_must(atomic_load(&scene->filter.sessions) == 0, "no session is left");
	return 0;
}
