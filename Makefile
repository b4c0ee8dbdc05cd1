# idem: plain make. `make` builds build/idem and libidem; `make help` lists the targets.
# Variables: CC, BUILD (folder), OPT (optimisation), EXTRA (more flags), PREFIX.
.DEFAULT_GOAL := all

CC      ?= cc
BUILD   ?= build
OPT     ?= -O2
PREFIX  ?= /usr/local
VERSION := 0.1.0

PKGS    := sqlite3 libcurl libfyaml libpcre2-8 libutf8proc json-c libxxhash libcrypto
PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
PKG_LIBS   := $(shell pkg-config --libs $(PKGS) 2>/dev/null)

# The flags that decide bits: no contraction, never fast-math, never -march=native.
BITS    := -std=c11 -ffp-contract=off -fno-fast-math
WARN    := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Werror
CPPFLAGS += -Isrc -Iinclude -D_GNU_SOURCE -DIDEM_VERSION='"$(VERSION)"' $(PKG_CFLAGS)
ALL_CFLAGS = $(BITS) $(OPT) -g -fPIC -pthread $(WARN) $(EXTRA)
ALL_LIBS = $(PKG_LIBS) -pthread -lm

ROOMS := base gguf kernels engine record sample plan backend store run stats report cli
src_of = $(wildcard $(addsuffix /*.c,$(addprefix src/,$(1))))
obj_of = $(patsubst src/%.c,$(BUILD)/src/%.o,$(call src_of,$(1)))

LIB_ROOMS := base gguf kernels engine
LIB_OBJ := $(call obj_of,$(LIB_ROOMS))
ALL_OBJ := $(call obj_of,$(ROOMS))

# One set of machine flags per instruction-set file.
$(BUILD)/src/kernels/avx2.o: ISA := -mavx2 -mfma -mf16c
$(BUILD)/src/kernels/%.o: OPT := $(if $(KERNEL_OPT),$(KERNEL_OPT),-O3)

.PHONY: all clean test
all: $(BUILD)/idem $(BUILD)/libidem.a

$(BUILD)/src/%.o: src/%.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(ALL_CFLAGS) $(ISA) -MMD -MP -c -o $@ $<

$(BUILD)/libidem.a: $(LIB_OBJ)
	@rm -f $@
	ar rcs $@ $^

$(BUILD)/idem: $(ALL_OBJ)
	$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(ALL_LIBS)

# Unit tests: tests/unit/<room>_<what>.c links the rooms that <room> may include.
DEPS_base    := base
DEPS_gguf    := base gguf
DEPS_kernels := base kernels
DEPS_engine  := base gguf kernels engine
DEPS_sample  := base record sample
DEPS_plan    := base record plan
DEPS_store   := base record store
DEPS_stats   := base stats
DEPS_backend := base record gguf kernels engine backend
DEPS_run     := base record gguf kernels engine sample plan backend store run
DEPS_report  := base record store stats report
UNIT := $(patsubst tests/unit/%.c,%,$(wildcard tests/unit/*.c))
room = $(firstword $(subst _, ,$(1)))

.SECONDEXPANSION:
$(addprefix $(BUILD)/unit/,$(UNIT)): $(BUILD)/unit/%: tests/unit/%.c $$(call obj_of,$$(DEPS_$$(call room,$$*)))
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -Itests $(ALL_CFLAGS) -MMD -MP -o $@ $< $(filter %.o,$^) $(LDFLAGS) -lcmocka $(ALL_LIBS)

unit: $(addprefix $(BUILD)/unit/,$(UNIT))
	@for t in $^; do echo "== $$t"; $$t || exit 1; done

test: unit

include tests/fuzz/fuzz.mk

clean:
	rm -rf $(BUILD)

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
