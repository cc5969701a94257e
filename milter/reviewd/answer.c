#include "milter/reviewd/answer.h"

#include "milter/quarantine/frame.h"

AUTO_DEFINE(json_t, json_decref);

static const char *const words[] = {
	[ANSWER_UNAVAILABLE] = "unavailable",
	[ANSWER_USAGE] = "usage",
	[ANSWER_DENIED] = "denied",
	[ANSWER_REASON] = "reason",
	[ANSWER_NOT_FOUND] = "not-found",
	[ANSWER_CHANGED] = "changed",
	[ANSWER_REFUSED] = "refused",
	[ANSWER_FULL] = "full",
};

const char *
answer_word_name(enum answer_word word)
{
	return (unsigned)word < N_ELEMENTS(words) ? words[word] : words[ANSWER_UNAVAILABLE];
}

int
answer_ok(int fd, json_t *fields, struct err *err)
{
	AUTO(json_decref) json_t *answer = json_pack("{s:b}", "ok", 1);

	if (fields) {
		json_object_update(answer, fields);
		json_decref(fields);
	}
	return frame_send_json(fd, answer, ANSWER_MS, err);
}

int
answer_error(int fd, enum answer_word word, const char *text, struct err *err)
{
	AUTO(json_decref) json_t *answer = json_pack("{s:b, s:s, s:s}", "ok", 0, "error", answer_word_name(word), "text", text);

	/* A text that is no UTF-8 came from outside: its word must do. */
	if (!answer)
		answer = json_pack("{s:b, s:s, s:s}", "ok", 0, "error", answer_word_name(word), "text", answer_word_name(word));
	return frame_send_json(fd, answer, ANSWER_MS, err);
}

enum answer_word
answer_of_store(enum store_outcome outcome)
{
	switch (outcome) {
	case STORE_UNAVAILABLE:
	case STORE_BROKEN:
	case STORE_DONE:
		return ANSWER_UNAVAILABLE;
	case STORE_FULL:
		return ANSWER_FULL;
	case STORE_NOT_FOUND:
		return ANSWER_NOT_FOUND;
	case STORE_CHANGED:
		return ANSWER_CHANGED;
	}
	return ANSWER_UNAVAILABLE;
}
