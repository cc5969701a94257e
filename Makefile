# Segel. Everything builds from Debian packages (contrib/packages).
#   make            the programs, in build/release
#   make check      every test, with ASan and UBSan; the session tests also with TSan
#   make fuzz       every fuzz target for a minute (FUZZ_SECONDS)
#   make bench      how fast it is, as ratios from one run (tests/bench)
#   make check-corpora CORPORA=FOLDER   verdicts on other people's test data
#   make soak       kills at random times under load: sealing; holding and releasing; segel-split
#   make lint       include arrows, libraries in one place, forbidden calls
#   make install DESTDIR= PREFIX=/usr/local
# V=1 shows the commands.

MODE ?= release
PREFIX ?= /usr/local
DESTDIR ?=
CC_fuzz = clang
CC = $(or $(CC_$(MODE)),gcc)
VERSION := 0.1.0
OUT := build/$(MODE)
Q := $(if $(V),,@)
SAY = @printf '  %-5s %s\n'

PKGS := gmime-3.0 libconfig sqlite3 libssl libcrypto jansson libidn2 libmicrohttpd libcurl
CFLAGS_release := -O2 -D_FORTIFY_SOURCE=2 -fstack-clash-protection -fcf-protection -ftrivial-auto-var-init=zero
CFLAGS_asan := -O1 -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
CFLAGS_tsan := -O1 -fsanitize=thread -fno-omit-frame-pointer
CFLAGS_fuzz := -O1 -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer \
	-Wno-unknown-warning-option
LDFLAGS_release := -pie -Wl,-z,relro,-z,now
LDFLAGS_asan := -fsanitize=address,undefined
LDFLAGS_tsan := -fsanitize=thread
LDFLAGS_fuzz := -fsanitize=address,undefined

# snprintf into a bounded array is how texts are cut here, so its warning about cutting is off.
WARN := -Wall -Wextra -Wshadow -Wswitch-enum -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
	-Wwrite-strings -Wvla -Wformat=2 -Wno-format-truncation -Werror
# Lines and functions are all that a sanitizer's report needs, and a fifth cheaper to compile; for a debugger: DEBUG=-g.
DEBUG = $(if $(filter release,$(MODE)),-g,-g1)
CFLAGS := -std=c17 -D_GNU_SOURCE $(DEBUG) -pthread -fPIE -fstack-protector-strong -I. $(WARN) \
	-DSEGEL_VERSION='"$(VERSION)"' $(CFLAGS_$(MODE)) $(shell pkg-config --cflags $(PKGS))
LDFLAGS := -pthread -Wl,--as-needed $(LDFLAGS_$(MODE))
LDLIBS := -lmilter $(shell pkg-config --libs $(PKGS)) -lresolv

PROGRAMS := segel-milter segel-keyd segel-reviewd segel-tlspol segel-split segelctl
MAIN_segel-milter := milter/filter/main.c
MAIN_segel-keyd := milter/keyd/main.c
MAIN_segel-reviewd := milter/reviewd/main.c
MAIN_segel-tlspol := milter/tlspol/main.c
MAIN_segel-split := milter/split/main.c
MAIN_segelctl := milter/ctl/main.c

MAINS := $(foreach p,$(PROGRAMS),$(MAIN_$(p)))
# What no fuzz target reads, and no test with threads, is not built for them: more than a quarter of the tree.
UNREAD_fuzz := $(filter-out milter/ctl/tally.c milter/ctl/maillog.c milter/preflight/smtp.c,$(wildcard milter/ctl/*.c milter/preflight/*.c))
UNREAD_tsan := $(UNREAD_fuzz)
SOURCES := $(filter-out $(MAINS) $(UNREAD_$(MODE)),$(wildcard smime/*.c policy/*.c policy/registry/*.c milter/*.c milter/*/*.c))
OBJECTS := $(SOURCES:%.c=$(OUT)/%.o)
LIBRARY := $(OUT)/libsegel.a

TEST_MAINS := $(sort $(shell find tests -name 'test_*.c'))
TESTS := $(TEST_MAINS:%.c=$(OUT)/%)
TEST_SUPPORT := $(filter-out %/main.c,$(sort $(shell find tests/support -name '*.c' 2>/dev/null)))
TOOLS := $(OUT)/tests/pki/mkpki $(OUT)/tests/pki/mkx509 $(OUT)/tests/pki/mkattack $(OUT)/tests/corpora/judge
FUZZERS := $(patsubst %.c,$(OUT)/%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
BENCHES := $(patsubst %.c,$(OUT)/%,$(sort $(wildcard tests/bench/*.c)))

all: $(PROGRAMS:%=$(OUT)/%)

$(OUT)/%.o: %.c
	@mkdir -p $(@D)
	$(SAY) CC $<
	$(Q)$(CC) $(CFLAGS) -MMD -MP -c $< -o $@

$(LIBRARY): $(OBJECTS)
	$(SAY) AR $@
	@rm -f $@
	$(Q)ar rcs $@ $^

define PROGRAM
$(OUT)/$(1): $(OUT)/$(MAIN_$(1):.c=.o) $(LIBRARY)
	$(SAY) LD $$@
	$(Q)$(CC) $(LDFLAGS) -o $$@ $$^ $(LDLIBS)
endef
$(foreach p,$(PROGRAMS),$(eval $(call PROGRAM,$(p))))

$(TESTS): $(OUT)/%: $(OUT)/%.o $(TEST_SUPPORT:%.c=$(OUT)/%.o) $(LIBRARY)
	$(SAY) LD $@
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS) -lcmocka

$(TOOLS): $(OUT)/%: $(OUT)/%.o $(OUT)/tests/support/forge.o $(LIBRARY)
	$(SAY) LD $@
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# Only with MODE=fuzz.
$(FUZZERS): $(OUT)/%: $(OUT)/%.o $(TEST_SUPPORT:%.c=$(OUT)/%.o) $(LIBRARY)
	$(SAY) LD $@
	$(Q)$(CC) $(LDFLAGS) -fsanitize=fuzzer -o $@ $^ $(LDLIBS)

$(BENCHES): $(OUT)/%: $(OUT)/%.o $(TEST_SUPPORT:%.c=$(OUT)/%.o) $(LIBRARY)
	$(SAY) LD $@
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS) -lssl

tools: $(TOOLS)
fuzzers: $(FUZZERS) $(TOOLS)
benches: $(BENCHES) $(TOOLS)
tests: $(TESTS) $(TOOLS) $(OUT)/tests/bench/signers

check:
	$(MAKE) MODE=asan all tests
	$(MAKE) MODE=tsan tsan-tests
	SEGEL_BUILD=$(CURDIR)/build/asan SEGEL_BUILD_TSAN=$(CURDIR)/build/tsan tests/run

# The tests that use threads, once more with the thread sanitizer.
THREADED := milter/audit/test_audit milter/filter/test_metrics milter/filter/test_poison milter/filter/test_replay milter/filter/test_session \
	milter/filter/test_trust_watch milter/keyd/test_threads milter/quarantine/test_deposit milter/quarantine/test_store_threads \
	milter/split/test_memory milter/tlspol/test_server smime/test_trust_threads
tsan-tests: $(addprefix $(OUT)/tests/,$(THREADED)) $(TOOLS)

fuzz:
	FUZZ_SECONDS=$(or $(FUZZ_SECONDS),60) tests/fuzz/test_fuzz.sh

bench:
	$(MAKE) MODE=release all benches
	/usr/bin/python3 tests/bench/bench.py

# Other people's test data, where somebody has it: CORPORA names the folder.
check-corpora:
	$(MAKE) MODE=asan tools
	SEGEL_BUILD=build/asan /usr/bin/python3 tests/corpora/check.py $(CORPORA)

soak:
	$(MAKE) MODE=release all tools
	SEGEL_BUILD=build/release /usr/bin/python3 tests/e2e/chaos.py --kills 1000
	SEGEL_BUILD=build/release /usr/bin/python3 tests/e2e/hold_chaos.py --kills 1000
	$(MAKE) MODE=release build/release/tests/smime/test_decrypt build/release/tests/smime/test_answer_time
	SEGEL_TAMPERED=10000 build/release/tests/smime/test_decrypt
	SEGEL_TAMPERED=10000 build/release/tests/smime/test_answer_time
	SEGEL_SPLIT_MESSAGES=2000 SEGEL_BUILD=build/release /usr/bin/python3 tests/e2e/test_split_mail.py "none is lost"

lint:
	tests/lint

# A text that names places: with those of this installation.
define INSTALL_TEXT
sed -e 's|@SBINDIR@|$(PREFIX)/sbin|g' -e 's|@BINDIR@|$(PREFIX)/bin|g' -e 's|/usr/share/doc/segel|$(PREFIX)/share/doc/segel|g' $(1) >$(DESTDIR)$(PREFIX)/$(2)
	chmod 0644 $(DESTDIR)$(PREFIX)/$(2)
	
endef

install: all
	install -d $(addprefix $(DESTDIR)$(PREFIX)/,sbin bin share/doc/segel/postfix share/doc/segel/sendmail share/man/man5 share/man/man7 share/man/man8 \
		lib/systemd/system lib/sysusers.d lib/tmpfiles.d)
	install -m 0755 $(OUT)/segel-milter $(OUT)/segel-keyd $(OUT)/segel-reviewd $(OUT)/segel-tlspol $(OUT)/segel-split $(DESTDIR)$(PREFIX)/sbin
	install -m 0755 $(OUT)/segelctl $(DESTDIR)$(PREFIX)/bin
	install -m 0644 README.md LICENSE contrib/segel.conf.sample $(DESTDIR)$(PREFIX)/share/doc/segel
	install -m 0644 $(wildcard contrib/postfix/*.cf) $(DESTDIR)$(PREFIX)/share/doc/segel/postfix
	install -m 0644 $(wildcard contrib/sendmail/*.m4) contrib/sendmail/README $(DESTDIR)$(PREFIX)/share/doc/segel/sendmail
	install -m 0644 contrib/sysusers.d/segel.conf $(DESTDIR)$(PREFIX)/lib/sysusers.d
	install -m 0644 contrib/tmpfiles.d/segel.conf $(DESTDIR)$(PREFIX)/lib/tmpfiles.d
	$(foreach p,$(wildcard contrib/man/*.[578]),$(call INSTALL_TEXT,$(p),share/man/man$(subst .,,$(suffix $(p)))/$(notdir $(p))))
	$(foreach u,$(wildcard contrib/systemd/*.in),$(call INSTALL_TEXT,$(u),lib/systemd/system/$(basename $(notdir $(u)))))

clean:
	rm -rf build

.PHONY: all tools tests tsan-tests fuzzers benches clean check check-corpora fuzz bench soak lint install
.SECONDARY:
-include $(shell find $(OUT) -name '*.d' 2>/dev/null)
