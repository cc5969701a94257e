#include "policy/setting.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

static const char *const languages[] = { "id", "en", NULL };
static const char *const log_targets[] = { "stderr", "syslog", NULL };
static const char *const log_levels[] = { "panic", "fatal", "error", "warning", "info", "debug", NULL };
static const char *const seal_forms[] = { "unknown", "clear", "opaque", NULL };
static const char *const tls_versions[] = { "none", "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3", NULL };

static const char *const unsealed_actions[] = { "unknown", "defer", "reject", NULL };
static const char *const levels[] = { "unknown", "must", "may", "never", "forbid", NULL };
static const char *const cipher_choices[] = { "unknown", "by-capability", "cbc", "gcm", NULL };
static const char *const rsa_choices[] = { "unknown", "by-capability", "v1.5", "oaep", NULL };

static const char *const key_purposes[] = { "unknown", "seal", "decrypt", NULL };

static const struct setting key_row[] = {
	{ .name = "file", .type = SETTING_TEXT, .offset = offsetof(struct keyd_key_setting, file),
	  .help = "the private key: encrypted PEM or PKCS#12, readable by its owner only" },
	{ .name = "passphrase_file", .type = SETTING_TEXT, .offset = offsetof(struct keyd_key_setting, passphrase_file),
	  .help = "its passphrase, in a file readable by its owner only; \"credential:NAME\" for systemd" },
	{ .name = "limit", .type = SETTING_NUMBER, .offset = offsetof(struct keyd_key_setting, limit), .fallback = "600",
	  .least = 1, .most = 1000000, .help = "most signatures, or unwrapped content keys, a minute" },
	{ .name = "signers", .type = SETTING_TEXTS, .offset = offsetof(struct keyd_key_setting, signers), .fallback = "",
	  .help = "who of keyd.signers may use it; empty = the first of them. A system's key for role local: \"segel-local\"" },
	{ .name = "unwrappers", .type = SETTING_TEXTS, .offset = offsetof(struct keyd_key_setting, unwrappers), .fallback = "",
	  .help = "who of keyd.unwrappers may use it; empty = the first of them. A key that mail is encrypted to: \"segel-inbound\"" },
	{ .name = "purpose", .type = SETTING_CHOICE, .offset = offsetof(struct keyd_key_setting, purpose), .fallback = "seal",
	  .choices = key_purposes, .least = 1,
	  .help = "seal, or decrypt: for its unwrappers, and never for a signature (keys of arriving mail, the quarantine's key)" },
	{ .name = NULL },
};

static const struct setting retention_row[] = {
	{ .name = "findings", .type = SETTING_TEXTS, .offset = offsetof(struct retention_setting, findings),
	  .help = "words of `segelctl policy show`: an item with any of them" },
	{ .name = "keep", .type = SETTING_DURATION, .offset = offsetof(struct retention_setting, keep), .fallback = "30d",
	  .least = 3600000, .most = 3650L * 24 * 60 * 60 * 1000, .help = "how long its body is kept" },
	{ .name = NULL },
};

static const struct setting policy_row[] = {
	{ .name = "finding", .type = SETTING_TEXT, .offset = offsetof(struct policy_setting, finding),
	  .help = "a word of `segelctl policy show`" },
	{ .name = "class", .type = SETTING_TEXT, .offset = offsetof(struct policy_setting, class),
	  .help = "submission, inbound-official, inbound-other, local or egress" },
	{ .name = "action", .type = SETTING_TEXT, .offset = offsetof(struct policy_setting, action),
	  .help = "accept, tag, defer, hold, reject or reject+hold" },
	{ .name = NULL },
};

static const struct setting tls_rule_row[] = {
	{ .name = "class", .type = SETTING_TEXT, .offset = offsetof(struct tls_rule_setting, class), .fallback = "",
	  .help = "submission, inbound-official or inbound-other; empty = each of them" },
	{ .name = "network", .type = SETTING_TEXT, .offset = offsetof(struct tls_rule_setting, network), .fallback = "",
	  .help = "clients, as \"192.0.2.0/24\", \"2001:db8::/32\" or one address; empty = all" },
	{ .name = "minimum", .type = SETTING_CHOICE, .offset = offsetof(struct tls_rule_setting, minimum), .fallback = "TLSv1.2",
	  .choices = tls_versions, .help = "as tls.minimum; \"none\", which needs class and network and is never for submission: "
	  "mail in clear passes" },
	{ .name = "ciphers", .type = SETTING_TEXTS, .offset = offsetof(struct tls_rule_setting, ciphers), .fallback = "",
	  .help = "as tls.ciphers, which holds where none are named" },
	{ .name = NULL },
};

static const struct setting local_sender_row[] = {
	{ .name = "user", .type = SETTING_TEXT, .offset = offsetof(struct local_sender_setting, user),
	  .help = "UNIX login that may have mail sealed" },
	{ .name = "from", .type = SETTING_TEXTS, .offset = offsetof(struct local_sender_setting, from),
	  .help = "its From addresses; each has a system certificate (kind sistem) bound for purpose seal" },
	{ .name = NULL },
};

static const struct setting encrypt_rule_row[] = {
	{ .name = "to", .type = SETTING_TEXT, .offset = offsetof(struct encrypt_rule_setting, to), .fallback = "",
	  .help = "recipients: \"user@domain\", \"domain\", \".domain\" (those below it); empty = all but internal ones" },
	{ .name = "unit", .type = SETTING_TEXT, .offset = offsetof(struct encrypt_rule_setting, unit), .fallback = "",
	  .help = "code of the sender's unit (`segelctl unit list`); empty = every sender" },
	{ .name = "level", .type = SETTING_CHOICE, .offset = offsetof(struct encrypt_rule_setting, level), .choices = levels, .least = 1,
	  .help = "must (encrypted, or the message is refused), may (encrypted where there is a certificate and no other recipient "
		  "stands against it), never (in clear), forbid (no mail at all)" },
	{ .name = NULL },
};

#define AT(member) .offset = offsetof(struct config, member)
#define DAY (24L * 60 * 60 * 1000)

/* The settings that each role of segel-milter has, under its own name. */
#define ROLE(role_, socket_help) \
	{ .name = #role_ ".socket", .type = SETTING_TEXT, AT(role_.role.socket), \
	  .fallback = "/run/segel/" #role_ "/milter.sock", .help = socket_help }, \
	{ .name = #role_ ".socket_group", .type = SETTING_TEXT, AT(role_.role.socket_group), .fallback = "postfix", \
	  .help = "the MTA's group, by name or number" }, \
	{ .name = #role_ ".user", .type = SETTING_TEXT, AT(role_.role.user), .fallback = "segel-" #role_, \
	  .help = "the user to run as, by name or number, when started by root" }, \
	{ .name = #role_ ".audit_dir", .type = SETTING_TEXT, AT(role_.role.audit_dir), \
	  .fallback = "/var/lib/segel/audit-" #role_, \
	  .help = "folder of this role's hash-chained records; not writable = all mail is deferred" }, \
	{ .name = #role_ ".state_dir", .type = SETTING_TEXT, AT(role_.role.state_dir), \
	  .fallback = "/var/lib/segel/state-" #role_, \
	  .help = "folder of what this role remembers: signatures seen, and messages that made a process die" }, \
	{ .name = #role_ ".metrics", .type = SETTING_TEXT, AT(role_.role.metrics), .fallback = "", \
	  .help = "where this role's counters are served in Prometheus' text form (`segelctl stats` reads them\n" \
		  "too): a UNIX socket, \"127.0.0.1:PORT\" or \"[::1]:PORT\"; empty = nowhere" }, \
	{ .name = #role_ ".drain", .type = SETTING_DURATION, AT(role_.role.drain), .fallback = "60s", \
	  .least = 0, .most = 600000, .help = "how long messages in hand may take after SIGTERM" }, \
	{ .name = #role_ ".timeout", .type = SETTING_DURATION, AT(role_.role.timeout), .fallback = "10m", \
	  .least = 10000, .most = DAY, .help = "how long the MTA may be silent on a connection" }

const struct setting settings[] = {
	{ .name = "language", .type = SETTING_CHOICE, AT(language), .fallback = "id", .choices = languages,
	  .help = "language of the replies that senders see: id (Bahasa Indonesia) or en" },
	{ .name = "pretend", .type = SETTING_BOOL, AT(pretend), .fallback = "false",
	  .help = "decide and log, but change and refuse nothing; for the first days of a roll-out" },

	{ .name = "log.target", .type = SETTING_CHOICE, AT(log.target), .fallback = "syslog", .choices = log_targets,
	  .help = "syslog (facility mail) or stderr" },
	{ .name = "log.level", .type = SETTING_CHOICE, AT(log.level), .fallback = "info", .choices = log_levels,
	  .help = "the least severe line that is written" },

	{ .name = "registry.file", .type = SETTING_TEXT, AT(registry.file), .fallback = "/var/lib/segel/registry.db",
	  .help = "the OP's registry (SQLite); made by `segelctl init`, read by the filter" },
	{ .name = "registry.timeout", .type = SETTING_DURATION, AT(registry.timeout), .fallback = "2s",
	  .least = 1, .most = 60000, .help = "how long to wait for a locked registry before mail is deferred" },

	ROLE(submission, "UNIX socket for the MTA. Whoever can open it can have mail sealed, so its folder must be\n"
		  "closed to everybody but the MTA's group (mode 0750)"),
	{ .name = "submission.auth_types", .type = SETTING_TEXTS, AT(submission.auth_types),
	  .fallback = "PLAIN LOGIN SCRAM-SHA-1 SCRAM-SHA-256 GSSAPI XOAUTH2 OAUTHBEARER",
	  .help = "login mechanisms that count; XCLIENT never does" },

	ROLE(inbound, "UNIX socket for the MTA's port that receives mail from other servers; its folder as for submission"),
	{ .name = "inbound.authserv_id", .type = SETTING_TEXT, AT(inbound.authserv_id), .fallback = "",
	  .help = "the name in the Authentication-Results fields that are added; fields that claim it already are removed.\n"
		  "Empty = the mail server's own name" },

	ROLE(local, "UNIX socket for mail that comes without SMTP (Postfix: non_smtpd_milters), and for nothing else:\n"
		  "the envelope sender is believed here; its folder as for submission"),
	{ .name = "local.senders", .type = SETTING_ROWS, AT(local.senders), .fallback = "", .row = local_sender_row,
	  .row_size = sizeof(struct local_sender_setting),
	  .help = "who may have mail of the sendmail command, cron and web applications sealed, and under which From.\n"
		  "The MTA must tie envelope senders to logins: `segelctl local sender-map`" },

	ROLE(egress, "UNIX socket for the MTA's listeners where mail leaves or comes back from a filter; its folder as for submission"),
	{ .name = "egress.unsealed", .type = SETTING_TEXTS, AT(egress.unsealed), .fallback = "",
	  .help = "From addresses in own domains whose mail need not be sealed (programs, system mail): \"user@domain\", \"domain\",\n"
		  "\".domain\" (those below it). All others of own domains must be, or it is refused on the way out" },

	{ .name = "encrypt.use", .type = SETTING_BOOL, AT(encrypt.use), .fallback = "false",
	  .help = "encrypt what officials send; once it is on, recipients outside own domains for whom no rule stands must get\n"
		  "encrypted mail, and mail to those without a certificate is refused" },
	{ .name = "encrypt.rules", .type = SETTING_ROWS, AT(encrypt.rules), .fallback = "", .row = encrypt_rule_row,
	  .row_size = sizeof(struct encrypt_rule_setting),
	  .help = "who gets encrypted mail; the first row that fits recipient and sender decides (`segelctl encrypt check`)" },
	{ .name = "encrypt.trigger", .type = SETTING_TEXT, AT(encrypt.trigger), .fallback = "X-Segel-Encrypt",
	  .help = "name of a header field by which a logged-in sender asks for encryption, whatever its value: may and never\n"
		  "become must. It is removed. Empty = none" },
	{ .name = "encrypt.split", .type = SETTING_BOOL, AT(encrypt.split), .fallback = "false",
	  .help = "segel-split stands behind the submission service and encrypts for each recipient by itself. Without it, a message\n"
		  "whose recipients cannot all get the same is refused" },
	{ .name = "encrypt.peers", .type = SETTING_TEXTS, AT(encrypt.peers), .fallback = "",
	  .help = "clients of the submission service that are mail servers, as \"192.0.2.0/24\" or one address: what cannot go in one\n"
		  "transaction they are asked to send in several (452)" },
	{ .name = "encrypt.cipher", .type = SETTING_CHOICE, AT(encrypt.cipher), .fallback = "by-capability", .choices = cipher_choices, .least = 1,
	  .help = "of the content: AES-256-CBC, which every program reads, or AES-256-GCM; by-capability: GCM where every recipient's\n"
		  "program is known to read it (`segelctl cert set-capability`)" },
	{ .name = "encrypt.rsa", .type = SETTING_CHOICE, AT(encrypt.rsa), .fallback = "by-capability", .choices = rsa_choices, .least = 1,
	  .help = "padding of the content key for RSA certificates: v1.5, which every program reads, or OAEP; by-capability: OAEP for\n"
		  "recipients whose program is known to read it" },
	{ .name = "encrypt.copy_certificate", .type = SETTING_TEXT, AT(encrypt.copy_certificate), .fallback = "",
	  .help = "certificate (PEM) of the organisation: what is encrypted can be read with its key, too. Empty = by recipients only" },
	{ .name = "encrypt.hide_subject", .type = SETTING_BOOL, AT(encrypt.hide_subject), .fallback = "true",
	  .help = "the Subject of encrypted mail stands inside only; outside it reads [...]. With encrypt.split it must be false: the seal is\n"
		  "made once, for those who get the message in clear too" },

	{ .name = "decrypt.use", .type = SETTING_BOOL, AT(decrypt.use), .fallback = "false",
	  .help = "open encrypted mail that arrives for offices and systems whose keys segel-keyd holds (purpose decrypt, for the user of\n"
		  "role inbound), where the registry binds the certificate to every recipient. What is inside must be proven: AES-GCM, or a\n"
		  "good signature. It is delivered in clear, also to whatever aliases and forwards the mail server knows for these addresses" },
	{ .name = "decrypt.keep_dir", .type = SETTING_TEXT, AT(decrypt.keep_dir), .fallback = "",
	  .help = "folder where what is delivered in clear is kept as it came, encrypted, for instance\n"
		  "\"/var/lib/segel/state-inbound/originals\"; what cannot be kept is not delivered either. Empty = originals are not kept" },
	{ .name = "decrypt.keep", .type = SETTING_DURATION, AT(decrypt.keep), .fallback = "30d", .least = 3600000, .most = 400 * DAY,
	  .help = "how long an original is kept" },

	{ .name = "keyd.socket", .type = SETTING_TEXT, AT(keyd.socket), .fallback = "/run/segel/keyd/keyd.sock",
	  .help = "UNIX socket of the key agent; its folder must be closed to others (mode 0750)" },
	{ .name = "keyd.socket_group", .type = SETTING_TEXT, AT(keyd.socket_group), .fallback = "segel-seal",
	  .help = "group that may open the socket, by name or number; keyd.signers and keyd.unwrappers say which of its users are\n"
		  "served, and with what" },
	{ .name = "keyd.user", .type = SETTING_TEXT, AT(keyd.user), .fallback = "segel-keyd",
	  .help = "the user the key agent runs as, by name or number, when started by root" },
	{ .name = "keyd.signers", .type = SETTING_TEXTS, AT(keyd.signers), .fallback = "segel-submission",
	  .help = "users, by name or number, whose processes may ask for a signature; all others are refused" },
	{ .name = "keyd.unwrappers", .type = SETTING_TEXTS, AT(keyd.unwrappers), .fallback = "segel-reviewd",
	  .help = "users, by name or number, whose processes may have a content key unwrapped with a key of purpose decrypt:\n"
		  "\"segel-reviewd\" for held mail, \"segel-inbound\" to decrypt what arrives" },
	{ .name = "keyd.audit_dir", .type = SETTING_TEXT, AT(keyd.audit_dir), .fallback = "/var/lib/segel/audit-keyd",
	  .help = "folder of the key agent's own records; every signature and every key that is unwrapped is on\n"
		  "record here before" },
	{ .name = "keyd.timeout", .type = SETTING_DURATION, AT(keyd.timeout), .fallback = "10s",
	  .least = 100, .most = 120000, .help = "how long the filter waits for a signature before mail is deferred" },
	{ .name = "keyd.max_connections", .type = SETTING_NUMBER, AT(keyd.max_connections), .fallback = "64",
	  .least = 1, .most = 1024, .help = "most connections to the key agent at a time" },
	{ .name = "keyd.keys", .type = SETTING_ROWS, AT(keyd.keys), .fallback = "", .row = key_row,
	  .row_size = sizeof(struct keyd_key_setting), .help = "the keys: to seal with, to decrypt with, and to open held mail with" },

	{ .name = "tlspol.socket", .type = SETTING_TEXT, AT(tlspol.socket),
	  .fallback = "/var/spool/postfix/segel-tlspol/tlspol.sock",
	  .help = "UNIX socket that Postfix asks for smtp_tls_policy_maps. Whoever answers there says what is encrypted, so\n"
		  "its folder must be closed to others, and belong to this program (mode 2750)" },
	{ .name = "tlspol.socket_group", .type = SETTING_TEXT, AT(tlspol.socket_group), .fallback = "postfix",
	  .help = "Postfix's group, by name or number" },
	{ .name = "tlspol.user", .type = SETTING_TEXT, AT(tlspol.user), .fallback = "segel-tlspol",
	  .help = "the user segel-tlspol runs as, by name or number, when started by root; it reads the registry" },
	{ .name = "tlspol.map", .type = SETTING_TEXT, AT(tlspol.map), .fallback = "tls",
	  .help = "the map's name, behind the last colon of socketmap:unix:segel-tlspol/tlspol.sock:tls" },
	{ .name = "tlspol.timeout", .type = SETTING_DURATION, AT(tlspol.timeout), .fallback = "5s",
	  .least = 100, .most = 60000, .help = "how long one request or answer may take on its way" },
	{ .name = "tlspol.idle", .type = SETTING_DURATION, AT(tlspol.idle), .fallback = "5m",
	  .least = 1000, .most = DAY, .help = "how long a connection may be silent between two requests" },
	{ .name = "tlspol.max_connections", .type = SETTING_NUMBER, AT(tlspol.max_connections), .fallback = "512",
	  .least = 1, .most = 4096, .help = "most connections at a time; each of Postfix's smtp processes has one" },

	{ .name = "quarantine.certificate", .type = SETTING_TEXT, AT(quarantine.certificate), .fallback = "",
	  .help = "certificate (PEM) that held mail is encrypted to; its key is one of keyd.keys, of purpose decrypt.\n"
		  "`segelctl quarantine key` makes both. Empty = no quarantine: what would be held is deferred" },
	{ .name = "quarantine.dir", .type = SETTING_TEXT, AT(quarantine.dir), .fallback = "/var/lib/segel/quarantine",
	  .help = "folder of the held messages, encrypted, and of what is known of them" },
	{ .name = "quarantine.user", .type = SETTING_TEXT, AT(quarantine.user), .fallback = "segel-reviewd",
	  .help = "the user segel-reviewd runs as, by name or number, when started by root; it reads the registry" },
	{ .name = "quarantine.audit_dir", .type = SETTING_TEXT, AT(quarantine.audit_dir), .fallback = "/var/lib/segel/audit-reviewd",
	  .help = "folder of segel-reviewd's hash-chained records; not writable = nothing is held or released" },
	{ .name = "quarantine.hold_socket", .type = SETTING_TEXT, AT(quarantine.hold_socket), .fallback = "/run/segel/hold/hold.sock",
	  .help = "UNIX socket where the filters give mail to be held; its folder must be closed to others (mode 0750)" },
	{ .name = "quarantine.hold_group", .type = SETTING_TEXT, AT(quarantine.hold_group), .fallback = "segel-hold",
	  .help = "group that may open it, by name or number" },
	{ .name = "quarantine.holders", .type = SETTING_TEXTS, AT(quarantine.holders), .fallback = "segel-inbound segel-egress",
	  .help = "users, by name or number, whose filters may give mail; all others are refused" },
	{ .name = "quarantine.review_socket", .type = SETTING_TEXT, AT(quarantine.review_socket),
	  .fallback = "/run/segel/review/review.sock",
	  .help = "UNIX socket of `segelctl quarantine`; its folder must be closed to others (mode 0750)" },
	{ .name = "quarantine.review_group", .type = SETTING_TEXT, AT(quarantine.review_group), .fallback = "segel-review",
	  .help = "group that may open it, by name or number. What its users may do is told by their role\n"
		  "(`segelctl reviewer`)" },
	{ .name = "quarantine.timeout", .type = SETTING_DURATION, AT(quarantine.timeout), .fallback = "30s", .least = 1000,
	  .most = 120000, .help = "how long a filter waits for a message to be held before it is deferred" },
	{ .name = "quarantine.max_connections", .type = SETTING_NUMBER, AT(quarantine.max_connections), .fallback = "64",
	  .least = 2, .most = 1024, .help = "most connections at a time, on each of the two sockets" },
	{ .name = "quarantine.max_size", .type = SETTING_SIZE, AT(quarantine.max_size), .fallback = "10GiB", .least = 1024 * 1024,
	  .most = 1L << 50, .help = "most bytes of held messages; beyond it mail is deferred" },
	{ .name = "quarantine.max_items", .type = SETTING_NUMBER, AT(quarantine.max_items), .fallback = "100000", .least = 1,
	  .most = 100000000, .help = "most held messages; beyond it mail is deferred" },
	{ .name = "quarantine.min_free", .type = SETTING_SIZE, AT(quarantine.min_free), .fallback = "1GiB", .least = 0,
	  .most = 1L << 50, .help = "what must stay free on its file system; below it mail is deferred" },
	{ .name = "quarantine.client_share", .type = SETTING_NUMBER, AT(quarantine.client_share), .fallback = "10", .least = 0, .most = 100,
	  .help = "what the undecided messages from one client address (IPv4, or IPv6 /64) may take in role inbound, in\n"
		  "percent of max_size and of max_items; beyond it what it sends is deferred, and others go on. 0 = no\n"
		  "limit: where a relay of your own stands before this mail server and is the client of all mail" },
	{ .name = "quarantine.keep", .type = SETTING_DURATION, AT(quarantine.keep), .fallback = "30d", .least = 3600000,
	  .most = 3650 * DAY, .help = "how long a held message is kept" },
	{ .name = "quarantine.retention", .type = SETTING_ROWS, AT(quarantine.retention), .fallback = "", .row = retention_row,
	  .row_size = sizeof(struct retention_setting), .help = "findings whose messages are kept for another time; the first row that\n"
		  "fits decides" },
	{ .name = "quarantine.keep_rows", .type = SETTING_DURATION, AT(quarantine.keep_rows), .fallback = "365d", .least = DAY,
	  .most = 36500L * DAY, .help = "how long what is known of a message is kept after its body has gone" },
	{ .name = "quarantine.two_persons", .type = SETTING_TEXTS, AT(quarantine.two_persons),
	  .fallback = "FROM_AMBIGUOUS SIG_INVALID SIG_MALFORMED MIME_AMBIGUOUS HEADER_MISMATCH SIGNER_MISMATCH CERT_REVOKED "
		      "CERT_EXPIRED REG_HELD REG_ENDED REG_RETIRED REG_CONFLICT KEY_MATERIAL POISON",
	  .help = "findings that need two persons for a release" },
	{ .name = "quarantine.release_to", .type = SETTING_TEXT, AT(quarantine.release_to), .fallback = "127.0.0.1:10027",
	  .help = "the mail server's listener for released mail: \"127.0.0.1:PORT\", \"[::1]:PORT\" or a UNIX socket; it must take\n"
		  "mail from this machine only (contrib/postfix)" },
	{ .name = "quarantine.release_timeout", .type = SETTING_DURATION, AT(quarantine.release_timeout), .fallback = "2m",
	  .least = 1000, .most = 600000, .help = "how long handing over a released message may take" },
	{ .name = "quarantine.view_bytes", .type = SETTING_SIZE, AT(quarantine.view_bytes), .fallback = "256KiB", .least = 1024,
	  .most = 16 * 1024 * 1024, .help = "how much of a message's text is shown at most" },
	{ .name = "quarantine.digest_from", .type = SETTING_TEXT, AT(quarantine.digest_from), .fallback = "",
	  .help = "From of the daily mail to reviewers; an address that role local seals for. Empty = none is sent" },
	{ .name = "quarantine.digest_to", .type = SETTING_TEXTS, AT(quarantine.digest_to), .fallback = "",
	  .help = "who gets it" },
	{ .name = "quarantine.sendmail", .type = SETTING_TEXT, AT(quarantine.sendmail), .fallback = "/usr/sbin/sendmail",
	  .help = "the mail server's sendmail command, which takes the digest" },

	{ .name = "split.socket", .type = SETTING_TEXT, AT(split.socket), .fallback = "127.0.0.1:10029",
	  .help = "where Postfix's content filter hands each message over, one recipient at a time: \"127.0.0.1:PORT\",\n"
		  "\"[::1]:PORT\" or a UNIX socket in a folder closed to others (mode 0750)" },
	{ .name = "split.socket_group", .type = SETTING_TEXT, AT(split.socket_group), .fallback = "postfix",
	  .help = "Postfix's group, by name or number; for a UNIX socket" },
	{ .name = "split.user", .type = SETTING_TEXT, AT(split.user), .fallback = "segel-split",
	  .help = "the user segel-split runs as, by name or number, when started by root; it reads the registry" },
	{ .name = "split.state_dir", .type = SETTING_TEXT, AT(split.state_dir), .fallback = "/var/lib/segel/state-split",
	  .help = "folder where segel-split remembers for a day which copies the next hop took; not writable = all mail waits" },
	{ .name = "split.next_hop", .type = SETTING_TEXT, AT(split.next_hop), .fallback = "127.0.0.1:10030",
	  .help = "the mail server's listener that takes each copy back: \"127.0.0.1:PORT\", \"[::1]:PORT\" or a UNIX socket; it must\n"
		  "take mail from this machine only (contrib/postfix/split.cf)" },
	{ .name = "split.unsealed", .type = SETTING_CHOICE, AT(split.unsealed), .fallback = "reject", .choices = unsealed_actions,
	  .least = 1, .help = "what becomes of a message that comes to segel-split without a good seal of its From: reject (the\n"
		  "sender is told) or defer (it waits in the queue)" },
	{ .name = "split.trigger", .type = SETTING_TEXT, AT(split.trigger), .fallback = "",
	  .help = "name of the header field under which the filter says that the sender asked for encryption; segel-split\n"
		  "removes it. Random, so that no sender guesses it: \"X-Segel-\" and 32 hexadecimal digits. Empty = none" },
	{ .name = "split.timeout", .type = SETTING_DURATION, AT(split.timeout), .fallback = "5m", .least = 1000, .most = 3600000,
	  .help = "how long Postfix may be silent, and how long a message may take to come" },
	{ .name = "split.next_timeout", .type = SETTING_DURATION, AT(split.next_timeout), .fallback = "5m", .least = 1000,
	  .most = 540000, .help = "how long handing a copy on may take; below Postfix's smtp_data_done_timeout (600s), so that\n"
		  "Postfix still hears the answer" },
	{ .name = "split.drain", .type = SETTING_DURATION, AT(split.drain), .fallback = "60s", .least = 0, .most = 600000,
	  .help = "how long messages in hand may take after SIGTERM" },
	{ .name = "split.max_connections", .type = SETTING_NUMBER, AT(split.max_connections), .fallback = "100",
	  .least = 1, .most = 1000, .help = "most connections at a time, each with one message in memory; at least the transport's process limit" },

	{ .name = "seal.form", .type = SETTING_CHOICE, AT(seal.form), .fallback = "clear", .choices = seal_forms, .least = 1,
	  .help = "clear (multipart/signed, readable everywhere) or opaque (application/pkcs7-mime)" },
	{ .name = "seal.chain_dir", .type = SETTING_TEXT, AT(seal.chain_dir), .fallback = "/etc/segel/chain",
	  .help = "folder with the certificates (*.pem, *.crt) of the authorities that issued the sealing\n"
		  "certificates; those between certificate and root go into every seal" },

	{ .name = "tls.minimum", .type = SETTING_CHOICE, AT(tls.minimum), .fallback = "TLSv1.2", .choices = tls_versions,
	  .least = 3, .help = "the oldest TLS version that counts as TLS: TLSv1.2 or TLSv1.3" },
	{ .name = "tls.ciphers", .type = SETTING_TEXTS, AT(tls.ciphers), .fallback = "TLS_* ECDHE-* DHE-*",
	  .help = "ciphers that count as TLS, by the names that the MTA logs; * stands for any characters. By default\n"
		  "those with forward secrecy whose server is not anonymous" },
	{ .name = "tls.rules", .type = SETTING_ROWS, AT(tls.rules), .fallback = "", .row = tls_rule_row,
	  .row_size = sizeof(struct tls_rule_setting),
	  .help = "what counts as TLS for some peers; the first row that fits class and client decides" },

	{ .name = "trust.dir", .type = SETTING_TEXT, AT(trust.dir), .fallback = "/var/lib/segel/trust",
	  .help = "the authorities that are trusted, and what they say about revocation (`segelctl trust`)" },
	{ .name = "trust.user", .type = SETTING_TEXT, AT(trust.user), .fallback = "segel-trust",
	  .help = "the user that `segelctl trust refresh` becomes, by name or number, when started by root" },
	{ .name = "trust.audit_dir", .type = SETTING_TEXT, AT(trust.audit_dir), .fallback = "/var/lib/segel/audit-trust",
	  .help = "folder of the hash-chained record of who added and removed which authority" },
	{ .name = "trust.grace", .type = SETTING_DURATION, AT(trust.grace), .fallback = "24h", .least = 0, .most = 14 * DAY,
	  .help = "how long past its next update a CRL or an OCSP answer is still used" },
	{ .name = "trust.timeout", .type = SETTING_DURATION, AT(trust.timeout), .fallback = "10s", .least = 1000, .most = 120000,
	  .help = "how long a server may take to be reached, or stay below 1000 bytes a second" },
	{ .name = "trust.total", .type = SETTING_DURATION, AT(trust.total), .fallback = "2m", .least = 1000, .most = 1800000,
	  .help = "how long one CRL or OCSP answer may take in all" },
	{ .name = "trust.allow_private", .type = SETTING_TEXTS, AT(trust.allow_private), .fallback = "",
	  .help = "networks that may be asked although they are private, loopback or otherwise not of the Internet,\n"
		  "as \"10.20.0.0/16\" or one address" },
	{ .name = "trust.proxy", .type = SETTING_TEXT, AT(trust.proxy), .fallback = "",
	  .help = "\"http://HOST:PORT\" of a proxy that all requests go through; its own address is checked, it must check\n"
		  "those behind it. Never taken from the environment; empty = none" },
	{ .name = "trust.https_ca", .type = SETTING_TEXT, AT(trust.https_ca), .fallback = "/etc/ssl/certs/ca-certificates.crt",
	  .help = "authorities (PEM) for servers that are asked over https; the transport's only, never a signer's" },

	{ .name = "verify.subject_address", .type = SETTING_TEXTS, AT(verify.subject_address), .fallback = "",
	  .help = "issuers whose certificates may name their owner's address in the subject only (emailAddress), each as\n"
		  "`segelctl cert inspect` shows it under issuer. Addresses in a subject of all others count for nothing" },

	{ .name = "verify.replay", .type = SETTING_DURATION, AT(verify.replay), .fallback = "400d", .least = DAY, .most = 3650 * DAY,
	  .help = "how long a signature is remembered, so that it is known when it comes again under another Message-ID,\n"
		  "From, Subject or Date" },

	{ .name = "limits.message_size", .type = SETTING_SIZE, AT(limits.message_size), .fallback = "35MiB",
	  .least = 1024, .most = LIMIT_HANDED_IN_BYTES,
	  .help = "largest message that its author hands in. What arrives or leaves may be 1.5 times as large, because seals grow mail; 2 times\n"
		  "where encrypt.use is on. The MTA's own limit should be that large" },
	{ .name = "limits.recipients", .type = SETTING_NUMBER, AT(limits.recipients), .fallback = "100",
	  .least = 1, .most = LIMIT_RECIPIENTS, .help = "most recipients of one message" },

	{ .name = "policy", .type = SETTING_ROWS, AT(policy), .fallback = "", .row = policy_row,
	  .row_size = sizeof(struct policy_setting),
	  .help = "cells of the action table (`segelctl policy show`) that differ here" },
	{ .name = NULL },
};

struct unit {
	const char *name;
	long factor;
};

static const struct unit size_units[] = {
	{ "KiB", 1024 }, { "MiB", 1024 * 1024 }, { "GiB", 1024 * 1024 * 1024 }, { "B", 1 }, { NULL, 0 },
};

static const struct unit duration_units[] = {
	{ "ms", 1 }, { "s", 1000 }, { "m", 60 * 1000 }, { "h", 60 * 60 * 1000 }, { "d", DAY }, { NULL, 0 },
};

static int
number_with_unit(const char *text, const struct unit *units, long *ret)
{
	char *end;
	long value;

	if (*text < '0' || *text > '9')
		return -1;
	errno = 0;
	value = strtol(text, &end, 10);
	if (errno)
		return -1;
	while (*end == ' ')
		end++;
	for (; units->name; units++) {
		if (strcmp(units->name, end) != 0)
			continue;
		if (value > LONG_MAX / units->factor)
			return -1;
		*ret = value * units->factor;
		return 0;
	}
	return -1;
}

int
setting_size(const char *text, long *ret)
{
	return number_with_unit(text, size_units, ret);
}

int
setting_duration(const char *text, long *ret)
{
	return number_with_unit(text, duration_units, ret);
}

long
setting_choice(const char *const *choices, const char *word)
{
	for (long i = 0; choices[i]; i++)
		if (strcmp(choices[i], word) == 0)
			return i;
	return -1;
}

static void
allowed_choices(const struct setting *setting, struct buf *ret)
{
	buf_add_text(ret, "one of");
	for (long i = setting->least; setting->choices[i]; i++)
		buf_printf(ret, "%s \"%s\"", i > setting->least ? "," : "", setting->choices[i]);
}

void
setting_allowed(const struct setting *setting, struct buf *ret)
{
	switch (setting->type) {
	case SETTING_TEXT:
		buf_add_text(ret, "a text in quotes");
		return;
	case SETTING_BOOL:
		buf_add_text(ret, "true or false");
		return;
	case SETTING_NUMBER:
		buf_printf(ret, "a number from %ld to %ld", setting->least, setting->most);
		return;
	case SETTING_SIZE:
		buf_printf(ret, "a size in quotes such as \"35MiB\", from %ld to %ld bytes", setting->least, setting->most);
		return;
	case SETTING_DURATION:
		buf_printf(ret, "a duration in quotes such as \"10s\", from %ld to %ld ms", setting->least, setting->most);
		return;
	case SETTING_CHOICE:
		allowed_choices(setting, ret);
		return;
	case SETTING_TEXTS:
		buf_add_text(ret, "a list of texts such as [ \"one\", \"two\" ]");
		return;
	case SETTING_ROWS:
		buf_add_text(ret, "a list of groups such as ( { ... }, { ... } )");
		return;
	}
}

static size_t
least_of(size_t a, size_t b, size_t c)
{
	size_t least = a < b ? a : b;

	return least < c ? least : c;
}

/* Levenshtein's distance, for names of up to 63 characters. */
static size_t
distance(const char *a, const char *b)
{
	size_t row[64], len = strlen(b);

	if (len >= N_ELEMENTS(row))
		return SIZE_MAX;
	for (size_t j = 0; j <= len; j++)
		row[j] = j;
	for (size_t i = 1; a[i - 1]; i++) {
		size_t corner = row[0];

		row[0] = i;
		for (size_t j = 1; j <= len; j++) {
			size_t above = row[j];

			row[j] = least_of(above + 1, row[j - 1] + 1, corner + (a[i - 1] != b[j - 1]));
			corner = above;
		}
	}
	return row[len];
}

const char *
setting_nearest(const struct setting *table, const char *name, int *ret_len)
{
	const bool top = strchr(name, '.') == NULL;
	const char *nearest = NULL;
	size_t best = strlen(name) / 2 + 1;

	for (; table->name; table++) {
		/* At the top stand groups, too. */
		size_t len = top ? strcspn(table->name, ".") : strlen(table->name);
		AUTO(xfree) char *candidate = xstrndup(table->name, len);
		size_t d = distance(name, candidate);

		if (d < best) {
			best = d;
			nearest = table->name;
			*ret_len = (int)len;
		}
	}
	return nearest;
}

/* The fallback of a list is its words, split by blanks. */
static void
sample_texts(const char *words, struct buf *ret)
{
	const char *comma = "";

	buf_add_text(ret, "[");
	while (*words) {
		size_t len = strcspn(words, " ");

		buf_printf(ret, "%s \"%.*s\"", comma, (int)len, words);
		comma = ",";
		words += len + strspn(words + len, " ");
	}
	buf_add_text(ret, " ]");
}

static void
sample_rows(const struct setting *setting, struct buf *ret)
{
	buf_add_text(ret, "(\n");
	for (const struct setting *row = setting->row; row->name; row++)
		buf_printf(ret, "#\t  %s: %s\n", row->name, row->help);
	buf_add_text(ret, "\t)");
}

static void
sample_value(const struct setting *setting, struct buf *ret)
{
	switch (setting->type) {
	case SETTING_BOOL:
	case SETTING_NUMBER:
		buf_add_text(ret, setting->fallback);
		return;
	case SETTING_TEXT:
	case SETTING_SIZE:
	case SETTING_DURATION:
	case SETTING_CHOICE:
		buf_printf(ret, "\"%s\"", setting->fallback);
		return;
	case SETTING_TEXTS:
		sample_texts(setting->fallback, ret);
		return;
	case SETTING_ROWS:
		sample_rows(setting, ret);
		return;
	}
}

static void
sample_help(const char *help, const char *indent, struct buf *ret)
{
	while (*help) {
		size_t len = strcspn(help, "\n");

		buf_printf(ret, "%s# %.*s\n", indent, (int)len, help);
		help += len + (help[len] == '\n');
	}
}

static void
sample_setting(const struct setting *setting, struct buf *ret)
{
	const char *dot = strchr(setting->name, '.');
	const char *indent = dot ? "\t" : "";

	sample_help(setting->help, indent, ret);
	buf_printf(ret, "%s%s = ", indent, dot ? dot + 1 : setting->name);
	sample_value(setting, ret);
	buf_add_text(ret, ";\n");
}

static size_t
group_len(const char *name)
{
	const char *dot = strchr(name, '.');

	return dot ? (size_t)(dot - name) : 0;
}

void
setting_sample(struct buf *ret)
{
	const char *group = "";

	buf_add_text(ret, "# Settings of Segel, with their defaults. Made from the program's own table\n"
			  "# (`segelctl config sample`); check a changed file with `segelctl config check`.\n");
	for (const struct setting *setting = settings; setting->name; setting++) {
		size_t len = group_len(setting->name);

		if (len != group_len(group) || strncmp(setting->name, group, len) != 0) {
			if (group_len(group))
				buf_add_text(ret, "};\n");
			if (len)
				buf_printf(ret, "\n%.*s: {\n", (int)len, setting->name);
		}
		if (!len)
			buf_add_text(ret, "\n");
		group = setting->name;
		sample_setting(setting, ret);
	}
	if (group_len(group))
		buf_add_text(ret, "};\n");
}
