#include "milter/reviewd/job.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "milter/filter/gather.h"
#include "milter/filter/addressed.h"
#include "milter/filter/results.h"
#include "milter/quarantine/item_json.h"
#include "milter/reviewd/cage.h"
#include "milter/reviewd/view.h"
#include "policy/check.h"
#include "smime/inspect.h"
#include "smime/text.h"
#include "smime/verify.h"

enum { EXIT_NOT_DONE = 1, PROBLEM_BYTES = 64 * 1024 };

AUTO_DEFINE(json_t, json_decref);

static int
write_all(struct slice bytes)
{
	while (bytes.len) {
		const ssize_t n = write(STDOUT_FILENO, bytes.at, bytes.len);

		if (n <= 0)
			return -1;
		bytes.at += n;
		bytes.len -= (size_t)n;
	}
	return 0;
}

/* All of standard input; false where it is more than fits. */
static bool
read_all(struct buf *ret)
{
	for (;;) {
		unsigned char piece[16 * 1024];
		const ssize_t n = read(STDIN_FILENO, piece, sizeof(piece));

		if (n == 0)
			return !buf_full(ret);
		if (n == -1 && errno != EINTR)
			return false;
		if (n > 0)
			buf_add(ret, piece, (size_t)n);
	}
}

static int
view(const char *argument, struct err *err)
{
	AUTO(text_charsets_free) struct text_charsets *charsets = text_prepare();
	AUTO_BUF struct buf message = { 0 };
	AUTO_BUF struct buf text = { 0 };
	const long cap = argument ? strtol(argument, NULL, 10) : 0;

	(void)charsets; /* held, not used: what it opened stays open */
	if (cap <= 0)
		return err_set(err, ERR_BUG, "view wants how many bytes at most");
	if (cage_enter(CAGE_VIEW, err) == -1)
		return -1;
	buf_init(&message, LIMIT_MESSAGE_BYTES);
	buf_init(&text, (size_t)cap);
	if (!read_all(&message))
		return err_set(err, ERR_TEMP, "the message did not come whole");
	view_message(buf_slice(&message), &text);
	return write_all(buf_slice(&text));
}

/* Everything the verification of today is made with; opened before the message is read. */
struct judge {
	struct config *config;
	struct registry *registry;
	struct trust *trust;
	char trust_why[256];
};

static void
judge_done(struct judge *judge)
{
	trust_free(judge->trust);
	registry_close(judge->registry);
	config_free(judge->config);
}

#define AUTO_JUDGE __attribute__((cleanup(judge_done)))

static void
open_trust(struct judge *judge)
{
	const struct trust_ages ages = { judge->config->trust.grace / 1000, TRUST_OCSP_MOST, TRUST_SKEW };
	AUTO_BUF struct buf problems = { 0 };
	struct err err = { ERR_NONE, "" };

	buf_init(&problems, PROBLEM_BYTES);
	if (trust_load_dir(judge->config->trust.dir, &ages, &judge->trust, &problems, &err) == -1)
		snprintf(judge->trust_why, sizeof(judge->trust_why), "%s", err.text);
}

/*
 * What libraries open at their first use is opened by using them: the registry's connection, and with a message of no
 * meaning the readers of MIME.
 */
static int
warm_up(struct judge *judge, time_t now, struct err *err)
{
	static const char letter[] = "From: a@example.invalid\r\nSubject: =?ISO-8859-1?Q?a?=\r\n\r\na\r\n";
	const struct slice bytes = { (const unsigned char *)letter, sizeof(letter) - 1 };
	struct message_facts facts;

	tzset();
	(void)registry_domain_of(judge->registry, "a@example.invalid", now);
	return smime_inspect(bytes, &facts, err);
}

static int
judge_open(const char *file, struct judge *ret, struct err *err)
{
	AUTO_BUF struct buf problems = { 0 };

	buf_init(&problems, PROBLEM_BYTES);
	if (config_load(file, &ret->config, &problems) == -1)
		return config_err(&problems, err);
	if (registry_open(ret->config->registry.file, (int)ret->config->registry.timeout, &ret->registry, err) == -1)
		return err_wrap(err, "registry.file");
	open_trust(ret);
	return warm_up(ret, time(NULL), err);
}

/* The length and the object before the message. */
static json_t *
take_head(struct slice *rest, struct err *err)
{
	json_error_t why;
	json_t *head;
	size_t len;

	if (rest->len < 4) {
		err_set(err, ERR_TEMP, "its question did not come whole");
		return NULL;
	}
	len = (size_t)rest->at[0] << 24 | (size_t)rest->at[1] << 16 | (size_t)rest->at[2] << 8 | rest->at[3];
	rest->at += 4;
	rest->len -= 4;
	if (len > rest->len) {
		err_set(err, ERR_TEMP, "its question did not come whole");
		return NULL;
	}
	head = json_loadb((const char *)rest->at, len, JSON_REJECT_DUPLICATES, &why);
	rest->at += len;
	rest->len -= len;
	if (!head)
		err_set(err, ERR_BUG, "its question is no JSON: %s", why.text);
	return head;
}

static void
add_findings(json_t *answer, const struct findings *findings)
{
	json_t *list = json_array();

	for (size_t i = 0; i < findings->n; i++)
		json_array_append_new(list, json_pack("{s:s, s:s}", "reason", reason_word(findings->at[i].reason), "evidence",
		    findings->at[i].evidence));
	json_object_set_new(answer, "findings", list);
	json_object_set_new(answer, "overflow", json_boolean(findings->overflow));
}

/* Of a message beyond the settings' size no more is read than at its arrival. */
static void
learn(const struct judge *judge, const struct gather_from *from, struct slice message, struct gathered *gathered, struct err *trouble)
{
	if (message.len > (size_t)config_largest(judge->config, false)) {
		gather_head(from, message, gathered);
		snprintf(gathered->message.limit, sizeof(gathered->message.limit), "message_size");
		gathered->message.size = message.len;
	} else if (gather(from, message, gathered, trouble) == -1 && trouble->kind == ERR_NONE) {
		trouble->kind = ERR_BUG;
	}
}

static enum role
role_then(const struct item *item)
{
	return item->class == CLASS_EGRESS ? ROLE_EGRESS : ROLE_INBOUND;
}

/* Mail that was official once is not judged as anything less: how the MTA rewrote its envelope is not known any more. */
static enum class
class_then_and_now(const struct item *item, const struct envelope_facts *envelope, const struct gathered *gathered)
{
	if (item->class == CLASS_INBOUND_OFFICIAL)
		return CLASS_INBOUND_OFFICIAL;
	return class_of(role_then(item), envelope, &gathered->registry, &gathered->message);
}

/* What was held on its way out goes on to whom it was for: what each of them must get is asked again. */
static void
learn_leaving(const struct judge *judge, const struct item *item, time_t now, struct slice message, const struct gathered *gathered,
    struct addressed *ret)
{
	AUTO(xfree) struct recipients_told *told = xcalloc(item->n_recipients + 1, sizeof(*told));
	const struct addressed_from from = { .role = ROLE_EGRESS, .config = judge->config, .registry = judge->registry, .bytes = message, .facts = &gathered->message,
		.told = told, .n_told = item->n_recipients, .n_all = item->n_recipients, .now = now };

	for (size_t i = 0; i < item->n_recipients; i++)
		told[i].argument = item->recipients[i].address;
	addressed_gather(&from, ret);
}

static json_t *
judge_item(const struct judge *judge, const struct item *item, time_t now, struct slice message)
{
	AUTO_GATHERED struct gathered gathered = { .verified = false };
	AUTO_ADDRESSED struct addressed addressed = { .ciphertext = CIPHERTEXT_UNKNOWN };
	AUTO_BUF struct buf results = { 0 };
	struct envelope_facts envelope = { .n_recipients = item->n_recipients };
	const struct gather_from from = {
		.role = role_then(item),
		.registry = judge->registry,
		.trust = judge->trust,
		.trust_why = judge->trust_why,
		.transport = &item->transport,
		.envelope = &envelope,
		.now = now,
	};
	struct findings findings = { .n = 0 };
	struct err trouble = { ERR_NONE, "" };
	struct policy_input input;
	json_t *answer = json_object();

	snprintf(envelope.sender, sizeof(envelope.sender), "%s", item->sender);
	learn(judge, &from, message, &gathered, &trouble);
	input = gather_input(&from, &gathered, true);
	if (from.role == ROLE_EGRESS)
		learn_leaving(judge, item, now, message, &gathered, &addressed);
	addressed_tell(&addressed, &input);
	input.config = judge->config;
	input.now = now;
	input.class = class_then_and_now(item, &envelope, &gathered);
	check_all(&input, STAGE_MESSAGE, &findings);
	if (trouble.kind != ERR_NONE)
		finding_add(&findings, REASON_INTERNAL, "%s", trouble.text);
	buf_init(&results, RESULTS_BYTES);
	/* On its way out nothing was added to it either. */
	if (from.role != ROLE_EGRESS)
		results_render(item->authserv_id, &input, &findings, &results);
	json_object_set_new(answer, "class", json_string(class_name(input.class)));
	json_object_set_new(answer, "results", json_string(buf_text(&results)));
	add_findings(answer, &findings);
	return answer;
}

static int
say(json_t *answer)
{
	AUTO(xfree) char *text = json_dumps(answer, JSON_COMPACT);

	return text ? write_all(slice_of(text)) : -1;
}

static int
judge_message(const struct judge *judge, struct slice bytes, struct err *err)
{
	AUTO(json_decref) json_t *head = take_head(&bytes, err);
	AUTO(json_decref) json_t *answer = NULL;
	json_t *object;
	json_int_t now;
	struct item item;

	if (!head)
		return -1;
	if (json_unpack(head, "{s:o, s:I}", "item", &object, "now", &now) == -1)
		return err_set(err, ERR_BUG, "its question lacks something");
	if (item_from_json(object, &item, err) == -1)
		return -1;
	answer = judge_item(judge, &item, (time_t)now, bytes);
	item_done(&item);
	return say(answer);
}

static int
judge_input(const char *argument, struct err *err)
{
	AUTO_JUDGE struct judge judge = { .config = NULL };
	AUTO_BUF struct buf bytes = { 0 };

	if (!argument)
		return err_set(err, ERR_BUG, "judge wants the settings' file");
	if (judge_open(argument, &judge, err) == -1 || cage_enter(CAGE_JUDGE, err) == -1)
		return -1;
	buf_init(&bytes, 4 + JOB_HEAD_BYTES + LIMIT_MESSAGE_BYTES);
	if (!read_all(&bytes))
		return err_set(err, ERR_TEMP, "the message did not come whole");
	return judge_message(&judge, buf_slice(&bytes), err);
}

static int
judge(const char *argument, struct err *err)
{
	AUTO(json_decref) json_t *answer = NULL;

	if (judge_input(argument, err) == 0)
		return 0;
	answer = json_pack("{s:s%}", "error", err->text, strnlen(err->text, sizeof(err->text)));
	return answer ? say(answer) : -1;
}

static void
tell(struct buf *ret, const char *what, long result)
{
	buf_printf(ret, "%s=%s\n", what, result == -1 ? strerrorname_np(errno) : "allowed");
}

static int
probe(const char *argument, struct err *err)
{
	char *const nothing[] = { NULL };
	AUTO_BUF struct buf ret = { 0 };
	void *memory;

	buf_init(&ret, 4096);
	if (cage_enter(argument && strcmp(argument, "judge") == 0 ? CAGE_JUDGE : CAGE_VIEW, err) == -1)
		return -1;
	tell(&ret, "socket-inet", socket(AF_INET, SOCK_STREAM, 0));
	tell(&ret, "socket-unix", socket(AF_UNIX, SOCK_STREAM, 0));
	tell(&ret, "open-read", open("/etc/passwd", O_RDONLY | O_CLOEXEC));
	tell(&ret, "open-write", open("/tmp/segel-probe", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	tell(&ret, "execve", execve("/bin/true", nothing, nothing));
	tell(&ret, "fork", fork());
	tell(&ret, "kill", kill(getppid(), 0));
	tell(&ret, "memfd", memfd_create("probe", MFD_CLOEXEC));
	memory = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	tell(&ret, "mmap-exec", memory == MAP_FAILED ? -1 : 0);
	return write_all(buf_slice(&ret));
}

static const struct job {
	const char *name;
	int (*run)(const char *argument, struct err *err);
} jobs[] = {
	{ "view", view },
	{ "judge", judge },
	{ "probe", probe },
};

int
job_main(const char *job, const char *argument)
{
	struct err err = { ERR_NONE, "" };

	if (cage_limits(&err) == -1)
		return EXIT_NOT_DONE;
	for (size_t i = 0; i < N_ELEMENTS(jobs); i++)
		if (strcmp(jobs[i].name, job) == 0)
			return jobs[i].run(argument, &err) == 0 ? EXIT_SUCCESS : EXIT_NOT_DONE;
	return EXIT_NOT_DONE;
}
