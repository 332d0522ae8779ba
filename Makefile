# Every target sets up what it needs: a virtual environment with the locked packages and the project in editable mode.
# It uses uv when uv is on the PATH, and plain venv + pip when not. `make help` lists the targets.

VENV    ?= .venv
PYTHON  ?=                     # the interpreter to build $(VENV) from; empty: the first one that is new enough
WORKERS ?= 2                   # parallel test processes
ARGS    ?=                     # more arguments for pytest, for the pipeline, or for `uv pip compile`

PY := $(VENV)/bin/python
INSTALLED := $(VENV)/.installed
DOCS := $(VENV)/.docs
VIEWER := $(VENV)/.viewer
DEMO_CONFIG := experiments/configs/pipeline.py:laptop

.PHONY: help demo view figure8 test lint docs lock clean
.DEFAULT_GOAL := help

help:  ## this list
	@sed -n 's/^\([a-z0-9]*\):.*## /  make \1|/p' $(MAKEFILE_LIST) | column -t -s '|' 2>/dev/null || grep '## ' $(MAKEFILE_LIST)

demo: $(INSTALLED)  ## the whole chain on this machine, then runs/demo/report.html (again: continues where it stopped)
	$(PY) experiments/pipeline.py --config=$(DEMO_CONFIG) --config.run_dir=runs/demo --config.grasps=run $(ARGS)

view: $(VIEWER)  ## the hand in the browser: shake it, help it, take over (http://127.0.0.1:8080)
	$(PY) experiments/view.py $(ARGS)

figure8: $(INSTALLED)  ## the paper's figure 8 with the shipped controller: hours, row by row (again: continues)
	$(PY) experiments/figure8.py --config=experiments/configs/figure8.py:laptop $(ARGS)

test: lint  ## linter, types and the default test suite
	$(PY) -m pytest -n $(strip $(WORKERS)) --dist loadfile --no-loadscope-reorder $(ARGS)

lint: $(INSTALLED)  ## linter, formatter and types
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

docs: $(DOCS)  ## the documentation as a site: build/docs/index.html
	NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --strict --quiet
	@echo "open build/docs/index.html"

lock: $(if $(shell command -v uv),,$(INSTALLED))  ## write requirements.lock anew from setup.cfg (ARGS=--upgrade: with the newest versions)
	@uv=$$(command -v uv) || { $(PY) -m pip install --quiet uv && uv=$(VENV)/bin/uv; }; \
	$$uv pip compile --quiet --universal --fork-strategy fewest --python-version 3.11 --extra dev \
	    --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" \
	    --output-file requirements.lock $(ARGS) setup.cfg
	@echo "requirements.lock is written; the next make installs it"

$(VIEWER): $(INSTALLED)
	@echo "installing what the viewer needs into $(VENV)"
	@if command -v uv >/dev/null; then uv pip install --quiet --python $(PY) --editable '.[viz]'; \
	else $(PY) -m pip install --quiet --disable-pip-version-check --editable '.[viz]'; fi
	@touch $@

clean:  ## remove the environment and the caches; runs/ stays
	rm -rf $(VENV) .cache .pytest_cache .ruff_cache .mypy_cache build dist *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# What only the documentation needs; the rest of it is there already.
$(DOCS): $(INSTALLED)
	@if command -v uv >/dev/null; then uv pip install --quiet --python $(PY) --editable '.[docs]'; \
	else $(PY) -m pip install --quiet --disable-pip-version-check --editable '.[docs]'; fi
	@touch $@

# A name on the PATH proves nothing (pyenv leaves shims of versions that are not active): each candidate is run.
# Without uv, the candidate must bring venv and ensurepip, which some distributions ship as a package of their own.
$(INSTALLED): requirements.lock setup.cfg pyproject.toml
	@set -eu; \
	uv=$$(command -v uv || true); needs=sys; [ -n "$$uv" ] || needs=sys,venv,ensurepip; \
	if ! $(PY) -m pip --version >/dev/null 2>&1; then \
	    found=; \
	    for name in $(or $(strip $(PYTHON)),python3.12 python3.13 python3.11 python3 python); do \
	        found=$$("$$name" -c "import $$needs; assert sys.version_info >= (3, 11); print(sys.executable)" 2>/dev/null) \
	            && break || found=; \
	    done; \
	    if [ -z "$$found" ]; then \
	        echo "error: no usable Python among: $(or $(strip $(PYTHON)),python3.12 python3.13 python3.11 python3 python)." >&2; \
	        echo "It must run, be 3.11 or newer, and (without uv) have venv: apt install python3-venv. Name one with" >&2; \
	        echo "make PYTHON=/path/to/python, or install uv." >&2; exit 1; \
	    fi; \
	    echo "making $(VENV) from $$found"; rm -rf $(VENV); \
	    if [ -n "$$uv" ]; then "$$uv" venv --quiet --seed --python "$$found" $(VENV); else "$$found" -m venv $(VENV); fi; \
	fi; \
	echo "installing the locked packages into $(VENV) (some minutes, once)"; \
	if [ -n "$$uv" ]; then install="$$uv pip install --quiet --python $(PY)"; \
	else install="$(PY) -m pip install --quiet --disable-pip-version-check"; fi; \
	$$install -r requirements.lock; \
	$$install --no-deps --editable .; \
	touch $@
