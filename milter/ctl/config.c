/* segelctl config: check, dump and sample of the settings. */
#include "milter/ctl/ctl.h"
#include "milter/ctl/nouns.h"
#include "policy/setting.h"

enum { SETTINGS_BYTES = 1024 * 1024 };

static const char *
settings_file(struct ctl *ctl)
{
	if (ctl_arg(ctl, 0))
		return ctl_arg(ctl, 0);
	return ctl->config_file ? ctl->config_file : CONFIG_FILE;
}

static enum ctl_exit
load(struct ctl *ctl, struct config **ret)
{
	AUTO_BUF struct buf problems;

	buf_init(&problems, SETTINGS_BYTES);
	if (config_load(settings_file(ctl), ret, &problems) == 0)
		return CTL_OK;
	fputs(buf_text(&problems), ctl->err);
	return CTL_FALSE;
}

static enum ctl_exit
check(struct ctl *ctl)
{
	AUTO(config_free) struct config *config = NULL;
	enum ctl_exit result = load(ctl, &config);

	if (result == CTL_OK)
		fprintf(ctl->out, "%s: good\n", settings_file(ctl));
	return result;
}

static enum ctl_exit
dump(struct ctl *ctl)
{
	AUTO(config_free) struct config *config = NULL;
	AUTO_BUF struct buf text;
	enum ctl_exit result = load(ctl, &config);

	if (result != CTL_OK)
		return result;
	buf_init(&text, SETTINGS_BYTES);
	config_dump(config, &text);
	fputs(buf_text(&text), ctl->out);
	return CTL_OK;
}

static enum ctl_exit
sample(struct ctl *ctl)
{
	AUTO_BUF struct buf text;

	buf_init(&text, SETTINGS_BYTES);
	setting_sample(&text);
	fputs(buf_text(&text), ctl->out);
	return CTL_OK;
}

const struct ctl_command ctl_config_commands[] = {
	{ "check", CTL_PLAIN, { "[FILE]" }, NULL, "report every problem of the settings, with file and line", check },
	{ "dump", CTL_PLAIN, { "[FILE]" }, NULL, "print the effective settings, defaults included", dump },
	{ "sample", CTL_PLAIN, { NULL }, NULL, "print a commented settings file with every default", sample },
	{ .run = NULL },
};
