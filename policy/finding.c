#include "policy/finding.h"

#include <stdarg.h>
#include <stdio.h>

void
finding_add(struct findings *findings, enum reason reason, const char *fmt, ...)
{
	struct finding *finding;
	va_list args;

	if (findings->n == MAX_FINDINGS) {
		findings->overflow = true;
		return;
	}
	finding = &findings->at[findings->n++];
	finding->reason = reason;
	va_start(args, fmt);
	vsnprintf(finding->evidence, sizeof(finding->evidence), fmt, args);
	va_end(args);
	for (char *c = finding->evidence; *c; c++)
		if (*c < 0x20 || *c > 0x7e)
			*c = '?';
}
