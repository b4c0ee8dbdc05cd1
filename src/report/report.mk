# The page's style and script, embedded in the binary.
WEB := web/report.css web/report.js
WEB_OBJ := $(BUILD)/src/report/assets.o
ALL_OBJ += $(WEB_OBJ)

$(BUILD)/src/report/assets.c: tools/embed.sh $(WEB)
	@mkdir -p $(@D)
	sh tools/embed.sh $(WEB) > $@.tmp
	@mv $@.tmp $@

$(WEB_OBJ): $(BUILD)/src/report/assets.c
	$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -c -o $@ $<

# Unit tests that link the room need the assets too.
$(patsubst tests/unit/%.c,$(BUILD)/unit/%,$(wildcard tests/unit/report_*.c tests/unit/cli_*.c)): $(WEB_OBJ)
