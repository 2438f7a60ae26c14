# From a bare machine to a table: `make table1`. To the test suite: `make test`.

PYTHON ?= python3
VENV ?= .venv
CORES ?= 8
# One lock for every machine: the default build of torch runs on GPU and CPU alike. To save some
# gigabytes on a machine without GPU, name PyTorch's index of CPU builds: make TORCH_INDEX=URL table1
TORCH_INDEX ?=
# Test files at a time, one thread of arithmetic each; 1 to see them in order. One more than there are
# processors, because tests also wait: for servers, for jobs, for a cluster
WORKERS ?= $(shell echo $$(( $$(nproc 2>/dev/null || getconf _NPROCESSORS_ONLN) + 1 )))
PYTEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder
BIN := $(VENV)/bin
READY := $(VENV)/.ready
VALIDATORS := $(VENV)/validators/.ready

.PHONY: help env validators lock table1 report real real-quick blind findings test test-fast faults docs lint clean

help:
	@echo "make table1     environment, then the demo study's Table 1 (offline, minutes on two cores)"
	@echo "make report     every numbered table and figure of the papers over the demo, as one report"
	@echo "make test       environment, then all tests (make test-fast: without whole-pipeline tests)"
	@echo "make faults     many injected faults, drawn from a seed (SEED=2 for others)"
	@echo "make real       Table 1 on real clips with human sentences, artificially joined (97 MB download)"
	@echo "make real-quick the same with one seed and blind twins alone, in a third of the time"
	@echo "make blind      Table 1 on the real Charades-STA annotations, without video"
	@echo "make findings   the whole blind study (one to two hours on two cores), and docs/findings.md from it"
	@echo "make env        only the environment, in $(VENV)"
	@echo "make validators RO-Crate's public validator, which a test of bundles runs, in an environment of its own"
	@echo "make lock       the lock anew after a change of pyproject.toml (needs uv)"
	@echo "make docs       the documentation as a site, every link checked, in site/"
	@echo "make lint       ruff, mypy, snakefmt, codespell and snakemake --lint"

env: $(READY)

$(READY): envs/requirements.lock envs/torch.lock envs/create.sh pyproject.toml
	PYTHON="$(PYTHON)" TORCH_INDEX="$(TORCH_INDEX)" sh envs/create.sh "$(VENV)"
	@touch $@

# RO-Crate's public validator, for the test of bundles, which is skipped without it
validators: $(VALIDATORS)

$(VALIDATORS): envs/validators.lock | $(READY)
	$(BIN)/python -m venv --without-pip $(@D)
	$(BIN)/python -m pip --python $(@D)/bin/python install --quiet --require-hashes --no-deps \
	    --requirement $<
	@touch $@

# What pyproject.toml asks for, with checksums; make UPGRADE=--upgrade lock: everything at its newest
lock:
	sh envs/lock.sh $(UPGRADE)

table1: $(READY)
	$(BIN)/snakemake --cores $(CORES) results/table1.tex
	@$(BIN)/tsgbench pdf results/table1.tex
	@$(BIN)/tsgbench show results/table1.tex

report: $(READY)
	$(BIN)/snakemake --cores $(CORES) papers results/report.html
	@$(BIN)/tsgbench pdf results/report.tex

real: $(READY)
	$(BIN)/snakemake --cores $(CORES) results/real/table1.tex results/real/features.tex --configfile config/real.yaml
	@$(BIN)/tsgbench show results/real/table1.tex
	@$(BIN)/tsgbench show results/real/features.tex

real-quick: $(READY)
	$(BIN)/snakemake --cores $(CORES) results/real_quick/table1.tex --configfile config/real_quick.yaml
	@$(BIN)/tsgbench show results/real_quick/table1.tex

blind: $(READY)
	$(BIN)/snakemake --cores 2 results/blind/charades_sta.tex --configfile config/blind.yaml
	@$(BIN)/tsgbench show results/blind/charades_sta.tex

# The page's links start from its folder, and docs/ is one nearer to the root
findings: $(READY)
	$(BIN)/snakemake --cores $(CORES) results/blind/findings.md --configfile config/blind.yaml
	sed 's#](../../#](../#g' results/blind/findings.md > docs/findings.md
	$(BIN)/snakemake --cores $(CORES) results/real/findings.md --configfile config/real.yaml
	sed 's#](../../#](../#g' results/real/findings.md > docs/findings_real.md
	$(BIN)/snakemake --cores $(CORES) results/qvhighlights/findings.md --configfile config/qvhighlights.yaml
	sed 's#](../../#](../#g' results/qvhighlights/findings.md > docs/findings_qvhighlights.md
	$(BIN)/snakemake --cores $(CORES) results/reannotated/findings.md --configfile config/reannotated.yaml
	sed 's#](../../#](../#g' results/reannotated/findings.md > docs/findings_reannotated.md

test: $(READY) $(VALIDATORS)
	$(PYTEST)

docs: $(READY)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build
	@echo "site/index.html"

test-fast: $(READY)
	$(PYTEST) -m "not slow and not faults"

# Others with SEED=2 make faults
faults: $(READY)
	$(PYTEST) -m faults

# Prose and code; tests misspell on purpose
TEXTS = src docs config published workflow benchmarks $(wildcard envs/*.sh) Snakefile Makefile $(wildcard *.md)

lint: $(READY)
	$(BIN)/ruff check src tests benchmarks workflow
	$(BIN)/ruff format --check src tests benchmarks workflow
	$(BIN)/mypy
	$(BIN)/codespell $(TEXTS)
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/snakemake --lint
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

clean:
	rm -rf data results scratch logs site .snakemake mlflow.db* mlartifacts
