# Every target makes the virtual environment first where it is missing or older than pyproject.toml.

PYTHON ?= python3
VENV ?= .venv
PROFILE ?=
ANSWERS ?=
LAB_ARGS ?=
LABS ?=
GRADE_ARGS ?=

BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
COLAB := .venv-colab
CONSTRAINTS := $(if $(filter true,$(CI)),--constraint constraints.txt)
LINUX := $(filter Linux,$(shell uname -s))
# Only Linux has the sandbox in which submissions run; a machine without Chromium leaves out the browser, which only CI
# on Linux may not.
FOUND := $(shell command -v chromium || command -v chromium-browser || command -v google-chrome)
BROWSER := $(if $(and $(CI),$(LINUX)),true,$(FOUND))
WHERE := $(if $(LINUX),, and not sandbox)$(if $(BROWSER),, and not browser)
# Idle threads that spin would starve the other test processes.
SHARED := OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive

.PHONY: help lab run build release grade check test test-colab clean

help:
	@echo "make lab      open the course in JupyterLab        (LAB_ARGS=... is passed on)"
	@echo "make run      the solved labs as a web site, site/ (ANSWERS=1; PROFILE=smoke|cpu|full executes them anew)"
	@echo "make build    solutions/*.py to executed notebooks"
	@echo "make release  solutions/ to course/"
	@echo "make grade    grade submitted/STUDENT/LAB/LAB.ipynb       (GRADE_ARGS=... is passed on)"
	@echo "make check    the quick tests;  make test  all of them"
	@echo "make test-colab  the quick tests with Colab's versions     (several GB are downloaded once)"

$(VENV): $(INSTALLED) ;

$(INSTALLED): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null || { echo \
	  "$(PYTHON) is missing or is not Python 3.11, 3.12 or 3.13; install one and say which: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo \
	  "$(PYTHON) comes without venv or ensurepip; install them (on Debian and Ubuntu: apt install python3-venv)."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check $(CONSTRAINTS) --editable '.[all]'
	@touch $@

lab: $(INSTALLED)
	$(BIN)/python -m jupyterlab --LabApp.default_url=/lab/tree/course $(LAB_ARGS)

run: $(INSTALLED)
	$(BIN)/lvm run $(if $(PROFILE),--profile $(PROFILE)) $(if $(ANSWERS),--answers) $(LABS)

build: $(INSTALLED)
	$(BIN)/lvm build $(LABS)

release: build
	$(BIN)/lvm release $(LABS)

grade: $(INSTALLED)
	$(BIN)/lvm grade $(GRADE_ARGS)

check: $(INSTALLED)
	$(BIN)/ruff check .
	$(SHARED) $(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow and not originals$(WHERE)"

test: $(INSTALLED)
	$(if $(BROWSER),,@echo "There is no Chromium here, so the tests in a browser are left out.")
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(SHARED) $(BIN)/python -m pytest -n 2 --dist worksteal -m "$(if $(LVM_ORIGINALS),(slow or not slow),not originals)$(WHERE)"
	$(SHARED) LVM_PROFILE=smoke $(BIN)/python -m pytest -n 2 --dist loadfile -p no:cacheprovider \
	  --nbval-lax --nbval-current-env --nbval-cell-timeout=300 solutions

# First what Colab has, then what the setup cell does there; --no-index fails where that has moved a version.  nbgrader,
# which Colab does not need and the tests do, asks for a later IPython than it uses; Colab's is put back after it.
$(COLAB)/.installed: pyproject.toml tests/colab.txt
	$(PYTHON) -m venv $(COLAB)
	$(COLAB)/bin/python -m pip install --disable-pip-version-check --requirement tests/colab.txt
	$(COLAB)/bin/python -m pip install --disable-pip-version-check --editable .
	$(COLAB)/bin/python -m pip install --disable-pip-version-check --no-index --quiet --requirement tests/colab.txt
	sed '/^ipython==/d' tests/colab.txt > $(COLAB)/constraints.txt
	$(COLAB)/bin/python -m pip install --disable-pip-version-check --constraint $(COLAB)/constraints.txt \
	  --editable '.[instructor,dev]'
	$(COLAB)/bin/python -m pip install --disable-pip-version-check --requirement tests/colab.txt
	@touch $@

# Colab's ipykernel and ipywidgets are older than [lab] asks for, which is not installed there.
test-colab: $(COLAB)/.installed
	$(SHARED) $(COLAB)/bin/python -m pytest -n 2 --dist worksteal -m "not slow and not originals$(WHERE)" \
	  --deselect tests/test_project.py::test_what_is_installed_is_in_its_range

clean:
	rm -rf site build .pytest_cache .mypy_cache .ruff_cache
