/* Help: the tables as text. */
#include <string.h>

#include "milter/ctl/frame.h"

static void
print_options(FILE *out, const struct ctl_option *options)
{
	for (const struct ctl_option *o = options; o && o->name; o++) {
		AUTO(xfree) char *left = xasprintf("--%s%s%s%s", o->name, o->meta ? " " : "", o->meta ? o->meta : "",
		    o->many ? "..." : "");

		fprintf(out, "  %-24s %s%s\n", left, o->help, o->required ? " (required)" : "");
	}
}

static void
print_usage(FILE *out, const struct ctl_noun *noun, const struct ctl_command *command)
{
	fprintf(out, "segelctl %s%s%s", noun->name, *command->verb ? " " : "", command->verb);
	for (size_t i = 0; i < CTL_MAX_POSITIONAL && command->positional[i]; i++)
		fprintf(out, " %s", command->positional[i]);
	for (const struct ctl_option *o = command->options; o && o->name; o++)
		if (o->required)
			fprintf(out, " --%s %s%s", o->name, o->meta ? o->meta : "", o->many ? "..." : "");
	fputc('\n', out);
}

static void
help_command(FILE *out, const struct ctl_noun *noun, const struct ctl_command *command)
{
	fputs("Usage: ", out);
	print_usage(out, noun, command);
	fprintf(out, "\n%s\n\nOptions:\n", command->help);
	print_options(out, command->options);
	print_options(out, frame_mode_options(command->mode));
	print_options(out, frame_options());
}

static void
print_commands(FILE *out, const struct ctl_noun *noun, const struct ctl_command *from)
{
	for (const struct ctl_command *c = from; c->run; c++) {
		fputs("  ", out);
		print_usage(out, noun, c);
		fprintf(out, "      %s\n", c->help);
	}
}

/* A noun that is a command by itself may have verbs beside it. */
static void
help_whole(FILE *out, const struct ctl_noun *noun)
{
	help_command(out, noun, &noun->commands[0]);
	if (!noun->commands[1].run)
		return;
	fputs("\nAnd these:\n", out);
	print_commands(out, noun, &noun->commands[1]);
}

static void
help_noun(FILE *out, const struct ctl_noun *noun)
{
	fprintf(out, "segelctl %s: %s\n\n", noun->name, noun->help);
	print_commands(out, noun, noun->commands);
	fputs("\nsegelctl ... --help after a verb shows its options.\n", out);
}

static void
print_verbs(FILE *out, const struct ctl_noun *noun)
{
	const char *between = " ";

	for (const struct ctl_command *c = noun->commands; c->run; c++) {
		if (*c->verb == '\0')
			continue;
		fprintf(out, "%s%s", between, c->verb);
		between = "|";
	}
}

static void
help_all(FILE *out, const struct ctl_noun *nouns)
{
	fputs("Usage: segelctl [-c FILE] [--registry FILE] NOUN VERB [ARGS] [--json] [--dry-run]\n\n", out);
	for (const struct ctl_noun *n = nouns; n->name; n++) {
		fprintf(out, "  %s", n->name);
		print_verbs(out, n);
		fprintf(out, "\n      %s\n", n->help);
	}
	fputs("\nOptions:\n", out);
	print_options(out, frame_options());
	fputs("\nExit: 0 ok, 1 no or not found, 2 usage, 3 refused by a rule, 4 unavailable.\n", out);
}

void
frame_help(const struct ctl *ctl, const struct ctl_noun *nouns)
{
	if (ctl->command && ctl->command == ctl->noun->commands && !*ctl->command->verb)
		help_whole(ctl->out, ctl->noun);
	else if (ctl->command)
		help_command(ctl->out, ctl->noun, ctl->command);
	else if (ctl->noun)
		help_noun(ctl->out, ctl->noun);
	else
		help_all(ctl->out, nouns);
}
