# Two commands do everything: `make book` builds the book, `make test` tests all there is and
# builds it. Both start from a fresh clone: they make .venv and install requirements.txt into it.
#
#   VENV=none         use the Python at hand (PYTHON) and install nothing, as in a container
#   DEVICE=cuda       run the torch side of the checks on a GPU, and insist that it was used
#   EDITION=2026.1    build the pages as that edition, to be published at /2026.1/
#   TORCH_INDEX=URL   another index to take torch from, such as the one with the CPU-only builds
#   JOBS=N            pages executed at a time (as many as there are cores)
#   COURSE=FOLDER     where `make assignments` puts the labs, and learners' work will lie
#   SOLUTIONS=none    leave every solution out of the pages, and of all that is made of them
#   NOTEBOOKS=PART    of `make notebooks`: only those whose path contains this
#   PAPER=letter      the size of the PDF's paper, if not A4

PYTHON ?= python3
VENV ?= .venv
DEVICE ?= cpu
JOBS ?= 0
SOLUTIONS ?=
COURSE ?= _build/assignments
TORCH_INDEX ?=
PORT ?= 8000
EDITION ?= latest
PAPER ?= a4

ifeq ($(VENV),none)
PY := $(PYTHON)
READY := needs
else
PY := $(VENV)/bin/python
READY := $(VENV)/.installed
endif

# Also without installing the packages of src/, and also in a page's kernel.
export PYTHONPATH := $(CURDIR)/src$(if $(PYTHONPATH),:$(PYTHONPATH))
BOOK := $(PY) -m mathdl_book
BUILD := $(BOOK) build --device $(DEVICE) --jobs $(JOBS)$(if $(SOLUTIONS), --solutions $(SOLUTIONS))
PAPERS := $(PY) -m mathdl_book.paper

.PHONY: help book test unit gates live site notebooks edition pdf epub offline serve lab assignments permalinks bench lock clean needs
.DEFAULT_GOAL := help

help:
	@echo 'make book    build the book into _build/html (DEVICE=cuda, VENV=none, JOBS=N, SOLUTIONS=none)'
	@echo 'make test    style, unit tests, doctests, tests of the gates, then the book itself'
	@echo 'make live    run every cell of the built book in a browser, and compare it with the page'
	@echo 'make site    open every page and slide of the built book in Chromium and look what is wrong'
	@echo 'make notebooks run every notebook as a reader gets it, on its own and in JupyterLab'
	@echo 'make edition build the book as EDITION=latest, and put it into _build/editions beside others'
	@echo 'make lighthouse measure four pages of it as a phone and a desktop would open them'
	@echo 'make pdf     print the built book into _build/paper (PAPER=letter)'
	@echo 'make epub    make an e-book of it, beside the PDF'
	@echo 'make offline put both into the built site, with a link to them on every page'
	@echo 'make serve   build, serve, and build again at every change (PORT=8000)'
	@echo 'make lab     open the chapters in JupyterLab'
	@echo 'make assignments the labs for nbgrader, solved, to fill in and tested, in COURSE=FOLDER'
	@echo 'make permalinks add what the last build made new to the links that must last'
	@echo 'make bench   measure how long builds take, each beside its peer'
	@echo 'make lock    compile requirements.txt from the ranges in pyproject.toml'
	@echo 'make clean   remove what builds have made (not $(VENV))'

book: $(READY)
	@$(BUILD)

test: unit gates
	@$(BUILD)

# One thread for each test process: pytest runs as many as there are cores.
unit: $(READY)
	$(PY) -m ruff check src tests benchmarks
	$(PY) -m ruff format --check src tests benchmarks
	OMP_NUM_THREADS=1 $(PY) -m pytest -q -n auto --dist worksteal --ignore=tests/gates

gates: unit
	OMP_NUM_THREADS=1 $(PY) -m pytest -q -n auto tests/gates

# Every NumPy cell in Chromium; only pages that have changed since their last good run.
live: book
	$(PY) tests/live/compare.py

# Every page and every slide of the built book in Chromium: for everyone, quiet, narrow, light.
site: $(READY)
	OMP_NUM_THREADS=1 MATHDL_SITE=_build/html $(PY) -m pytest -q -n auto --dist worksteal tests/site tests/slides

# As a host serves it: http://localhost:8000/ after `python -m http.server -d _build/editions`.
edition: $(READY)
	@MATHDL_EDITION=$(EDITION) $(BOOK) build --device $(DEVICE) --jobs $(JOBS)
	@$(PY) -m mathdl_book.editions assemble _build/html --edition $(EDITION) --into _build/editions

# Node's programs are installed into _build on first use, as locked in tests/site.
lighthouse: $(READY)
	$(PY) tests/site/lighthouse.py

# The whole book for paper and for readers of e-books, from the built pages, through Chromium.
pdf: book
	@$(PAPERS) pdf --size $(PAPER) --jobs $(JOBS)

epub: book
	@$(PAPERS) epub

offline: pdf epub
	@$(PAPERS) publish

serve: $(READY)
	@$(BOOK) serve --device $(DEVICE) --jobs $(JOBS) --port $(PORT)$(if $(SOLUTIONS), --solutions $(SOLUTIONS))

# In an environment made from .binder/requirements.txt: every notebook by itself, then JupyterLab.
notebooks: book
	$(PY) tests/launch/execute.py $(NOTEBOOKS)
	MATHDL_LAUNCH=_build/launch $(PY) -m pytest -q tests/launch/test_jupyterlab.py

# The settings of Binder, for this folder only: pages open as notebooks, not as text.
lab: $(READY)
	@mkdir -p _build/lab
	@PATH="`$(PY) -c 'import sysconfig; print(sysconfig.get_path("scripts"))'`:$$PATH" \
	  JUPYTER_CONFIG_DIR='$(CURDIR)/_build/lab' bash .binder/postBuild
	JUPYTER_CONFIG_PATH='$(CURDIR)/_build/lab' $(PY) -m jupyterlab $(LAB_OPTIONS) book

# What is handed out, and what grades it; submissions and grades that are there stay.
assignments: book
	@$(PY) -m mathdl_book.grading --course '$(COURSE)'

permalinks: $(READY)
	@$(PY) -m mathdl_book.permalinks publish

bench: $(READY)
	$(PY) benchmarks/build.py

# Plain pins: no index, no hashes (torch's differ between indexes), no local version such as +cpu.
# The CPU-only index resolves to the same versions without the CUDA packages of one platform.
LOCK_INDEX := $(or $(TORCH_INDEX),https://download.pytorch.org/whl/cpu)
lock: $(READY)
	@$(PY) -c 'import piptools' 2>/dev/null || $(PY) -m pip install -q pip-tools
	$(PY) -m piptools compile -q --all-extras --strip-extras --no-header --no-emit-options \
	  --no-emit-index-url --no-emit-trusted-host --no-emit-find-links \
	  --extra-index-url '$(LOCK_INDEX)' $(LOCK_FLAGS) -o requirements.txt.new pyproject.toml
	@{ sed -n '/^#/!q;p' requirements.txt; \
	  sed -e 's/^\([A-Za-z0-9._-]*==[0-9][^ +]*\)+[^ ]*/\1/' -e '/^$$/,$$d' requirements.txt.new; \
	  sed -n "/^# The book's own/,\$$p" requirements.txt; \
	} > requirements.txt.lock
	@rm requirements.txt.new && mv requirements.txt.lock requirements.txt
	@grep -v '^-e' requirements.txt > requirements.txt.pins
	$(PY) -m piptools compile -q --extra plots --extra referees --extra lab --strip-extras \
	  --no-header --no-annotate --no-emit-options --no-emit-index-url --no-emit-trusted-host \
	  --no-emit-find-links --extra-index-url '$(LOCK_INDEX)' $(LOCK_FLAGS) \
	  --constraint requirements.txt.pins -o requirements.txt.new pyproject.toml
	@{ sed -n '1,/^-e /p' .binder/requirements.txt; \
	  sed -n 's/^\([A-Za-z0-9._-]*==[0-9][^ +]*\).*/\1/p' requirements.txt.new; \
	} > requirements.txt.lock
	@rm requirements.txt.new requirements.txt.pins && mv requirements.txt.lock .binder/requirements.txt

clean:
	@rm -rf _build

# The stamp holds what was installed, so that a new time stamp alone installs nothing.
$(VENV)/.installed: requirements.txt pyproject.toml
	@set -e; sum=`cat requirements.txt pyproject.toml | cksum`; \
	if [ "`cat $@ 2>/dev/null`" != "$$sum" ]; then \
	  $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11 ...")'; \
	  [ -x $(VENV)/bin/python ] || $(PYTHON) -m venv $(VENV); \
	  echo 'installing requirements.txt into $(VENV) (once)'; \
	  $(PY) -m pip install -q --disable-pip-version-check -r requirements.txt \
	    $(if $(TORCH_INDEX),--extra-index-url '$(TORCH_INDEX)'); \
	fi; \
	echo "$$sum" > $@

# With the Python at hand: say what it lacks, install nothing.
needs:
	@$(BOOK) needs --groups plots,referees,book$(if $(filter test unit gates live site notebooks lighthouse,$(MAKECMDGOALS)),$(COMMA)test)$(if $(filter pdf epub offline,$(MAKECMDGOALS)),$(COMMA)paper)$(if $(filter lab,$(MAKECMDGOALS)),$(COMMA)lab)$(if $(filter assignments,$(MAKECMDGOALS)),$(COMMA)grading)

COMMA := ,
