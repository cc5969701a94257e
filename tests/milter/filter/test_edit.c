/* Planned edits: deletions from the highest ordinal down, then changes, then insertions; forged fields of ours always go. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "milter/filter/edit.h"

#define ID "mx.kota.example"

/* The plan as text: "-Name/2" deleted, "~Name/1=value" changed, "+Name=value" added, "^Name=value" put above all. */
static char *
text_of(const struct edit_plan *plan)
{
	AUTO_BUF struct buf text = { 0 };

	buf_init(&text, 65536);
	for (size_t i = 0; i < plan->n; i++) {
		const struct edit *edit = &plan->edits[i];

		buf_printf(&text, "%s%c%s", i ? " " : "", "-~+^"[edit->kind], edit->name);
		if (edit->kind == EDIT_DELETE || edit->kind == EDIT_CHANGE)
			buf_printf(&text, "/%u", edit->ordinal);
		if (edit->value)
			buf_printf(&text, "=%s", edit->value);
	}
	return xstrdup(buf_text(&text));
}

static char *
plan_text(const char *fields, bool sealing, const char *sender, const char *authserv_id)
{
	struct outgoing outgoing = { .authserv_id = authserv_id, .sender = sender };
	AUTO(edit_plan_free) struct edit_plan *plan = NULL;
	AUTO_HEAD struct head head = { 0 };
	char *text, *block = xstrdup(fields); /* exactly sized: a read beyond it is seen */

	if (sealing) {
		outgoing.sealed = xcalloc(1, sizeof(*outgoing.sealed));
		outgoing.sealed->form = SEAL_CLEAR;
		outgoing.sealed->content_type = xstrdup("multipart/signed");
	}
	head_scan((struct slice){ (unsigned char *)block, strlen(block) }, &head);
	plan = edit_plan_outgoing(&head, &outgoing);
	assert_null(outgoing.sealed);
	text = text_of(plan);
	free(block);
	return text;
}

static char *
inbound_text(const char *fields, const char *authserv_id, const char *results)
{
	AUTO(edit_plan_free) struct edit_plan *plan = NULL;
	AUTO_HEAD struct head head = { 0 };

	head_scan(slice_of(fields), &head);
	plan = edit_plan_inbound(&head, authserv_id, results);
	return text_of(plan);
}

static void
plans(void **state)
{
	static const struct {
		const char *name;
		const char *fields;
		bool sealing;
		const char *sender;
		const char *want;
	} rows[] = {
		{ "nothing to do", "From: a@b\r\nSubject: x\r\n\r\n", false, NULL, "" },
		{ "forged fields go, highest first", "X-Segel-A: 1\r\nFrom: a@b\r\nx-segel-a: 2\r\nX-SEGEL-B: 3\r\n\r\n", false, NULL,
		  "-X-SEGEL-B/1 -x-segel-a/2 -X-Segel-A/1" },
		{ "a name that only begins alike stays", "X-Segelan: 1\r\nX-Sege: 2\r\n\r\n", false, NULL, "" },
		{ "untouched mail keeps Sender", "From: a@b\r\n\r\n", false, "c@b", "" },
		{ "sealed", "From: a@b\r\n\r\n", true, NULL, "+MIME-Version=1.0 +Content-Type=multipart/signed" },
		{ "sealed, its fields move inside",
		  "MIME-Version: 1.0\r\ncontent-type: text/plain\r\nFrom: a@b\r\nContent-Transfer-Encoding: 7bit\r\n\r\n", true, NULL,
		  "-Content-Transfer-Encoding/1 ~Content-Type/1=multipart/signed" },
		{ "another MIME-Version is changed", "MIME-Version: 1.0 (x)\r\nFrom: a@b\r\n\r\n", true, NULL,
		  "~MIME-Version/1=1.0 +Content-Type=multipart/signed" },
		{ "a second field goes, the first is changed", "Content-Type: a/b\r\nContent-Type: c/d\r\n\r\n", true, NULL,
		  "-Content-Type/2 ~Content-Type/1=multipart/signed +MIME-Version=1.0" },
		{ "what only the body had goes", "Content-Disposition: inline\r\n\r\n", true, NULL,
		  "-Content-Disposition/1 +MIME-Version=1.0 +Content-Type=multipart/signed" },
		{ "repeated fields", "Content-ID: <1>\r\nContent-ID: <2>\r\nContent-ID: <3>\r\n\r\n", true, NULL,
		  "-Content-ID/3 -Content-ID/2 -Content-ID/1 +MIME-Version=1.0 +Content-Type=multipart/signed" },
		{ "Sender added", "From: a@b\r\n\r\n", true, "c@b",
		  "+Sender=c@b +MIME-Version=1.0 +Content-Type=multipart/signed" },
		{ "Sender changed, not doubled", "From: a@b\r\nSENDER: a@b\r\n\r\n", true, "c@b",
		  "~Sender/1=c@b +MIME-Version=1.0 +Content-Type=multipart/signed" },
	};

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
		char *found = plan_text(rows[i].fields, rows[i].sealing, rows[i].sender, NULL);

		if (strcmp(found, rows[i].want) != 0)
			fail_msg("%s:\n  wanted %s\n  found  %s", rows[i].name, rows[i].want, found);
		free(found);
	}
}

static void
plans_with_our_id(void **state)
{
	static const struct {
		const char *name;
		const char *fields;
		bool sealing;
		const char *want;
	} rows[] = {
		{ "forged results go, others stay",
		  "Authentication-Results: lain.example; dkim=pass\r\nauthentication-results: MX.kota.example; smime=pass\r\n"
		  "Authentication-Results: mx.kota.example.; smime=pass\r\nFrom: a@b\r\n\r\n", false,
		  "-Authentication-Results/3 -authentication-results/2" },
		{ "one octet, and they stay", "Authentication-Results: my.kota.example; smime=pass\r\nFrom: a@b\r\n\r\n", false, "" },
		{ "another field's name, and it stays", "Authentication-Result: mx.kota.example; smime=pass\r\nFrom: a@b\r\n\r\n", false, "" },
		{ "a sealed message's go, too", "Authentication-Results: mx.kota.example; smime=pass\r\nContent-Type: text/plain\r\n\r\n", true,
		  "-Authentication-Results/1 ~Content-Type/1=multipart/signed +MIME-Version=1.0" },
	};

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
		char *found = plan_text(rows[i].fields, rows[i].sealing, NULL, ID);

		if (strcmp(found, rows[i].want) != 0)
			fail_msg("%s:\n  wanted %s\n  found  %s", rows[i].name, rows[i].want, found);
		free(found);
	}
}

static void
inbound_plans(void **state)
{
	static const struct {
		const char *name;
		const char *fields;
		const char *results;
		const char *want;
	} rows[] = {
		{ "ours is put above all", "From: a@b\r\n\r\n", "r", "^Authentication-Results=r" },
		{ "nothing to say", "From: a@b\r\n\r\n", NULL, "" },
		{ "forged ones go first, each name's highest before its lower",
		  "Authentication-Results: mx.kota.example; smime=pass\r\nX-Segel-A: 1\r\nAuthentication-Results: lain.example; spf=pass\r\n"
		  "From: a@b\r\nX-SEGEL-a: 2\r\nAUTHENTICATION-RESULTS:\r\n (x) \"mx.kota.example\"; smime=pass\r\n\r\n", "r",
		  "-AUTHENTICATION-RESULTS/3 -X-SEGEL-a/2 -X-Segel-A/1 -Authentication-Results/1 ^Authentication-Results=r" },
		{ "what describes the body stays", "MIME-Version: 1.0\r\nContent-Type: text/plain\r\nSender: a@b\r\n\r\n", "r",
		  "^Authentication-Results=r" },
		{ "other methods' results under our id are forged, too", "Authentication-Results: mx.kota.example; dkim=pass\r\n\r\n", NULL,
		  "-Authentication-Results/1" },
		{ "fields that only begin alike stay", "Authentication-Results-X: mx.kota.example\r\nARC-Authentication-Results: i=1; mx.kota.example\r\n\r\n",
		  NULL, "" },
	};

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
		char *found = inbound_text(rows[i].fields, ID, rows[i].results);

		if (strcmp(found, rows[i].want) != 0)
			fail_msg("%s:\n  wanted %s\n  found  %s", rows[i].name, rows[i].want, found);
		free(found);
	}
}

/* A field that is inserted or added is none of those that were there. */
static void
edit_of_ignores_the_new_field(void **state)
{
	static const char fields[] = "Authentication-Results: lain.example; spf=pass\r\n\r\n";
	AUTO(edit_plan_free) struct edit_plan *plan = NULL;
	AUTO_HEAD struct head head = { 0 };

	(void)state;
	head_scan(slice_of(fields), &head);
	plan = edit_plan_inbound(&head, ID, "r");
	assert_int_equal(plan->n, 1);
	assert_null(edit_of(plan, &head, 0));
}

static void
edit_of_finds_the_field(void **state)
{
	static const char fields[] = "X-Segel-A: 1\r\nFrom: a@b\r\nX-Segel-A: 2\r\n\r\n";
	AUTO(edit_plan_free) struct edit_plan *plan = NULL;
	AUTO_HEAD struct head head = { 0 };
	struct outgoing outgoing = { .sender = NULL };

	(void)state;
	head_scan(slice_of(fields), &head);
	plan = edit_plan_outgoing(&head, &outgoing);
	assert_int_equal(edit_of(plan, &head, 0)->ordinal, 1);
	assert_null(edit_of(plan, &head, 1));
	assert_int_equal(edit_of(plan, &head, 2)->ordinal, 2);
}

#define VALUE(text) { (const unsigned char *)(text), sizeof(text) - 1 }

/* What was opened: what described the body goes, what describes it now comes, hidden fields only where nobody else hears of them. */
static void
opened_plans(void **state)
{
	static const char outside[] = "From: a@b\r\nMIME-Version: 1.0\r\nContent-Type: application/pkcs7-mime\r\nSubject: [...]\r\n"
				      "content-description: x\r\nX-Segel-A: 1\r\nContent-Type: text/html\r\n\r\n";
	static const struct plain_field content[] = {
		{ "Content-Type", VALUE(" multipart/mixed;\r\n boundary=\"x\"") }, { "Content-Description", VALUE("rapat") },
	};
	static const struct plain_field hidden[] = {
		{ "Subject", VALUE(" Rahasia") }, { "Cc", VALUE(" c@d") }, { "From", VALUE(" e@f") }, { "sender", VALUE(" e@f") },
		{ "Authentication-Results", VALUE(" mx; smime=pass") }, { "X-Segel-B", VALUE(" 1") }, { "Reply-To", VALUE(" n\xc3\xa9@f") },
	};
	static const char gone[] = "-Content-Type/2 -X-Segel-A/1 -content-description/1 -Content-Type/1 -MIME-Version/1 ";
	static const char comes[] = "+MIME-Version=1.0 +Content-Type=multipart/mixed;\n boundary=\"x\" +Content-Description=rapat ";
	static const struct {
		bool author, utf8;
		const char *changed, *added;
	} rows[] = {
		{ true, false, "~Subject/1=Rahasia ", "+Cc=c@d " },
		{ true, true, "~Subject/1=Rahasia ", "+Cc=c@d +Reply-To=n\xc3\xa9@f " },
		{ false, false, "", "" },
		{ false, true, "", "" },
	};
	const struct plain plain = { .content = content, .n_content = 2, .hidden = hidden, .n_hidden = N_ELEMENTS(hidden), .body = VALUE("isi\r\n") };

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
		AUTO(xfree) char *want = xasprintf("%s%s%s%s^Authentication-Results=" ID "; smime=none", gone, rows[i].changed, comes, rows[i].added);
		struct opened opened = { .authserv_id = ID, .results = ID "; smime=none", .plain = &plain, .author = rows[i].author,
			.utf8 = rows[i].utf8, .sender = "a@b" };
		AUTO(edit_plan_free) struct edit_plan *plan = NULL;
		AUTO_HEAD struct head head = { 0 };
		AUTO(xfree) char *text = NULL;

		head_scan(slice_of(outside), &head);
		plan = edit_plan_opened(&head, &opened);
		text = text_of(plan);
		assert_string_equal(text, want);
		assert_true(slice_equal(plan->plain, slice_of("isi\r\n")));
		assert_string_equal(plan->sender, "<a@b>");
	}
}

/* RET is ours, whatever was asked for; ENVID stays; the rest is the MTA's own affair. */
static void
opened_envelopes(void **state)
{
	static const struct {
		const char *sender, *parameters, *want_sender, *want;
	} rows[] = {
		{ "a@b", NULL, "<a@b>", "RET=HDRS" },
		{ "", "", "<>", "RET=HDRS" },
		{ "a@b", "SIZE=5 RET=FULL BODY=8BITMIME", "<a@b>", "RET=HDRS" },
		{ "a@b", "ret=full envid=X+2B SIZE=5", "<a@b>", "RET=HDRS envid=X+2B" },
		{ "a@b", "ENVID=", "<a@b>", "RET=HDRS" },
		{ "a@b", "XENVID=x ENVID=y", "<a@b>", "RET=HDRS ENVID=y" },
	};
	const struct plain nothing = { .n_content = 0 };

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
		struct opened opened = { .authserv_id = ID, .plain = &nothing, .sender = rows[i].sender, .parameters = rows[i].parameters };
		AUTO(edit_plan_free) struct edit_plan *plan = NULL;
		AUTO_HEAD struct head head = { 0 };

		head_scan(slice_of("From: a@b\r\n\r\n"), &head);
		plan = edit_plan_opened(&head, &opened);
		assert_string_equal(plan->sender, rows[i].want_sender);
		assert_string_equal(plan->parameters, rows[i].want);
		assert_true(slice_equal(plan->plain, slice_of("\r\n"))); /* not "no new body" */
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plans),
		cmocka_unit_test(plans_with_our_id),
		cmocka_unit_test(inbound_plans),
		cmocka_unit_test(edit_of_ignores_the_new_field),
		cmocka_unit_test(edit_of_finds_the_field),
		cmocka_unit_test(opened_plans),
		cmocka_unit_test(opened_envelopes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
