# One command a step; `make help` lists them.
VENV_PYTHON := .venv/bin/python
SETUP := $(if $(PYTHON),--python "$(PYTHON)") $(if $(CAFFE_SRC),--caffe-src "$(CAFFE_SRC)") \
         $(if $(CUDA),--cuda "$(CUDA)")
SYSTEM_PYTHON := $(or $(PYTHON),python3)

.DEFAULT_GOAL := help
.PHONY: help setup check check-cuda weights backbone prototxts train-refine demo test lint quality bench clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20

setup:  ## Debian packages, .venv, real Caffe (CUDA=1 or 0, CAFFE_SRC=folder or pinned, PYTHON=python3.11)
	@$(SYSTEM_PYTHON) tools/setup_env.py $(SETUP)

check: setup  ## Caffe's path, mode and layers, and a small net run
	@$(VENV_PYTHON) tools/check.py

check-cuda: setup  ## compiles the CUDA code of our layers, where there is nvcc (no GPU needed)
	@$(VENV_PYTHON) tools/check_cuda.py

weights: setup  ## the pretrained thin backbone; where to get the others
	@$(VENV_PYTHON) tools/fetch_weights.py

backbone: setup
	@$(VENV_PYTHON) tools/fetch_weights.py --quiet

prototxts: setup  ## nets and solvers of DAVIS 2017 test-challenge
	@$(VENV_PYTHON) -m ResNetF.nets test-challenge

train-refine: backbone  ## the refinement net anew, from data/DAVIS and synthetic videos (EXCLUDE="dog")
	@$(VENV_PYTHON) tools/train_refine.py $(if $(EXCLUDE),--exclude $(EXCLUDE)) $(if $(RESTART),--restart)

demo: backbone  ## a real video, segmented from its first frame
	@$(VENV_PYTHON) tools/demo.py

test: backbone  ## unit tests and a small end-to-end run
	@$(VENV_PYTHON) -m pytest

lint: setup  ## ruff
	@$(VENV_PYTHON) -m ruff check .

quality: backbone  ## what each stage adds, on synthetic videos with exact labels
	@$(VENV_PYTHON) tools/quality.py

bench: backbone  ## speed and memory, as ratios in one run
	@$(VENV_PYTHON) tools/benchmark.py
	@$(VENV_PYTHON) tools/benchmark_propagation.py
	@$(VENV_PYTHON) tools/benchmark_regions.py
	@$(VENV_PYTHON) tools/benchmark_metrics.py

clean:  ## remove the build and .venv (data, models and results stay)
	rm -rf build .venv
