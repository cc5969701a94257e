/*
 * quarantine: what the verbs of `segelctl quarantine` share: a connection to segel-reviewd, a request and its
 * answer (milter/reviewd/ask.h). Who asks is told to segel-reviewd by the kernel; nothing here says it. What comes
 * back is text from outside: it goes through ctl_table, ctl_print or JSON.
 */
#ifndef CTL_QUARANTINE_H
#define CTL_QUARANTINE_H

#include <jansson.h>

#include "milter/ctl/ctl.h"
#include "milter/quarantine/item.h"
#include "policy/config.h"
#include "smime/box.h"

struct review {
	struct ctl *ctl;
	struct config *config;
	int fd;
	int timeout_ms; /* for each frame of an answer; the verb of a slow one raises it */
};

/* Reads the settings and connects. Not CTL_OK: ctl_fail has said why. review_close() in any case. */
enum ctl_exit review_open(struct ctl *ctl, struct review *ret) MUST_USE;
void review_close(struct review *review);

static inline __attribute__((unused)) void auto_review_close(struct review *review) { review_close(review); }
#define AUTO_REVIEW __attribute__((cleanup(auto_review_close)))

struct review_answer {
	json_t *rows; /* what came before the last frame; an array */
	json_t *last; /* the frame that says ok */
};
void review_answer_done(struct review_answer *answer);

static inline __attribute__((unused)) void auto_review_answer_done(struct review_answer *answer) { review_answer_done(answer); }
#define AUTO_ANSWER __attribute__((cleanup(auto_review_answer_done)))

/*
 * One request; `ret` is to be given back by review_answer_done() where the result is CTL_OK. `sink` gets the bytes of view and
 * export, which are worth nothing where the result is another; NULL: none are expected. Not CTL_OK: ctl_fail has said why.
 */
enum ctl_exit review_ask(struct review *review, const json_t *request, const struct box_sink *sink, struct review_answer *ret) MUST_USE;

/*
 * The item that a word names: its id, the beginning of one, or a queue id, as long as that is one item. Not CTL_OK:
 * ctl_fail has said why.
 */
enum ctl_exit review_find(struct review *review, const char *word, char ret[ITEM_ID_BYTES]) MUST_USE;

/* The request of a verb with ITEM, --reason and --version; the caller's. Not CTL_OK: ctl_fail has said why. */
enum ctl_exit review_request(struct review *review, const char *op, json_t **ret) MUST_USE;

/* Of a row or an item; "" and 0 where it is missing. Borrowed. */
const char *review_text(const json_t *object, const char *name);
int64_t review_number(const json_t *object, const char *name);

extern const struct ctl_option ctl_quarantine_list_options[], ctl_quarantine_reason_options[], ctl_quarantine_export_options[],
    ctl_quarantine_release_options[], ctl_quarantine_extend_options[], ctl_quarantine_hold_options[], ctl_quarantine_digest_options[];

enum ctl_exit ctl_quarantine_list(struct ctl *ctl);
enum ctl_exit ctl_quarantine_roles(struct ctl *ctl);
enum ctl_exit ctl_quarantine_stats(struct ctl *ctl);
enum ctl_exit ctl_quarantine_show(struct ctl *ctl);
enum ctl_exit ctl_quarantine_view(struct ctl *ctl);
enum ctl_exit ctl_quarantine_export(struct ctl *ctl);
enum ctl_exit ctl_quarantine_release(struct ctl *ctl);
enum ctl_exit ctl_quarantine_delete(struct ctl *ctl);
enum ctl_exit ctl_quarantine_extend(struct ctl *ctl);
enum ctl_exit ctl_quarantine_hold(struct ctl *ctl);
enum ctl_exit ctl_quarantine_recall(struct ctl *ctl);
enum ctl_exit ctl_quarantine_note(struct ctl *ctl);
enum ctl_exit ctl_quarantine_purge(struct ctl *ctl);
enum ctl_exit ctl_quarantine_digest(struct ctl *ctl);

#endif
