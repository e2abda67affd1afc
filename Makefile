# make demo      count a drawn crowd with the default model, then train a small counter on such
#                crowds, test it and write pictures
# make test      run the tests and the examples in docstrings, and say what of mmcrowd they cover
# make test-recipes  the recipes of docs/large_jobs.md with Ray and Spark, 400 MB (Spark: and a Java)
# make lint      check style, the order of imports and types; `make format` applies the style
# make clean     remove builds and caches
#
# By default everything is installed into .venv, in the versions of requirements/pinned.txt.
# An active virtual or conda environment, or the one named by `make demo PYTHON=/path/to/python`, is
# used instead: it gets what it lacks, and nothing that is installed there changes.

ifneq ($(PYTHON)$(filter-out $(CURDIR)/.venv,$(VIRTUAL_ENV))$(CONDA_PREFIX),)
PYTHON ?= python
installed = install-missing
installed-for-tests = install-missing-for-tests
installed-for-lint = install-lint
constraints = -c build/present.txt
else
PYTHON = .venv/bin/python
installed = .venv/installed
installed-for-tests = .venv/installed-for-tests
installed-for-lint = .venv/installed-for-lint
endif

pip = $(PYTHON) -m pip
tests = $(patsubst %,requirements/%.txt,tests app convert export heic large parquet report quality timm video)
lint = requirements/lint.txt
engines = requirements/engines.txt
config = configs/pml_resnet18_synthetic.py
work_dir = work_dirs/demo

# The tools run from this checkout, even where another mmcrowd is installed.
export PYTHONPATH := $(CURDIR)$(if $(PYTHONPATH),:$(PYTHONPATH))

.DELETE_ON_ERROR:
.PHONY: demo test test-recipes lint format clean install-missing install-missing-for-tests install-lint

demo: $(installed)
	$(PYTHON) demo/count_drawn_crowd.py $(work_dir)
	$(PYTHON) tools/train.py $(config) --work-dir $(work_dir)
	$(PYTHON) tools/test.py $(config) "$$(cat $(work_dir)/last_checkpoint)" \
	    --work-dir $(work_dir) --show-dir $(work_dir)/pictures --interval 10
	@echo "Pictures of ten test images are in $(work_dir)/pictures"

# The tests are small: one thread each is faster than threads that wait for each other.
test test-recipes: export OMP_NUM_THREADS ?= 1

test: $(installed-for-tests)
	$(PYTHON) -m pytest -n auto --maxprocesses 8 --dist worksteal \
	    --cov=mmcrowd --cov-report=term:skip-covered

test-recipes: $(installed-for-tests)
	$(pip) install $(constraints) -r $(engines)
	$(PYTHON) -m pytest -rs tests/test_apis/test_jobs/test_recipes.py

lint: $(installed-for-lint)
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -c 'from importlinter.cli import lint_imports_command; lint_imports_command()'
	$(PYTHON) -m mypy

format: $(installed-for-lint)
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .

clean:
	rm -rf build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache .import_linter_cache .hypothesis .coverage
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

# --- .venv: made once, and again only when a requirement changes

.venv/installed: setup.py pyproject.toml mmcrowd/dependencies.py $(filter-out $(tests) $(lint) $(engines),$(wildcard requirements/*.txt))
	@python3 -c 'import sys; v = sys.version_info; v >= (3, 10) or sys.exit(f"mmcrowd needs Python >= 3.10, but python3 is {v.major}.{v.minor}; name another one with PYTHON=/path/to/python")'
	python3 -m venv .venv
	$(pip) install -r requirements/pinned.txt -r requirements/runtime.txt
	$(pip) install --no-deps -e .
# opencv-python loads the libraries of a desktop (libGL, libxcb). Where they are absent the headless
# build of the same version takes the place of its files.
	$(PYTHON) -c 'import cv2' || $(pip) install --no-deps --force-reinstall \
	    "opencv-python-headless$$(sed -n 's/^opencv-python==/==/p' requirements/pinned.txt)"
	touch $@

.venv/installed-for-tests: .venv/installed $(tests)
	$(pip) install $(tests:%=-r %)
	touch $@

.venv/installed-for-lint: .venv/installed $(lint)
	$(pip) install -r $(lint)
	touch $@

# --- An environment of yours: what is there is a constraint, so pip can only add to it

install-missing:
	@mkdir -p build
	$(pip) list --format=freeze --exclude mmcrowd > build/present.txt
	$(pip) install -c build/present.txt -r requirements/runtime.txt
	@$(PYTHON) mmcrowd/dependencies.py | xargs -t -r $(pip) install -c build/present.txt
	@$(PYTHON) -c 'import cv2' || { echo 'cv2 does not load: install the libraries it names, or opencv-python-headless'; exit 1; }
	PYTHONPATH= $(pip) show -q mmcrowd || $(pip) install --no-deps -e .

install-lint:
	$(pip) install -r $(lint)

install-missing-for-tests: install-missing
	$(pip) install -c build/present.txt $(patsubst %,-r %,$(filter-out requirements/app.txt,$(tests)))
# Gradio may be behind with what is there (Pillow 13, for one).
	$(pip) install -c build/present.txt -r requirements/app.txt \
	    || echo 'Gradio does not fit to what is installed: the tests of the page are skipped'
