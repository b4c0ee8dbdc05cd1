# Fixtures of tests/data/{oracle,tokens,chat,beam} made anew by transformers, and the tests on real models.
# Included by the Makefile.
#   IDEM_MODELS   folder with the three model files (default: where `idem pull` puts them)
#   ORACLE_PY     a python with transformers 5.23, torch 2.13, gguf, accelerate, sentencepiece,
#                 protobuf (default: a venv in $(BUILD)/oracle, made when missing; 5 GB)
XDG_CACHE_HOME ?= $(HOME)/.cache
IDEM_MODELS ?= $(XDG_CACHE_HOME)/idem/models
ORACLE_PY   ?= $(BUILD)/oracle/bin/python
ORACLE_PKGS := torch==2.13.0 transformers==5.23.0 gguf==0.19.0 accelerate sentencepiece protobuf numpy unicodedata2==16.0.0

.PHONY: oracle arch oracle-sample test-models test-models-full same-builds broken-kernel
oracle:
	@test -x $(ORACLE_PY) || { python3 -m venv $(BUILD)/oracle && \
	    $(BUILD)/oracle/bin/pip install -q $(ORACLE_PKGS); }
	$(ORACLE_PY) tools/oracle/make_fixtures.py $(IDEM_MODELS) tests/data/oracle
	$(ORACLE_PY) tools/oracle_tokens.py $(IDEM_MODELS)
	$(ORACLE_PY) tools/oracle_chat.py
	$(ORACLE_PY) tools/oracle/make_beam.py tests/data/beam
	$(ORACLE_PY) tools/oracle_sample.py > tests/data/sample/hf.json.new
	mv tests/data/sample/hf.json.new tests/data/sample/hf.json

# The sampler against transformers' own processors on SAMPLE_CASES random cases (2 minutes).
SAMPLE_CASES ?= 40000
oracle-sample: $(BUILD)/peers/sampler_eval
	$(ORACLE_PY) tools/oracle_sample.py --compare $< --cases $(SAMPLE_CASES)

# Tiny models of every architecture with transformers' logits: tests/data/arch (docs/architectures.md).
# ONLY: those whose names begin so.
ONLY ?=
arch: $(BUILD)/idem
	@test -x $(ORACLE_PY) || { echo 'no $(ORACLE_PY): make oracle makes it, or name one by ORACLE_PY='; exit 1; }
	$(ORACLE_PY) tools/oracle/make_arch.py --converter $(BUILD)/idem --keep $(BUILD)/arch --only '$(ONLY)'

# A test that found no model ends with 77: skipped, not failed.
MODEL_TEST = IDEM=$(abspath $(BUILD))/idem IDEM_MODELS=$(IDEM_MODELS) python3 tests/models/$(1) \
             || { test $$? -eq 77 && echo "skipped: tests/models/$(firstword $(1))"; }

# The quick part, for every change: some minutes, SmolLM2 (and the fixtures of what else is there).
test-models: $(BUILD)/idem
	@$(call MODEL_TEST,tokens.py)
	@$(call MODEL_TEST,parity.py)
	@$(call MODEL_TEST,same_bits.py --quick)
	@$(call MODEL_TEST,thousand.py --count 20)
	@$(call MODEL_TEST,crash.py --kills 10)

# All of it, on all models: more than an hour on 2 cores.
test-models-full: $(BUILD)/idem
	@$(call MODEL_TEST,tokens.py)
	@$(call MODEL_TEST,parity.py)
	@$(call MODEL_TEST,same_bits.py)
	@$(call MODEL_TEST,thousand.py)
	@$(call MODEL_TEST,crash.py)

# GCC and clang at -O0, -O2 and -O3, each in a folder of its own.
same-builds:
	@IDEM_MODELS=$(IDEM_MODELS) python3 tests/models/same_builds.py --folder $(BUILD)/same

# A build with a broken kernel, which selftest and digest must notice.
broken-kernel:
	@tests/models/broken_kernel.sh $(abspath $(BUILD))/broken

include bench/bench.mk
