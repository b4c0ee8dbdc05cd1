# SPDX-License-Identifier: MIT
# make fuzz: every target of this folder under clang's libFuzzer with AddressSanitizer and
# UBSan, FUZZ_SECONDS each, from the seeds named here. What it finds stays in $(BUILD)/fuzz.
FUZZ_SECONDS ?= 60
FUZZ_CC      ?= clang
FUZZ_FLAGS   := -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined
FUZZERS      := $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/fuzz_*.c))

# the rooms each target links; its seeds; more arguments
DEPS_fuzz_gguf        := base gguf
SEEDS_fuzz_gguf       := tests/data/malformed
DEPS_fuzz_tokenizer   := base gguf kernels engine
SEEDS_fuzz_tokenizer  := tests/fuzz/corpus/tokenizer
ARGS_fuzz_tokenizer   := -dict=tests/fuzz/tokenizer.dict
DEPS_fuzz_model       := base gguf kernels engine
ARGS_fuzz_model       := -max_len=16384 -len_control=0
DEPS_fuzz_experiment  := base record perturb answer plan
SEEDS_fuzz_experiment := tests/fuzz/corpus/experiment
ARGS_fuzz_experiment  := -dict=tests/fuzz/experiment.dict
DEPS_fuzz_perturb     := base perturb
SEEDS_fuzz_perturb    := tests/fuzz/corpus/perturb
DEPS_fuzz_answer      := base answer
DEPS_fuzz_table       := base record perturb answer plan
SEEDS_fuzz_table      := tests/data/plan/tables
DEPS_fuzz_safetensors := base gguf convert
SEEDS_fuzz_safetensors := tests/data/convert/llama3-json
DEPS_fuzz_convert     := base gguf convert
ARGS_fuzz_convert     := -max_len=64 -len_control=0
DEPS_fuzz_chat        := base gguf kernels engine
SEEDS_fuzz_chat       := tests/data/templates
ARGS_fuzz_chat        := -dict=tests/fuzz/chat.dict

.PHONY: fuzz fuzz-build $(addprefix run-,$(FUZZERS))
fuzz: $(addprefix run-,$(FUZZERS))

# The objects are built by this same Makefile, with other flags in another folder.
fuzz-build:
	@$(MAKE) --no-print-directory CC=$(FUZZ_CC) BUILD=$(BUILD)/fuzz EXTRA="$(FUZZ_FLAGS)" \
	    $(addprefix $(BUILD)/fuzz/,$(FUZZERS))

$(addprefix $(BUILD)/,$(FUZZERS)): $(BUILD)/%: tests/fuzz/%.c $$(call obj_of,$$(DEPS_$$*))
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -Itests $(ALL_CFLAGS) -fsanitize=fuzzer -MMD -MP -o $@ $< $(filter %.o,$^) $(LDFLAGS) $(ALL_LIBS)

$(addprefix run-,$(FUZZERS)): run-%: fuzz-build
	@mkdir -p $(BUILD)/fuzz/new-$*
	@echo "== $* for $(FUZZ_SECONDS) s"
	@$(BUILD)/fuzz/$* -max_total_time=$(FUZZ_SECONDS) -max_len=8192 -timeout=10 -rss_limit_mb=2048 \
	    -print_final_stats=1 -artifact_prefix=$(BUILD)/fuzz/ $(ARGS_$*) $(BUILD)/fuzz/new-$* $(SEEDS_$*) \
	    > $(BUILD)/fuzz/$*.log 2>&1 || { tail -n 60 $(BUILD)/fuzz/$*.log; exit 1; }
	@grep stat::number_of_executed_units $(BUILD)/fuzz/$*.log
