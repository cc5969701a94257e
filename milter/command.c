#include "milter/command.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "milter/daemon.h"
#include "milter/log.h"

enum { SETTINGS_BYTES = 1024 * 1024 };

/* What is wanted of the program. */
enum wanted { SERVE, CHECK, SETTINGS, VERSION, HELP, WRONG };

static enum wanted
read_line(const struct command *command, int argc, char **argv, struct command_line *ret)
{
	static const struct option longs[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "pretend", no_argument, NULL, 'p' },
		{ NULL, 0, NULL, 0 },
	};
	enum wanted wanted = SERVE;
	int c;

	*ret = (struct command_line){ .file = CONFIG_FILE };
	while ((c = getopt_long(argc, argv, command->roles ? "c:r:nfdVh" : "c:nfdVh", longs, NULL)) != -1) {
		switch (c) {
		case 'c': ret->file = optarg; break;
		case 'r': ret->role = optarg; break;
		case 'f': ret->foreground = true; break;
		case 'p': ret->pretend = true; break;
		case 'n': wanted = wanted == SERVE ? CHECK : wanted; break;
		case 'd': wanted = wanted <= CHECK ? SETTINGS : wanted; break;
		case 'V': wanted = wanted <= SETTINGS ? VERSION : wanted; break;
		case 'h': return HELP;
		default: return WRONG;
		}
	}
	return optind == argc && (command->roles || !ret->pretend) ? wanted : WRONG;
}

static int
print_version(const struct command *command)
{
	AUTO_BUF struct buf text = { 0 };

	buf_init(&text, 1024);
	for (size_t i = 0; command->libraries[i]; i++)
		command->libraries[i](&text);
	printf("%s %s\n%s", command->program, SEGEL_VERSION, buf_text(&text));
	return EXIT_SUCCESS;
}

static int
print_settings(const char *file)
{
	AUTO(config_free) struct config *config = NULL;
	AUTO_BUF struct buf text = { 0 };
	int result;

	buf_init(&text, SETTINGS_BYTES);
	result = config_load(file, &config, &text);
	if (result == 0)
		config_dump(config, &text);
	fputs(buf_text(&text), result == 0 ? stdout : stderr);
	return result == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int
command_main(const struct command *command, int argc, char **argv)
{
	struct command_line line;

	switch (read_line(command, argc, argv, &line)) {
	case SERVE:
		return command->serve(&line);
	case CHECK:
		return command->check(&line);
	case SETTINGS:
		return print_settings(line.file);
	case VERSION:
		return print_version(command);
	case HELP:
		fputs(command->usage, stdout);
		return EXIT_SUCCESS;
	case WRONG:
		break;
	}
	fputs(command->usage, stderr);
	return COMMAND_WRONG;
}

int
command_checked(const char *program, const char *file, int result, const struct err *err)
{
	if (result == -1)
		return daemon_failed(program, err);
	printf("%s: good\n", file);
	return EXIT_SUCCESS;
}

int
command_config(const char *file, struct config **ret, struct err *err)
{
	AUTO_BUF struct buf problems = { 0 };

	buf_init(&problems, 64 * 1024);
	if (config_load(file, ret, &problems) == -1)
		return config_err(&problems, err);
	return 0;
}

int
command_begin(const struct command_line *line, char **file, struct err *err)
{
	*file = realpath(line->file, NULL);
	if (!*file)
		return err_set(err, ERR_CONFIG, "cannot read '%s': %s", line->file, strerror(errno));
	if (!line->foreground && daemon_detach(err) == -1)
		return -1;
	signal(SIGXFSZ, SIG_IGN); /* a limit on file size is a failed write, not the end */
	return daemon_signals_block(err);
}

void
command_log(const char *program, const struct command_line *line, const struct config *config)
{
	log_open(program, line->foreground ? LOG_TO_STDERR : (enum log_target)config->log.target, (enum log_level)config->log.level);
}
