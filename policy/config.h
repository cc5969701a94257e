/*
 * config: the settings file as a frozen struct.
 * Read by libconfig (only in config.c), checked against the one table of settings (setting.h),
 * then across settings. Every problem of the file is reported, each with file and line; an
 * unknown key names the nearest known one. Immutable after loading; shared between threads.
 */
#ifndef POLICY_CONFIG_H
#define POLICY_CONFIG_H

#include "policy/table.h"
#include "smime/buf.h"
#include "smime/err.h"

#define CONFIG_FILE "/etc/segel/segel.conf"

struct text_list {
	char **at;
	size_t n;
};

struct keyd_key_setting {
	char *file;
	char *passphrase_file;
	long limit; /* signatures a minute */
	struct text_list signers; /* none = the first of keyd.signers */
	struct text_list unwrappers; /* none = the first of keyd.unwrappers */
	long purpose; /* enum key_purpose; a key has one, never both */
};

enum key_purpose { KEY_PURPOSE_UNKNOWN, KEY_PURPOSE_SEAL, KEY_PURPOSE_DECRYPT };

/* What segel-split does with mail that nobody of ours sealed. */
enum unsealed { UNSEALED_UNKNOWN, UNSEALED_DEFER, UNSEALED_REJECT };

/* What recipients must get (policy/recipient.h). */
enum level {
	LEVEL_UNKNOWN,  /* could not be found out */
	LEVEL_MUST,     /* encrypted, or nothing */
	LEVEL_MAY,      /* encrypted where that can be */
	LEVEL_NEVER,    /* in clear */
	LEVEL_FORBID,   /* nothing */
	LEVEL_INTERNAL, /* in clear, because it stays with us; no rule says it */
};

enum cipher_choice { CIPHER_CHOICE_UNKNOWN, CIPHER_BY_CAPABILITY, CIPHER_ALWAYS_CBC, CIPHER_ALWAYS_GCM };
enum rsa_choice { RSA_CHOICE_UNKNOWN, RSA_BY_CAPABILITY, RSA_ALWAYS_V15, RSA_ALWAYS_OAEP };

/* Which recipients must get encrypted mail; the first row that fits decides. */
struct encrypt_rule_setting {
	char *to;   /* pattern.h; "" = whoever is not internal */
	char *unit; /* of the sender, by its code; "" = any */
	long level; /* enum level, LEVEL_MUST to LEVEL_FORBID */
};

/* How long bodies of some findings are kept; the first row that fits decides. */
struct retention_setting {
	struct text_list findings;
	long keep; /* ms */
};

struct policy_setting {
	char *finding;
	char *class;
	char *action;
};

/* What counts as TLS for some peers; the first row that fits decides. */
struct tls_rule_setting {
	char *class;   /* "" = every class */
	char *network; /* "192.0.2.0/24"; "" = every client */
	long minimum;  /* enum tls_version of policy/input.h; 0 = none is demanded */
	struct text_list ciphers; /* none = as tls.ciphers */
};

/* Who may have mail of the sendmail command sealed. */
struct local_sender_setting {
	char *user; /* UNIX login, for the records; the MTA ties it to the envelope sender */
	struct text_list from;
};

/* Rows of a list of groups, one struct after the other. */
struct row_list {
	void *rows;
	size_t n;
};

/* What every role of segel-milter has (milter/filter/role.h). */
struct role_settings {
	char *socket;
	char *socket_group;
	char *user;
	char *audit_dir;
	char *state_dir; /* what it remembers: signatures seen, and what made a process die */
	char *metrics; /* struct endpoint's text; "" = off */
	long drain;    /* ms */
	long timeout;  /* ms a session may be silent */
};

struct config {
	char *file;       /* where it was read from */
	long language;    /* enum language */
	bool pretend;
	struct {
		long target; /* enum log_target of milter/log.h: 0 stderr, 1 syslog */
		long level;  /* enum log_level of milter/log.h */
	} log;
	struct {
		char *file;
		long timeout; /* ms */
	} registry;
	struct {
		struct role_settings role;
		struct text_list auth_types;
	} submission;
	struct {
		struct role_settings role;
		char *authserv_id;  /* "" = the MTA's own name */
	} inbound;
	struct {
		struct role_settings role;
		struct row_list senders; /* struct local_sender_setting */
	} local;
	struct {
		struct role_settings role;
		struct text_list unsealed; /* patterns of From that need no seal */
	} egress;
	struct {
		bool use;
		struct row_list rules;  /* struct encrypt_rule_setting */
		char *trigger;          /* field by which a sender asks for it; "" = none */
		bool split;             /* segel-split is behind the submission service */
		struct text_list peers; /* struct network's texts: clients that are mail servers */
		long cipher;            /* enum cipher_choice */
		long rsa;               /* enum rsa_choice */
		char *copy_certificate; /* PEM; "" = no copy */
		bool hide_subject;
	} encrypt;
	struct {
		bool use; /* role inbound opens what arrives encrypted */
		char *keep_dir; /* folder of the originals; "" = none are kept */
		long keep;      /* ms an original is kept */
	} decrypt;
	struct {
		char *socket;
		char *socket_group;
		char *user;
		struct text_list signers;
		struct text_list unwrappers;
		char *audit_dir;
		long timeout; /* ms */
		long max_connections;
		struct row_list keys; /* struct keyd_key_setting */
	} keyd;
	struct {
		char *dir;
		char *user;
		char *audit_dir;
		char *hold_socket;
		char *hold_group;
		struct text_list holders; /* users whose filters may give mail */
		char *review_socket;
		char *review_group;
		char *certificate;  /* PEM; "" = there is no quarantine */
		long timeout;       /* ms a filter waits for its answer */
		long max_connections;
		long max_size;      /* bytes */
		long max_items;
		long min_free;      /* bytes */
		long client_share;  /* percent of max_size and max_items; 0 = no limit */
		long keep;          /* ms a body is kept */
		struct row_list retention; /* struct retention_setting */
		long keep_rows;     /* ms that what is known of an item outlives its body */
		struct text_list two_persons; /* findings */
		char *release_to;   /* struct endpoint's text: the MTA's listener for what is released */
		long release_timeout; /* ms */
		long view_bytes;    /* most that a view shows */
		char *digest_from;
		struct text_list digest_to;
		char *sendmail;     /* the command that takes the digest */
	} quarantine;
	struct {
		char *socket;
		char *socket_group;
		char *user;
		char *map;
		long timeout; /* ms a request or an answer may take */
		long idle;    /* ms between two requests */
		long max_connections;
	} tlspol;
	struct {
		char *socket;       /* struct endpoint's text */
		char *socket_group; /* of a UNIX socket */
		char *user;
		char *state_dir;    /* what was handed on in the last day */
		char *next_hop;     /* struct endpoint's text: the MTA's listener for what comes back */
		long unsealed;      /* enum unsealed */
		char *trigger;      /* field that asks for encryption; "" = none does */
		long timeout;       /* ms the MTA may be silent, and a message may take to come */
		long next_timeout;  /* ms handing on may take */
		long drain;         /* ms */
		long max_connections;
	} split;
	struct {
		long form; /* enum seal_form of smime/seal.h */
		char *chain_dir;
	} seal;
	struct {
		long minimum; /* enum tls_version of policy/input.h */
		struct text_list ciphers; /* shell patterns of OpenSSL's names */
		struct row_list rules;    /* struct tls_rule_setting */
	} tls;
	struct {
		struct text_list subject_address; /* issuers, as struct cert_facts names them */
		long replay; /* ms that a signature is remembered */
	} verify;
	struct {
		long message_size; /* bytes */
		long recipients;
	} limits;
	struct {
		char *dir;
		char *user;
		char *audit_dir;
		long grace;   /* ms */
		long timeout; /* ms without progress */
		long total;   /* ms for one source */
		struct text_list allow_private; /* struct network's texts */
		char *proxy;     /* "" = none */
		char *https_ca;
	} trust;
	struct row_list policy;    /* struct policy_setting, as written */
	struct action_table table; /* defaults with the rows above applied */
};

/* `problems` gets one line a problem; -1 when there is any. `file` NULL: the defaults, and no file is read. */
int config_load(const char *file, struct config **ret, struct buf *problems) MUST_USE;
/* The problems as one error on one line; returns -1. */
int config_err(const struct buf *problems, struct err *err);
void config_free(struct config *config);
AUTO_DEFINE(struct config, config_free);

/* The effective settings, defaults included, in the file's own syntax. */
void config_dump(const struct config *config, struct buf *ret);

const struct keyd_key_setting *config_keys(const struct config *config, size_t *n);

/* One line: which libconfig this was built with. */
void config_library(struct buf *ret);

/* Bytes that the largest message has once it is sealed (base64, and the seal), and encrypted where that is in use (base64 again). */
long long config_largest_sealed(const struct config *config);
/*
 * The largest message that is read. limits.message_size is for what its author hands in; what arrives or leaves may have been sealed
 * and encrypted since, here or by a gateway with the same settings.
 */
long long config_largest(const struct config *config, bool handed_in);

#endif
