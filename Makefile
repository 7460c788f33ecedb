# Sekisho. `make` alone lists what there is. Needs python3 (3.11 or later), python3-venv, git, make.
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check
CODE := sekisho management communication exchange_connector scanner updater patterns contracts \
	runtime agents benchmarks tests tools setup.py

.PHONY: help setup run demo test check bench soak screenshots migration lock clean
help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'

setup: $(VENV)/.ready ## Virtual environment, locked dependencies, front-end assets, translations

$(VENV)/.ready: requirements/run.lock requirements/assets.lock setup.py \
		$(wildcard management/translations/*/LC_MESSAGES/*.po)
	@echo "Installing what Sekisho needs into $(VENV); the first time this takes some minutes."
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) --require-hashes --only-binary :all: -r requirements/run.lock
	$(PIP) --no-deps --no-build-isolation -e .
	$(PIP) --no-deps --require-hashes --only-binary :all: --upgrade --target build/assets \
		-r requirements/assets.lock
	$(BIN)/python -m management.assets build/assets
	$(BIN)/pybabel --quiet compile -d management/translations
	touch $@

$(VENV)/.test-ready: $(VENV)/.ready requirements/test.lock
	$(PIP) --require-hashes --only-binary :all: -r requirements/test.lock
	touch $@

# Exchange by Kerberos is optional: built (3 minutes) where Debian's libkrb5-dev is, else its test skips.
$(VENV)/.kerberos-ready: $(VENV)/.test-ready requirements/kerberos.lock
	if command -v krb5-config >/dev/null && $(PIP) --require-hashes -r requirements/kerberos.lock; \
	then touch $@; else echo "Kerberos is not built; it needs Debian's libkrb5-dev and gcc"; fi

run: setup ## Set everything up and start the product (Ctrl-C stops it)
	$(BIN)/sekisho up

demo: setup ## The same with a filled console, in a data folder of its own
	$(BIN)/sekisho demo

check: $(VENV)/.test-ready ## Format, lint, types, import rules, T-SQL, translations
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/ruff check $(CODE)
	$(BIN)/mypy $(filter-out setup.py,$(CODE))
	$(BIN)/lint-imports
	$(BIN)/python -m tests.sql.check_tsql
	$(BIN)/python tools/check_texts.py

test: $(VENV)/.test-ready ## Install what the tests need, then run them all
	$(PYTHON) tools/install_test_packages.py
	$(MAKE) --no-print-directory $(VENV)/.kerberos-ready
	$(BIN)/python tools/run_tests.py

bench: $(VENV)/.test-ready ## Measure speed and memory (ONLY=name for one)
	$(BIN)/python -m benchmarks $(ONLY)

soak: $(VENV)/.test-ready ## Long fuzzing and killing, by the hour (MINUTES=60)
	SEKISHO_SOAK_MINUTES=$${MINUTES:-60} $(BIN)/pytest -q -m soak tests

screenshots: $(VENV)/.test-ready ## Take the pictures of docs/images from the demonstration's data
	PYTHONPATH=. $(BIN)/python tools/screenshots.py

migration: setup ## Write the migration for changed tables (NAME="what changes")
	$(BIN)/sekisho database revision "$(NAME)"

lock: ## Pin the newest allowed versions with hashes (needs uv)
	cd requirements && for set in run test kerberos; do \
		uv pip compile --quiet --no-header --generate-hashes --python-version 3.11 \
		--upgrade $$set.in -o $$set.lock; done
	cd requirements && uv pip compile --quiet --no-header --generate-hashes \
		--python-version 3.11 --no-deps --upgrade assets.in -o assets.lock

clean: ## Remove what was built (never the data folder)
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
