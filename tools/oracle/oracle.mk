# Fixtures of tests/data/oracle made anew by transformers, and the tests on real models that
# compare against them. Included by the Makefile.
#   IDEM_MODELS   folder with the three model files (default: where idem pull puts them)
#   ORACLE_PY     a python with transformers 5.23, torch 2.13, gguf, accelerate, sentencepiece,
#                 protobuf (default: a venv in $(BUILD)/oracle, made when missing; 5 GB)
XDG_CACHE_HOME ?= $(HOME)/.cache
IDEM_MODELS ?= $(XDG_CACHE_HOME)/idem/models
ORACLE_PY   ?= $(BUILD)/oracle/bin/python
ORACLE_PKGS := torch==2.13.0 transformers==5.23.0 gguf==0.19.0 accelerate sentencepiece protobuf numpy

.PHONY: oracle
oracle:
	@test -x $(ORACLE_PY) || { python3 -m venv $(BUILD)/oracle && \
	    $(BUILD)/oracle/bin/pip install -q $(ORACLE_PKGS); }
	$(ORACLE_PY) tools/oracle/make_fixtures.py $(IDEM_MODELS) tests/data/oracle

include bench/bench.mk
