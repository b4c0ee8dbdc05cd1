# SPDX-License-Identifier: MIT
# make test-peers: idem beside other programs that do the same. Included by the Makefile; a
# comparison without its peer ends with 77: skipped, not failed. To add one, write the script and
# append `@$(call PEER_TEST,name.py …)` to test-peers.
#   LLAMA_CPP   folder of a built llama.cpp (build/bin/llama-server, convert_hf_to_gguf.py)
#   IDEM_MODELS folder with the model files (tools/oracle/oracle.mk)
#   CHECKPOINTS folder with the checkpoints of every architecture (default: where make arch keeps them)
PEERS := $(BUILD)/peers
CHECKPOINTS ?= $(BUILD)/arch

PEER_TEST = IDEM=$(abspath $(BUILD))/idem IDEM_MODELS=$(IDEM_MODELS) LLAMA_CPP=$(LLAMA_CPP) \
            python3 tests/peers/$(1) \
            || { test $$? -eq 77 && echo "skipped: tests/peers/$(firstword $(1))"; }

.PHONY: test-peers
test-peers: $(BUILD)/idem $(PEERS)/sampler_eval $(PEERS)/tok_batch
	@$(call PEER_TEST,sampler_llama.py --eval $(PEERS)/sampler_eval)
	@$(call PEER_TEST,tokenizers_convert.py $(PEERS)/tok_batch)
	@$(call PEER_TEST,tokenizers_fuzz.py $(PEERS)/tok_batch --python $(ORACLE_PY) --texts 30000 --no-probe)
	@$(call PEER_TEST,convert_llama.py --load --python $(ORACLE_PY) tests/data/convert $(CHECKPOINTS))

# A million random texts through idem's tokenizer and the tokenizers package: a quarter of an hour.
TOK_TEXTS ?= 1000000
.PHONY: test-tokenizers
test-tokenizers: $(PEERS)/tok_batch
	@$(ORACLE_PY) tests/peers/tokenizers_fuzz.py $< --texts $(TOK_TEXTS)

# Many texts through one process, by libidem.
$(PEERS)/tok_batch: tests/peers/tok_batch.c $(LIB_OBJ)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -o $@ $< $(LIB_OBJ) $(LDFLAGS) $(ALL_LIBS)

# The sampler as a filter; oracle-sample and sampler_llama.py run it.
$(PEERS)/sampler_eval: tests/peers/sampler_eval.c tests/unit/sample_json.h $$(call obj_of,base record sample)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -Itests $(ALL_CFLAGS) -MMD -MP -o $@ $< $(filter %.o,$^) $(LDFLAGS) $(ALL_LIBS)

# tests/data/convert anew, with the digests of what LLAMA_CPP's converter writes.
.PHONY: convert-fixtures
convert-fixtures:
	LLAMA_CPP=$(LLAMA_CPP) $(ORACLE_PY) tools/oracle/make_convert.py
