#include "policy/config.h"

#include <libconfig.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "policy/config_decrypt.h"
#include "policy/config_encrypt.h"
#include "policy/config_quarantine.h"
#include "policy/config_split.h"
#include "policy/endpoint.h"
#include "policy/input.h"
#include "policy/network.h"
#include "policy/setting.h"

/* Where a problem is: "file:line: name". */
static void
problem_at(struct buf *problems, const config_setting_t *at, const char *file, const char *name)
{
	const char *source = at ? config_setting_source_file(at) : NULL;

	buf_printf(problems, "%s:%u: %s: ", source ? source : file, at ? config_setting_source_line(at) : 0, name);
}

static void
wanted(struct buf *problems, const config_setting_t *at, const char *file, const struct setting *setting)
{
	problem_at(problems, at, file, setting->name);
	buf_add_text(problems, "wanted ");
	setting_allowed(setting, problems);
	buf_add_text(problems, "\n");
}

static void
free_value(void *base, const struct setting *setting)
{
	void *at = (char *)base + setting->offset;
	struct text_list *texts = at;
	struct row_list *list = at;

	switch (setting->type) {
	case SETTING_TEXT:
		free(*(char **)at);
		return;
	case SETTING_TEXTS:
		for (size_t i = 0; i < texts->n; i++)
			free(texts->at[i]);
		free(texts->at);
		return;
	case SETTING_ROWS:
		for (size_t i = 0; i < list->n; i++)
			for (const struct setting *row = setting->row; row->name; row++)
				free_value((char *)list->rows + i * setting->row_size, row);
		free(list->rows);
		return;
	case SETTING_BOOL:
	case SETTING_NUMBER:
	case SETTING_SIZE:
	case SETTING_DURATION:
	case SETTING_CHOICE:
		return;
	}
}

void
config_free(struct config *config)
{
	if (!config)
		return;
	for (const struct setting *setting = settings; setting->name; setting++)
		free_value(config, setting);
	free(config->file);
	free(config);
}

static void
texts_add(struct text_list *list, const char *text, size_t len)
{
	list->at = xrealloc(list->at, (list->n + 1) * sizeof(*list->at));
	list->at[list->n++] = xstrndup(text, len);
}

/* A value as text: what the file holds in quotes, or a default. False = not a value of this type. */
static bool
set_text(void *at, const struct setting *setting, const char *text)
{
	long value = -1;

	switch (setting->type) {
	case SETTING_TEXT:
		*(char **)at = xstrdup(text);
		return true;
	case SETTING_SIZE:
		if (setting_size(text, &value) == -1)
			return false;
		break;
	case SETTING_DURATION:
		if (setting_duration(text, &value) == -1)
			return false;
		break;
	case SETTING_CHOICE:
		value = setting_choice(setting->choices, text);
		if (value < setting->least)
			return false;
		*(long *)at = value;
		return true;
	case SETTING_BOOL:
	case SETTING_NUMBER:
	case SETTING_TEXTS:
	case SETTING_ROWS:
		return false;
	}
	if (value < setting->least || value > setting->most)
		return false;
	*(long *)at = value;
	return true;
}

static void
set_fallback(void *at, const struct setting *setting)
{
	const char *words = setting->fallback;

	switch (setting->type) {
	case SETTING_BOOL:
		*(bool *)at = strcmp(words, "true") == 0;
		return;
	case SETTING_NUMBER:
		*(long *)at = strtol(words, NULL, 10);
		return;
	case SETTING_TEXTS:
		while (*words) {
			size_t len = strcspn(words, " ");

			texts_add(at, words, len);
			words += len + strspn(words + len, " ");
		}
		return;
	case SETTING_ROWS:
		return;
	case SETTING_TEXT:
	case SETTING_SIZE:
	case SETTING_DURATION:
	case SETTING_CHOICE:
		(void)set_text(at, setting, words);
		return;
	}
}

static bool
read_number(void *at, const struct setting *setting, const config_setting_t *from)
{
	long long value;

	if (!config_setting_is_number(from) || config_setting_type(from) == CONFIG_TYPE_FLOAT)
		return false;
	value = config_setting_get_int64(from);
	if (value < setting->least || value > setting->most)
		return false;
	*(long *)at = (long)value;
	return true;
}

static bool
read_texts(struct text_list *list, const config_setting_t *from)
{
	if (!config_setting_is_array(from) && !config_setting_is_list(from))
		return false;
	for (int i = 0; i < config_setting_length(from); i++) {
		const char *text = config_setting_get_string_elem(from, i);

		if (!text)
			return false;
		texts_add(list, text, strlen(text));
	}
	return true;
}

static void read_group(void *base, const struct setting *table, const char *prefix, config_setting_t *group,
    const char *file, struct buf *problems);

static bool
read_rows(struct row_list *list, const struct setting *setting, config_setting_t *from, const char *file,
    struct buf *problems)
{
	int n = config_setting_length(from);

	if (!config_setting_is_list(from))
		return false;
	list->rows = xcalloc((size_t)n, setting->row_size);
	list->n = (size_t)n;
	for (int i = 0; i < n; i++) {
		config_setting_t *row = config_setting_get_elem(from, (unsigned)i);

		if (!config_setting_is_group(row))
			return false;
		read_group((char *)list->rows + (size_t)i * setting->row_size, setting->row, "", row, file, problems);
	}
	return true;
}

static bool
read_value(void *at, const struct setting *setting, config_setting_t *from, const char *file, struct buf *problems)
{
	const char *text;

	switch (setting->type) {
	case SETTING_BOOL:
		if (config_setting_type(from) != CONFIG_TYPE_BOOL)
			return false;
		*(bool *)at = config_setting_get_bool(from);
		return true;
	case SETTING_NUMBER:
		return read_number(at, setting, from);
	case SETTING_TEXTS:
		return read_texts(at, from);
	case SETTING_ROWS:
		return read_rows(at, setting, from, file, problems);
	case SETTING_TEXT:
	case SETTING_SIZE:
	case SETTING_DURATION:
	case SETTING_CHOICE:
		text = config_setting_get_string(from);
		return text && set_text(at, setting, text);
	}
	return false;
}

/* The table's entry for a key of this group; prefix is "keyd." or "". */
static const struct setting *
find_setting(const struct setting *table, const char *prefix, const char *key)
{
	size_t len = strlen(prefix);

	for (; table->name; table++)
		if (strncmp(table->name, prefix, len) == 0 && strcmp(table->name + len, key) == 0)
			return table;
	return NULL;
}

static bool
is_group_name(const struct setting *table, const char *key)
{
	size_t len = strlen(key);

	for (; table->name; table++)
		if (strncmp(table->name, key, len) == 0 && table->name[len] == '.')
			return true;
	return false;
}

static void
unknown_key(const struct setting *table, const char *prefix, const config_setting_t *at, const char *file,
    struct buf *problems)
{
	char *name = xasprintf("%s%s", prefix, config_setting_name(at));
	int len = 0;
	const char *nearest = setting_nearest(table, name, &len);

	problem_at(problems, at, file, name);
	buf_add_text(problems, "no such setting");
	if (nearest)
		buf_printf(problems, "; did you mean '%.*s'?", len, nearest);
	buf_add_text(problems, "\n");
	free(name);
}

static void
read_entry(void *base, const struct setting *table, const char *prefix, config_setting_t *entry, const char *file,
    struct buf *problems)
{
	const struct setting *setting = find_setting(table, prefix, config_setting_name(entry));

	if (setting) {
		if (!read_value((char *)base + setting->offset, setting, entry, file, problems))
			wanted(problems, entry, file, setting);
		return;
	}
	if (!*prefix && config_setting_is_group(entry) && is_group_name(table, config_setting_name(entry))) {
		char *inner = xasprintf("%s.", config_setting_name(entry));

		read_group(base, table, inner, entry, file, problems);
		free(inner);
		return;
	}
	unknown_key(table, prefix, entry, file, problems);
}

static void
fill_missing(void *base, const struct setting *table, const char *prefix, const config_setting_t *group,
    const char *file, struct buf *problems)
{
	size_t len = strlen(prefix);

	for (; table->name; table++) {
		if (strncmp(table->name, prefix, len) != 0 || strchr(table->name + len, '.'))
			continue;
		if (config_setting_get_member(group, table->name + len))
			continue;
		if (table->fallback) {
			set_fallback((char *)base + table->offset, table);
			continue;
		}
		problem_at(problems, group, file, table->name);
		buf_add_text(problems, "must be given\n");
	}
}

static void
read_group(void *base, const struct setting *table, const char *prefix, config_setting_t *group, const char *file,
    struct buf *problems)
{
	fill_missing(base, table, prefix, group, file, problems);
	for (int i = 0; i < config_setting_length(group); i++)
		read_entry(base, table, prefix, config_setting_get_elem(group, (unsigned)i), file, problems);
}

/* Groups that the file does not mention at all. */
static void
fill_groups(struct config *config, const config_setting_t *root)
{
	for (const struct setting *setting = settings; setting->name; setting++) {
		const char *dot = strchr(setting->name, '.');
		char *group;

		if (!dot)
			continue;
		group = xstrndup(setting->name, (size_t)(dot - setting->name));
		if (!config_setting_get_member(root, group))
			set_fallback((char *)config + setting->offset, setting);
		free(group);
	}
}

static bool
action_holds(enum action action)
{
	return action == ACTION_HOLD || action == ACTION_REJECT_HOLD;
}

static void
apply_policy_row(struct action_table *table, const struct policy_setting *row, const char *file, struct buf *problems)
{
	enum reason reason = reason_from(row->finding ? row->finding : "");
	enum class class = CLASS_UNKNOWN;
	enum action action = ACTION_DEFER;
	struct cell *cell;

	if (!row->finding || !row->class || !row->action)
		return; /* reported already */
	if (reason == REASON_UNKNOWN)
		buf_printf(problems, "%s: policy: no finding '%s'; `segelctl policy show` lists them\n", file, row->finding);
	if (!class_from(row->class, &class))
		buf_printf(problems, "%s: policy: no class '%s'; wanted submission, inbound-official, inbound-other, "
		    "local or egress\n", file, row->class);
	if (!action_from(row->action, &action))
		buf_printf(problems, "%s: policy: no action '%s'; wanted accept, tag, defer, hold, reject or "
		    "reject+hold\n", file, row->action);
	if (reason == REASON_UNKNOWN || class == CLASS_UNKNOWN || !action_from(row->action, &action))
		return;
	cell = &table->cells[reason][class];
	if (!cell->reachable) {
		buf_printf(problems, "%s: policy: %s cannot arise in class %s; remove the row\n", file, row->finding,
		    row->class);
		return;
	}
	if (action_holds(action) && (class == CLASS_SUBMISSION || class == CLASS_LOCAL)) {
		buf_printf(problems, "%s: policy: %s cannot be held in class %s, which has no quarantine; wanted reject or "
		    "defer\n", file, row->finding, row->class);
		return;
	}
	if (action_holds(action) && (reason == REASON_TLS_MISSING || reason == REASON_TLS_WEAK)) {
		buf_printf(problems, "%s: policy: %s cannot be held: it is found before there is a message; wanted reject, defer, "
		    "tag or accept\n", file, row->finding);
		return;
	}
	if (!table_allows(reason, class, action)) {
		buf_printf(problems, "%s: policy: %s in class %s cannot be softened to '%s'; wanted defer or stricter\n", file,
		    row->finding, row->class, row->action);
		return;
	}
	cell->action = action;
}

static void
check_auth_types(const struct config *config, struct buf *problems)
{
	for (size_t i = 0; i < config->submission.auth_types.n; i++)
		if (strcasecmp(config->submission.auth_types.at[i], "XCLIENT") == 0)
			buf_printf(problems, "%s: submission.auth_types: XCLIENT is a claim of another host, never a "
			    "login; remove it\n", config->file);
}

static void
check_metrics(const struct config *config, const char *name, const struct role_settings *role, struct buf *problems)
{
	struct endpoint endpoint;
	struct err err;

	if (role->metrics && *role->metrics && endpoint_from(role->metrics, &endpoint, &err) == -1)
		buf_printf(problems, "%s: %s.metrics: %s\n", config->file, name, err.text);
}

/* A rule that lets older TLS, or none, pass names who that is for, and never whom we seal for. */
static void
check_tls_rule(const struct config *config, const struct tls_rule_setting *rule, struct buf *problems)
{
	struct network network;
	enum class class = CLASS_UNKNOWN;
	bool judged;

	if (!rule->class || !rule->network)
		return; /* reported already */
	judged = !*rule->class || (class_from(rule->class, &class) && class != CLASS_LOCAL && class != CLASS_EGRESS);
	if (!judged)
		buf_printf(problems, "%s: tls.rules: class '%s': wanted submission, inbound-official, inbound-other or \"\"\n",
		    config->file, rule->class);
	if (*rule->network && !network_from(rule->network, &network))
		buf_printf(problems, "%s: tls.rules: network '%s': wanted a block such as \"192.0.2.0/24\", with no bit set behind "
		    "the prefix, or one address\n", config->file, rule->network);
	if (judged && rule->minimum < TLS_VERSION_1_2
	    && (!*rule->network || (class != CLASS_INBOUND_OFFICIAL && class != CLASS_INBOUND_OTHER)))
		buf_printf(problems, "%s: tls.rules: a minimum below TLSv1.2 needs a network, and class inbound-official or "
		    "inbound-other\n", config->file);
}

static void
check_tls_rules(const struct config *config, struct buf *problems)
{
	const struct tls_rule_setting *rules = config->tls.rules.rows;

	for (size_t i = 0; i < config->tls.rules.n; i++)
		check_tls_rule(config, &rules[i], problems);
	if (config->tls.ciphers.n == 0)
		buf_printf(problems, "%s: tls.ciphers: is empty, so nothing would count as TLS; wanted patterns such as \"TLS_*\"\n",
		    config->file);
}

/* Whose mail an address is must be told in one way. */
static void
check_local_address(const struct config *config, size_t row, size_t column, struct buf *problems)
{
	const struct local_sender_setting *rows = config->local.senders.rows;
	const char *address = rows[row].from.at[column];
	char form[LIMIT_ADDRESS_BYTES + 1] = "", other[LIMIT_ADDRESS_BYTES + 1];

	if (!address_normalise(address, true, form))
		buf_printf(problems, "%s: local.senders: '%s' is no address; wanted user@domain\n", config->file, address);
	else if (memchr(form, '+', strcspn(form, "@")))
		buf_printf(problems, "%s: local.senders: '%s': Postfix lets the login of '%.*s' claim it too; wanted an address without "
		    "an extension\n", config->file, address, (int)strcspn(form, "+"), form);
	for (size_t i = 0; i < row; i++)
		for (size_t j = 0; j < rows[i].from.n; j++)
			if (address_normalise(rows[i].from.at[j], true, other) && strcmp(other, form) == 0)
				buf_printf(problems, "%s: local.senders: '%s' is listed for '%s' and for '%s'; one of them only\n",
				    config->file, address, rows[i].user ? rows[i].user : "", rows[row].user ? rows[row].user : "");
}

static void
check_local_senders(const struct config *config, struct buf *problems)
{
	const struct local_sender_setting *rows = config->local.senders.rows;

	for (size_t i = 0; i < config->local.senders.n; i++) {
		if (rows[i].user && (!*rows[i].user || strpbrk(rows[i].user, " \t\r\n:,")))
			buf_printf(problems, "%s: local.senders: user '%s': wanted one UNIX login\n", config->file, rows[i].user);
		for (size_t j = 0; j < rows[i].from.n; j++)
			check_local_address(config, i, j, problems);
	}
}

/* It is one word of a request. */
static void
check_tlspol(const struct config *config, struct buf *problems)
{
	const char *map = config->tlspol.map;

	if (map && (!*map || map[strspn(map, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")] || strlen(map) > 64))
		buf_printf(problems, "%s: tlspol.map: '%s': wanted a name of letters, digits, dots and dashes\n", config->file, map);
}

static void
check_trust(const struct config *config, struct buf *problems)
{
	const char *proxy = config->trust.proxy;
	struct network network;

	for (size_t i = 0; i < config->trust.allow_private.n; i++)
		if (!network_from(config->trust.allow_private.at[i], &network))
			buf_printf(problems, "%s: trust.allow_private: '%s': wanted a block such as \"10.20.0.0/16\", with no bit set "
			    "behind the prefix, or one address\n", config->file, config->trust.allow_private.at[i]);
	if (proxy && *proxy && (strncmp(proxy, "http://", 7) != 0 || strpbrk(proxy, "@ ")))
		buf_printf(problems, "%s: trust.proxy: '%s': wanted \"http://HOST:PORT\" without a login\n", config->file, proxy);
}

/* What the type of a setting does not say, and what only shows when settings are read together. */
static void
check_across(struct config *config, struct buf *problems)
{
	const struct policy_setting *rows = config->policy.rows;

	table_defaults(&config->table);
	for (size_t i = 0; i < config->policy.n; i++)
		apply_policy_row(&config->table, &rows[i], config->file, problems);
	check_auth_types(config, problems);
	check_metrics(config, "submission", &config->submission.role, problems);
	check_metrics(config, "inbound", &config->inbound.role, problems);
	check_metrics(config, "local", &config->local.role, problems);
	check_metrics(config, "egress", &config->egress.role, problems);
	check_tls_rules(config, problems);
	check_local_senders(config, problems);
	check_tlspol(config, problems);
	check_trust(config, problems);
	config_check_quarantine(config, problems);
	config_check_split(config, problems);
	config_check_encrypt(config, problems);
	config_check_decrypt(config, problems);
}

static void
syntax_problem(const config_t *reader, const char *file, struct buf *problems)
{
	const char *source = config_error_file(reader);

	if (config_error_type(reader) == CONFIG_ERR_FILE_IO)
		buf_printf(problems, "%s: cannot be read: %m\n", file);
	else
		buf_printf(problems, "%s:%d: %s\n", source ? source : file, config_error_line(reader),
		    config_error_text(reader));
}

int
config_load(const char *file, struct config **ret, struct buf *problems)
{
	AUTO(config_free) struct config *config = xcalloc(1, sizeof(*config));
	const bool given = file != NULL;
	size_t before = problems->len;
	config_t reader;

	if (!file)
		file = "defaults";
	config->file = xstrdup(file);
	config_init(&reader);
	if (!(given ? config_read_file(&reader, file) : config_read_string(&reader, ""))) {
		syntax_problem(&reader, file, problems);
	} else {
		config_setting_t *root = config_root_setting(&reader);

		fill_groups(config, root);
		read_group(config, settings, "", root, file, problems);
		check_across(config, problems);
	}
	config_destroy(&reader);
	if (problems->len != before)
		return -1;
	*ret = TAKE(config);
	return 0;
}

int
config_err(const struct buf *problems, struct err *err)
{
	AUTO_BUF struct buf line = { 0 };

	buf_init(&line, sizeof(err->text));
	for (const char *at = buf_text(problems); *at;) {
		size_t len = strcspn(at, "\n");

		buf_printf(&line, "%s%.*s", line.len ? "; " : "", (int)len, at);
		at += len + (at[len] == '\n');
	}
	return err_set(err, ERR_CONFIG, "%s", buf_text(&line));
}

const struct keyd_key_setting *
config_keys(const struct config *config, size_t *n)
{
	*n = config->keyd.keys.n;
	return config->keyd.keys.rows;
}

static void dump_group(const void *base, const struct setting *table, const char *indent, struct buf *ret);

static void
dump_quoted(const char *text, struct buf *ret)
{
	buf_add_text(ret, "\"");
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			buf_add_text(ret, "\\");
		buf_add(ret, text, 1);
	}
	buf_add_text(ret, "\"");
}

static void
dump_texts(const struct text_list *list, struct buf *ret)
{
	buf_add_text(ret, "[");
	for (size_t i = 0; i < list->n; i++) {
		buf_add_text(ret, i ? ", " : " ");
		dump_quoted(list->at[i], ret);
	}
	buf_add_text(ret, " ]");
}

static void
dump_rows(const struct row_list *list, const struct setting *setting, struct buf *ret)
{
	buf_add_text(ret, "(");
	for (size_t i = 0; i < list->n; i++) {
		buf_add_text(ret, i ? ", {\n" : " {\n");
		dump_group((const char *)list->rows + i * setting->row_size, setting->row, "\t\t", ret);
		buf_add_text(ret, "\t}");
	}
	buf_add_text(ret, " )");
}

static void
dump_value(const void *at, const struct setting *setting, struct buf *ret)
{
	switch (setting->type) {
	case SETTING_TEXT:
		dump_quoted(*(char *const *)at, ret);
		return;
	case SETTING_BOOL:
		buf_add_text(ret, *(const bool *)at ? "true" : "false");
		return;
	case SETTING_NUMBER:
		buf_printf(ret, "%ld", *(const long *)at);
		return;
	case SETTING_SIZE:
		buf_printf(ret, "\"%ldB\"", *(const long *)at);
		return;
	case SETTING_DURATION:
		buf_printf(ret, "\"%ldms\"", *(const long *)at);
		return;
	case SETTING_CHOICE:
		dump_quoted(setting->choices[*(const long *)at], ret);
		return;
	case SETTING_TEXTS:
		dump_texts(at, ret);
		return;
	case SETTING_ROWS:
		dump_rows(at, setting, ret);
		return;
	}
}

/* Settings without a dot, each on a line. */
static void
dump_group(const void *base, const struct setting *table, const char *indent, struct buf *ret)
{
	for (; table->name; table++) {
		buf_printf(ret, "%s%s = ", indent, table->name);
		dump_value((const char *)base + table->offset, table, ret);
		buf_add_text(ret, ";\n");
	}
}

void
config_dump(const struct config *config, struct buf *ret)
{
	char group[64] = "";

	for (const struct setting *setting = settings; setting->name; setting++) {
		const char *dot = strchr(setting->name, '.');
		size_t len = dot ? (size_t)(dot - setting->name) : 0;

		if (strlen(group) != len || strncmp(setting->name, group, len) != 0) {
			if (*group)
				buf_add_text(ret, "};\n");
			snprintf(group, sizeof(group), "%.*s", (int)len, setting->name);
			if (*group)
				buf_printf(ret, "%s: {\n", group);
		}
		buf_printf(ret, "%s%s = ", *group ? "\t" : "", dot ? dot + 1 : setting->name);
		dump_value((const char *)config + setting->offset, setting, ret);
		buf_add_text(ret, ";\n");
	}
	if (*group)
		buf_add_text(ret, "};\n");
}

void
config_library(struct buf *ret)
{
	buf_printf(ret, "  libconfig %d.%d.%d\n", LIBCONFIG_VER_MAJOR, LIBCONFIG_VER_MINOR, LIBCONFIG_VER_REVISION);
}

long long
config_largest_sealed(const struct config *config)
{
	return config->encrypt.use ? config->limits.message_size * 2LL : config->limits.message_size / 2 * 3LL;
}

long long
config_largest(const struct config *config, bool handed_in)
{
	return handed_in ? config->limits.message_size : config_largest_sealed(config);
}
