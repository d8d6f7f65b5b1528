# chaosrunner: `make demo` shows the whole loop, `make test` passes the tests. Each sets up what it needs.
VENV := .venv
BIN := $(VENV)/bin
SOURCES := chaosrunner tests benchmarks
# Tests start hundreds of processes, each of which would compile everything anew where nothing may be kept.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: all demo test netem check format docs site roles picture session bench smoke clean help

all: check test  ## everything that a change must pass

help:  ## this text
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/installed: pyproject.toml tools/venv
	@tools/venv $(VENV)
	@touch $@

$(VENV)/with-dev: pyproject.toml tools/venv
	@tools/venv $(VENV) dev
	@touch $@ $(VENV)/installed

demo: $(VENV)/installed  ## break a small shop, find near misses, all on this machine in a minute
	@$(BIN)/chaosrunner demo

test: $(VENV)/with-dev  ## all tests: those that compute, those that wait for real systems, those on a cluster
	@tools/debian
	@$(BIN)/python tools/tests
	@test -z "$$CHAOSRUNNER_TEST_KUBECONFIG" || tools/on-cluster $(BIN)/python

netem: $(VENV)/with-dev  ## what only netem can do; NETEM=COMMAND runs it under a kernel that has it, many times slower
	@NETEM_S=1500 $(NETEM) $(BIN)/python -m pytest -q tests/netem -o timeout=600 -p no:cacheprovider
	@test -z "$(NETEM_CLUSTER)" || tools/netem-cluster $(NETEM_CLUSTER) $(BIN)/python

check: $(VENV)/with-dev  ## format, lint, types
	@$(BIN)/ruff format --check $(SOURCES)
	@$(BIN)/ruff check $(SOURCES)
	@$(BIN)/mypy

format: $(VENV)/with-dev  ## put the code into its format
	@$(BIN)/ruff check --fix --exit-zero --quiet $(SOURCES)
	@$(BIN)/ruff format $(SOURCES)

docs: $(VENV)/with-dev  ## rewrite the generated pages
	@$(BIN)/python tools/docs

site: $(VENV)/with-dev  ## the pages as a site, in build/site; a warning is an error
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict --clean -f docs/site/mkdocs.yml
	@echo "build/site/index.html; \`$(BIN)/mkdocs serve -f docs/site/mkdocs.yml\` shows it while pages change"

roles: $(VENV)/with-dev  ## rewrite the Roles of k8s/ from what the catalogue says that faults need
	@$(BIN)/python tools/roles

picture: $(VENV)/with-dev  ## the README's pictures, from a real run (needs Chromium)
	@$(BIN)/python tools/picture

session: $(VENV)/with-dev  ## a newcomer's first session, recorded in docs/newcomer.md (installs into a folder of its own)
	@$(BIN)/python tools/session

bench: $(VENV)/with-dev  ## the figures, next to Chaos Toolkit and haproxy
	@$(BIN)/python -m benchmarks

smoke:  ## the installed package (not the checkout), without the development tools
	@rm -rf build && tools/venv build/smoke package
	@cd build && smoke/bin/chaosrunner catalog >out.txt || { cat out.txt; exit 1; }
	@cd build && smoke/bin/chaosrunner --state state demo page-when-recommendations-are-gone >out.txt || { cat out.txt; exit 1; }
	@build/smoke/bin/chaosrunner --version

clean:  ## remove what was made
	rm -rf $(VENV) .bench-venv build dist .mypy_cache .ruff_cache .pytest_cache
