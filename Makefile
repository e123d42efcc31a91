# The two commands of a new user: `make demo` and `make test`. Everything lives in .venv.
PYTHON ?= python3
BIN := .venv/bin
export OMP_NUM_THREADS ?= 1

.PHONY: install demo test perf lint format clean

install: .venv/installed

.venv/installed: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

demo: install
	$(BIN)/epishot run --suite demo

# Without learn2learn its tests are skipped by pytest alone; here they may not be. A file stays with one of the two
# processes, because tests of a file share what they have fitted.
test: install .venv/learn2learn-0.2.0
	EPISHOT_REQUIRE_LEARN2LEARN=1 $(BIN)/python -m pytest -q -n 2 --dist loadfile

# Side by side with the peers, about five minutes: prints the table of ratios, and fails nothing.
perf: install .venv/learn2learn-0.2.0
	EPISHOT_PERFORMANCE=full EPISHOT_PERFORMANCE_JSON=ratios.json EPISHOT_REQUIRE_LEARN2LEARN=1 $(BIN)/python -m pytest \
	  -q tests/performance -p no:cacheprovider --benchmark-disable-gc --benchmark-timer=time.process_time \
	  --benchmark-json=benchmarks.json

# Only tests need it: the C files of the release do not compile on Python >= 3.11, build_ext makes Cython write them
# anew; --no-deps leaves out gym, torchvision and others that nothing here imports. The release also installs its own
# tests as a top-level package `tests`, which would hide ours from child processes. See docs/learn2learn.md.
.venv/learn2learn-0.2.0: | install
	$(BIN)/python -m pip install --quiet --no-deps --use-pep517 --config-settings="--build-option=build_ext" learn2learn==0.2.0
	$(BIN)/python -c 'import shutil, sysconfig; shutil.rmtree(sysconfig.get_path("platlib") + "/tests", ignore_errors=True)'
	$(BIN)/python -c 'from epishot.baselines.learn2learn_import import learn2learn; learn2learn()'
	touch $@

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
