/* segelctl quarantine: held mail. */
#include "milter/ctl/quarantine.h"
#include "milter/ctl/nouns.h"
#include "milter/ctl/quarantine_key.h"

const struct ctl_command ctl_quarantine_commands[] = {
	{ "list", CTL_READS, { 0 }, ctl_quarantine_list_options, "what waits; with a filter or --all also what was decided", ctl_quarantine_list },
	{ "show", CTL_READS, { "ITEM" }, NULL, "everything that is known of one, without its body; and who did what with it", ctl_quarantine_show },
	{ "view", CTL_PLAIN, { "ITEM" }, ctl_quarantine_reason_options, "its body as safe text; goes on record", ctl_quarantine_view },
	{ "export", CTL_PLAIN, { "ITEM" }, ctl_quarantine_export_options, "the message itself, byte for byte; goes on record", ctl_quarantine_export },
	{ "release", CTL_READS, { "ITEM" }, ctl_quarantine_release_options,
	  "verify it again and let it go; proposes, or asks for it, where the role may not decide alone", ctl_quarantine_release },
	{ "delete", CTL_READS, { "ITEM" }, ctl_quarantine_reason_options, "delete its body; proposes, or asks for it, where the role may not decide",
	  ctl_quarantine_delete },
	{ "recall", CTL_READS, { "ITEM" }, ctl_quarantine_reason_options,
	  "call back a release that the mail server does not take: it waits for a decision again", ctl_quarantine_recall },
	{ "extend", CTL_READS, { "ITEM" }, ctl_quarantine_extend_options, "keep its body longer", ctl_quarantine_extend },
	{ "hold", CTL_READS, { "ITEM" }, ctl_quarantine_hold_options, "legal hold: its body stays until that ends", ctl_quarantine_hold },
	{ "note", CTL_READS, { "ITEM" }, ctl_quarantine_reason_options, "write something down on it", ctl_quarantine_note },
	{ "purge", CTL_READS, { 0 }, NULL, "delete now what is over; segel-reviewd does it by itself every day", ctl_quarantine_purge },
	{ "stats", CTL_READS, { 0 }, NULL, "how many there are, and how much room", ctl_quarantine_stats },
	{ "roles", CTL_READS, { 0 }, NULL, "what each role of `segelctl reviewer` may do; asks nobody", ctl_quarantine_roles },
	{ "digest", CTL_PLAIN, { 0 }, ctl_quarantine_digest_options, "mail to quarantine.digest_to what waits and why; nothing waits: no mail",
	  ctl_quarantine_digest },
	{ "key", CTL_PLAIN, { 0 }, ctl_quarantine_key_options, "make a key and a certificate for the quarantine", ctl_quarantine_key },
	{ .run = NULL },
};
