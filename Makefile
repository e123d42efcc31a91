# The two commands of a new user: `make demo` and `make test`. Everything lives in .venv.
PYTHON ?= python3
BIN := .venv/bin
export OMP_NUM_THREADS ?= 1

.PHONY: install demo test lint format clean

install: .venv/installed

.venv/installed: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

demo: install
	$(BIN)/epishot run --suite demo

test: install
	$(BIN)/python -m pytest -q

# mypy finds the package `epishot` through a link, because the repository root itself is the package.
lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	mkdir -p .venv/types && ln -sfn "$(CURDIR)" .venv/types/epishot
	cd .venv/types && ../bin/mypy --config-file epishot/pyproject.toml --cache-dir "$(CURDIR)/.mypy_cache" -m epishot \
	  $(foreach part,tasks methods baselines benchmark leaderboard,-p epishot.$(part))

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
