# SPDX-License-Identifier: MIT
# make isa: the kernels of every instruction set, and whole models by them, on this x86-64 machine, on
# one without AVX, and on AArch64, by qemu-user; all bits must be the same. Included by the Makefile.
#   ISA_CC   compiler for AArch64 (tools/deps.sh isa installs it, qemu and the libraries)
ISA_CC ?= aarch64-linux-gnu-gcc

.PHONY: isa
isa:
	@tools/deps.sh isa
	@$(MAKE) --no-print-directory $(BUILD)/isa/isa_digest $(BUILD)/isa/isa_fma
	@$(MAKE) --no-print-directory CC=$(ISA_CC) PKG_CFLAGS= BUILD=$(BUILD)/aarch64 $(BUILD)/aarch64/isa/isa_digest
	@tests/isa/compare.sh $(BUILD)/isa $(BUILD)/aarch64/isa

$(BUILD)/isa/isa_digest: tests/isa/isa_digest.c $(LIB_OBJ)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -Itests $(ALL_CFLAGS) -MMD -MP -o $@ $< $(LIB_OBJ) $(LDFLAGS) $(LIB_LIBS) -pthread -lm

$(BUILD)/isa/isa_fma: tests/isa/isa_fma.c $(call obj_of,base kernels)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -msse4.1 -MMD -MP -o $@ $< $(filter %.o,$^) $(LDFLAGS) $(LIB_LIBS) -pthread -lm
