# Measurements beside llama.cpp and the programs they need. Included by the Makefile.
#   LLAMA_CPP   folder of a built llama.cpp (include/, ggml/include, build/bin); only the programs
#               that compare with it need one
#   IDEM_MODELS folder with the model files (tests/models/common.py)
#   ORACLE_PY   a python with transformers (tools/oracle/oracle.mk)
BENCH := $(BUILD)/bench

$(BENCH)/kl: bench/kl.c
	@mkdir -p $(@D)
	$(CC) $(BITS) -O2 $(WARN) -o $@ $< -lm

$(BENCH)/logits $(BENCH)/speed $(BENCH)/positions: $(BENCH)/%: bench/%.c bench/measure.h $(BUILD)/libidem.a
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -o $@ $< $(BUILD)/libidem.a $(LDFLAGS) $(ALL_LIBS)

# These look inside: the objects, as the unit tests link them.
$(BENCH)/matmul $(BENCH)/profile: $(BENCH)/%: bench/%.c bench/measure.h $(LIB_OBJ)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -o $@ $< $(LIB_OBJ) $(LDFLAGS) $(ALL_LIBS)

$(BENCH)/matmul_peer: bench/matmul_peer.c bench/measure.h
	@test -n "$(LLAMA_CPP)" || { echo "give LLAMA_CPP=folder of a built llama.cpp" >&2; exit 2; }
	@mkdir -p $(@D)
	$(CC) $(BITS) -D_GNU_SOURCE -O2 $(WARN) -I$(LLAMA_CPP)/ggml/include -o $@ $< \
	    -L$(LLAMA_CPP)/build/bin -lggml -lggml-cpu -lggml-base -lm -Wl,-rpath,$(abspath $(LLAMA_CPP))/build/bin

$(BENCH)/llama_logits: bench/llama_logits.c
	@test -n "$(LLAMA_CPP)" || { echo "give LLAMA_CPP=folder of a built llama.cpp" >&2; exit 2; }
	@mkdir -p $(@D)
	$(CC) -std=c11 -O2 -Wall -Wextra -I$(LLAMA_CPP)/include -I$(LLAMA_CPP)/ggml/include -o $@ $< \
	    -L$(LLAMA_CPP)/build/bin -lllama -lggml -lggml-base -Wl,-rpath,$(abspath $(LLAMA_CPP))/build/bin

.PHONY: bench-programs bench-kl bench-speed bench-types bench-first bench-size
bench-programs: $(addprefix $(BENCH)/,kl logits speed positions matmul profile) $(if $(LLAMA_CPP),$(BENCH)/llama_logits $(BENCH)/matmul_peer)
bench-kl: bench-programs $(BENCH)/llama_logits
	python3 bench/kl.py --bench $(BENCH)
bench-speed: $(BENCH)/speed
	@test -n "$(LLAMA_CPP)" || { echo "give LLAMA_CPP=folder of a built llama.cpp" >&2; exit 2; }
	python3 bench/speed.py --bench $(BENCH) --llama $(LLAMA_CPP)/build/bin
# MODEL: a file that llama-quantize can make each type of, such as an F16 one.
bench-types: bench-programs $(BENCH)/llama_logits
	@test -n "$(MODEL)" || { echo "give MODEL=file.gguf" >&2; exit 2; }
	python3 bench/weight_types.py --bench $(BENCH) --llama $(LLAMA_CPP)/build/bin '$(MODEL)'
bench-size: $(BENCH)/positions $(BUILD)/idem
	IDEM=$(BUILD)/idem python3 bench/size.py --bench $(BENCH)
bench-first: $(BUILD)/idem
	IDEM=$(BUILD)/idem python3 bench/first_token.py

# Everything of docs/performance.md (bench/peers.py has the options: ONLY ROUNDS QUICK FRESH GET PAGE).
.PHONY: bench-peers
bench-peers: $(BENCH)/speed $(BENCH)/positions $(BENCH)/matmul $(BENCH)/profile $(BUILD)/idem
	@IDEM=$(abspath $(BUILD))/idem IDEM_MODELS=$(IDEM_MODELS) LLAMA_CPP='$(LLAMA_CPP)' CC='$(CC)' \
	    ORACLE_PY='$(if $(wildcard $(ORACLE_PY)),$(abspath $(ORACLE_PY)))' \
	    ONLY='$(ONLY)' ROUNDS='$(ROUNDS)' QUICK='$(QUICK)' FRESH='$(FRESH)' GET='$(GET)' \
	    python3 bench/peers.py --bench $(BENCH) $(if $(PAGE),--page '$(PAGE)')
