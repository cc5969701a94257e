/*
 * child: whoever reads a held message does so in a process of its own, without network, keys, database and the
 * right to start another: segel-reviewd itself, started anew with --child JOB (job.h). It gets the message on standard
 * input, and its work on standard output; the parent takes that for text from outside.
 *
 *     view    safe text (view.h): no file can be opened
 *     judge   the verification of today: settings, trust folder and registry are opened for reading before the
 *             message is read; answer is one JSON object: class, findings, evidence, or an error
 *
 * Limits: 30 s of time, 10 s of processor, 512 MiB of memory, no file written. Whatever ends the child otherwise
 * than with its whole answer is an error that says so.
 */
#ifndef REVIEWD_CHILD_H
#define REVIEWD_CHILD_H

#include "milter/filter/results.h"
#include "milter/quarantine/item.h"
#include "milter/reviewd/desk.h"
#include "smime/box.h"

/* A message's bytes from the store, through the key agent, to `sink`; `why` goes on record at the agent. */
int body_read(struct desk *desk, const struct desk_settings *settings, const struct item *item, const char *why,
    const struct box_sink *sink, struct err *err) MUST_USE;

/* The text of a message, at most quarantine.view_bytes; `ret` is initialised here. */
int child_view(struct desk *desk, const struct desk_settings *settings, const struct item *item, struct buf *ret, struct err *err) MUST_USE;

/* Judges it as it would be judged if it came now, from the same client with the same envelope. */
struct rejudged {
	enum class class;
	struct findings findings;
	char results[RESULTS_BYTES + 1]; /* the value of our Authentication-Results field; folded with LF and a tab */
};
int child_judge(struct desk *desk, const struct desk_settings *settings, const struct item *item, struct rejudged *ret, struct err *err) MUST_USE;

#endif
