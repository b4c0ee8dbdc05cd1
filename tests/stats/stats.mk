# SPDX-License-Identifier: MIT
# Simulation of the intervals and tests of src/stats: `make check-statistics` (RUNS=1000; ONLY='words
# of the lines to run').
RUNS ?= 1000
CHECK_STATISTICS := $(BUILD)/check_statistics

$(CHECK_STATISTICS): $(wildcard tests/stats/*.c) tests/stats/check.h $(call obj_of,base stats)
	$(CC) $(CPPFLAGS) -Itests $(ALL_CFLAGS) -o $@ $(filter %.c %.o,$^) $(LDFLAGS) $(ALL_LIBS)

.PHONY: check-statistics check-statistics-short
check-statistics: $(CHECK_STATISTICS)
	@$(CHECK_STATISTICS) $(RUNS) $(ONLY)

# For `make test`: every line once more, with fewer runs and wider bars.
check-statistics-short: $(CHECK_STATISTICS)
	@$(CHECK_STATISTICS) 60 > $(BUILD)/check_statistics.txt || { cat $(BUILD)/check_statistics.txt; exit 1; }
	@tail -1 $(BUILD)/check_statistics.txt
	@$(MAKE) --no-print-directory check-pipeline RUNS=40

# Writes models whose next-token distribution is known in closed form (tests/bigram_model.h).
$(BUILD)/make_bigram: tests/bigram/make_bigram.c tests/bigram_model.h tests/gguf_write.h $(call obj_of,base)
	$(CC) $(CPPFLAGS) -Itests $(ALL_CFLAGS) -o $@ $(filter %.c %.o,$^) $(LDFLAGS) $(ALL_LIBS)

# The whole program against such models: plan, run, store and report (RUNS=1000: a minute).
.PHONY: check-pipeline
check-pipeline: $(BUILD)/idem $(BUILD)/make_bigram
	@python3 tests/bigram/check_pipeline.py $(BUILD) $(RUNS)
