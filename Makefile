# `make demo` and `make test` each work alone on a fresh clone; `make setup`, which they run, does nothing when nothing changed.

PYTHON := .venv/bin/python

.PHONY: help setup demo test check bench soak generate build lock
.DEFAULT_GOAL := help

help:
	@echo "make demo      a peer, a bootstrap and the page, with a link to open"
	@echo "make test      every test: the JavaScript client's, then Python's and the browsers'"
	@echo "make check     formatters, linters, types, imports, generated files"
	@echo "make bench     the benchmarks, beside raw aiortc in the same run"
	@echo "make soak      the long tests: many more cases, for hours if asked"
	@echo "make setup     what all of these need; they run it themselves"
	@echo "make generate  the files made from schemas/"
	@echo "make build     the wheel and the source archive, in dist/"
	@echo "make lock      the lock files, anew"

setup:
	@bash tools/setup.sh

demo: setup
	.venv/bin/rtcrpc demo

# Both run, whatever becomes of the first, so that one look shows all that is wrong.
test: setup
	@status=0; npm --prefix js-client test || status=1; $(PYTHON) -m pytest || status=1; exit $$status

check: setup
	bash tools/check.sh

bench: setup
	$(PYTHON) -m benchmarks

soak: setup
	$(PYTHON) -m pytest --hypothesis-profile=soak --timeout 0

generate: setup
	$(PYTHON) tools/generate_constants.py
	$(PYTHON) tools/make_vectors.py

build: setup
	$(PYTHON) -m build --no-isolation

lock:
	bash tools/lock.sh
