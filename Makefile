# SPDX-License-Identifier: MIT
# idem: plain make. `make` builds $(BUILD)/idem and libidem, `make help` lists the targets.
#
# Variables: CC, BUILD (folder), OPT (optimisation), KERNEL_OPT (of src/kernels), EXTRA (more
# flags), PREFIX and DESTDIR (install), MODEL (demo), FUZZ_SECONDS (fuzz).
.DEFAULT_GOAL := all
.DELETE_ON_ERROR:

CC      ?= cc
BUILD   ?= build
OPT     ?= -O2
PREFIX  ?= /usr/local
VERSION := 0.1.0
SONAME  := libidem.so.0

# Libraries. libidem needs LIB_PKGS only.
LIB_PKGS   := libutf8proc libxxhash libcrypto
PKGS       := $(LIB_PKGS) sqlite3 libfyaml json-c libcurl libpcre2-8
PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
PKG_LIBS   := $(shell pkg-config --libs $(PKGS) 2>/dev/null)
LIB_LIBS   := $(shell pkg-config --libs $(LIB_PKGS) 2>/dev/null)
TEST_LIBS  := $(shell pkg-config --libs cmocka libpcre2-8 2>/dev/null)

# The flags that decide bits: no contraction, never fast-math, never -march=native.
BITS    := -std=c11 -ffp-contract=off -fno-fast-math
WARN    := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Werror
CPPFLAGS += -Isrc -Iinclude -D_GNU_SOURCE -DIDEM_VERSION='"$(VERSION)"' $(PKG_CFLAGS)
ALL_CFLAGS = $(BITS) $(OPT) -g -fPIC -pthread $(WARN) $(EXTRA)
ALL_LIBS = -Wl,--as-needed $(PKG_LIBS) -pthread -lm

ROOMS := base gguf kernels engine record sample perturb answer plan backend store run stats report convert cli
src_of = $(wildcard $(addsuffix /*.c,$(addprefix src/,$(1))))
obj_of = $(patsubst src/%.c,$(BUILD)/src/%.o,$(call src_of,$(1)))

LIB_ROOMS := base gguf kernels engine
LIB_OBJ := $(call obj_of,$(LIB_ROOMS))
ALL_OBJ := $(call obj_of,$(ROOMS))
include src/report/report.mk

# One set of machine flags per instruction set; a file of another machine's kernels is empty.
TARGET := $(shell $(CC) -dumpmachine)
ifneq ($(filter x86_64%,$(TARGET)),)
$(BUILD)/src/kernels/sse41.o: ISA := -msse4.1
$(BUILD)/src/kernels/avx2.o: ISA := -mavx2 -mfma -mf16c
$(BUILD)/src/kernels/avx512.o: ISA := -mavx2 -mfma -mf16c -mavx512f -mavx512bw -mavx512vl -mavx512vnni
endif
ifneq ($(filter aarch64%,$(TARGET)),)
$(BUILD)/src/kernels/neon.o: ISA := -march=armv8.2-a+dotprod
endif
$(BUILD)/src/kernels/%.o: OPT := $(if $(KERNEL_OPT),$(KERNEL_OPT),-O3)

.PHONY: all help deps demo test unit test-cli bits lint asan tsan install uninstall clean man
all: $(BUILD)/idem $(BUILD)/libidem.a $(BUILD)/libidem.so man

help:
	@echo 'make             the program, libidem, manual pages and completions in $(BUILD)/'
	@echo 'make demo        fetch a small model, run the first experiment, print the verdict'
	@echo '                 (MODEL=file.gguf: another model)'
	@echo 'make deps        Debian packages that everything here needs'
	@echo 'make test        unit tests and tests of the command line'
	@echo 'make check-statistics  how often intervals and tests are right, by simulation'
	@echo 'make check-pipeline    the same of what the report prints, on models known in closed form'
	@echo 'make test-models tests on the real models that "idem pull" has fetched'
	@echo 'make lint        include directions, lengths, headers, warnings of clang, shell scripts'
	@echo 'make asan, tsan  the tests under the sanitizers'
	@echo 'make fuzz        every fuzzer for FUZZ_SECONDS (60)'
	@echo 'make isa         the same bits by AVX2, AVX-512, SSE4.1 and NEON (cross-compiled, under qemu)'
	@echo 'make arch        fixtures of tests/data/arch anew, by transformers (ONLY=prefix)'
	@echo 'make test-peers  beside llama.cpp and transformers (LLAMA_CPP=folder ORACLE_PY=python)'
	@echo 'make bench-peers beside llama.cpp and transformers: docs/performance.md (ONLY, QUICK, LLAMA_CPP, ORACLE_PY)'
	@echo 'make oracle      fixtures of tests/data/oracle anew, by transformers (5 GB)'
	@echo 'make install     to PREFIX ($(PREFIX)), below DESTDIR; make uninstall removes it'
	@echo 'make clean       remove $(BUILD)/'

# ---- building -----------------------------------------------------------------------------------

$(BUILD)/src/%.o: src/%.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(ALL_CFLAGS) $(ISA) -MMD -MP -c -o $@ $<

# Both libraries show the names of idem.h only.
$(BUILD)/libidem.a: $(LIB_OBJ)
	@rm -f $@
	$(LD) -r -o $(BUILD)/libidem.o $^
	objcopy --wildcard --keep-global-symbol='idem_*' $(BUILD)/libidem.o
	ar rcs $@ $(BUILD)/libidem.o

$(BUILD)/libidem.so: $(LIB_OBJ) src/libidem.map
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) -shared -Wl,-soname,$(SONAME) -Wl,--version-script=src/libidem.map \
	    -o $@ $(LIB_OBJ) -Wl,--as-needed $(LIB_LIBS) -pthread -lm

$(BUILD)/idem: $(ALL_OBJ)
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(ALL_LIBS)

# Manual pages and completions come from the option tables in the program.
man: $(BUILD)/man/.done
$(BUILD)/man/.done: $(BUILD)/idem tools/man.sh
	tools/man.sh $(BUILD)/idem $(BUILD)/man $(BUILD)/completions
	@touch $@

$(BUILD)/idem.pc: idem.pc.in Makefile
	@mkdir -p $(@D)
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@VERSION@|$(VERSION)|' -e 's|@LIB_PKGS@|$(LIB_PKGS)|' $< > $@

# ---- tests --------------------------------------------------------------------------------------

# Unit tests: tests/unit/<room>_<what>.c links the rooms that <room> may include.
DEPS_cli     := $(ROOMS)
DEPS_base    := base
DEPS_gguf    := base gguf
DEPS_kernels := base kernels
DEPS_engine  := base gguf kernels engine
DEPS_sample  := base record sample
DEPS_perturb := base perturb
DEPS_answer  := base answer
DEPS_plan    := base record perturb answer plan
DEPS_store   := base record store
DEPS_stats   := base stats
DEPS_backend := base record gguf kernels engine backend
DEPS_run     := base record gguf kernels engine sample perturb answer plan backend store run
DEPS_convert := base gguf convert
DEPS_report  := base record store stats answer report
UNIT := $(patsubst tests/unit/%.c,%,$(wildcard tests/unit/*.c))
room = $(firstword $(subst _, ,$(1)))

.SECONDEXPANSION:
$(addprefix $(BUILD)/unit/,$(UNIT)): $(BUILD)/unit/%: tests/unit/%.c \
        $$(filter-out $(BUILD)/src/cli/main.o,$$(call obj_of,$$(DEPS_$$(call room,$$*))))
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -Itests $(ALL_CFLAGS) -MMD -MP -o $@ $< $(filter %.o,$^) $(LDFLAGS) $(TEST_LIBS) $(ALL_LIBS)

unit: $(addprefix $(BUILD)/unit/,$(UNIT))
	@failed=''; for t in $^; do echo "== $$t"; $$t || failed="$$failed $${t##*/}"; done; \
	    test -z "$$failed" || { echo "failed:$$failed"; exit 1; }

# The program from outside, one process per case; after the unit tests, so that the output stays
# apart. CLI: only these files or cases.
CLI ?=
test-cli: all | $(filter unit,$(MAKECMDGOALS))
	@python3 tests/cli/run.py $(BUILD) $(CLI)

# det_* have one digest whatever the compiler and its level.
bits:
	@tests/cli/detmath_bits.sh

test:
	@tools/deps.sh test
	@$(MAKE) --no-print-directory unit test-cli bits check-statistics-short

asan:
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/asan OPT=-O1 KERNEL_OPT=-O1 \
	    EXTRA='-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer' unit test-cli

# The tests that have threads in them.
tsan:
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/tsan OPT=-O1 KERNEL_OPT=-O2 \
	    EXTRA='-fsanitize=thread -fno-omit-frame-pointer' CLI='bits digest sampling thousand report interrupted' \
	    UNIT='$(filter engine_pool engine_session engine_same engine_model backend_% run_%,$(UNIT))' unit test-cli

lint: export LINT_FLAGS := $(CPPFLAGS)
lint:
	@tools/lint.sh '$(CC)'

# ---- for people ---------------------------------------------------------------------------------

deps:
	@tools/deps.sh all

# The folder of the demo's results; its database is carried on with, so a second demo is short.
DEMO ?= $(BUILD)/demo
demo:
	@tools/deps.sh build
	@$(MAKE) --no-print-directory -j2 $(BUILD)/idem
	@tools/demo.sh $(BUILD)/idem $(DEMO) $(if $(MODEL),'$(MODEL)')

install: all $(BUILD)/idem.pc
	@tools/install.sh $(BUILD) '$(DESTDIR)$(PREFIX)' $(VERSION) $(SONAME)

uninstall:
	@tools/install.sh --remove '$(DESTDIR)$(PREFIX)' $(VERSION) $(SONAME)

clean:
	rm -rf $(BUILD)

-include tests/fuzz/fuzz.mk tools/oracle/oracle.mk tests/peers/peers.mk tests/isa/isa.mk tests/stats/stats.mk
-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
