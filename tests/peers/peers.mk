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
test-peers: $(BUILD)/idem $(PEERS)/sampler_eval
	@$(call PEER_TEST,sampler_llama.py --eval $(PEERS)/sampler_eval)
	@$(call PEER_TEST,convert_llama.py --load --python $(ORACLE_PY) tests/data/convert $(CHECKPOINTS))

# The sampler as a filter; oracle-sample and sampler_llama.py run it.
$(PEERS)/sampler_eval: tests/peers/sampler_eval.c tests/unit/sample_json.h $$(call obj_of,base record sample)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -Itests $(ALL_CFLAGS) -MMD -MP -o $@ $< $(filter %.o,$^) $(LDFLAGS) $(ALL_LIBS)
