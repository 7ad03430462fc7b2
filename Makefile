# One command a step; `make help` lists them.
VENV_PYTHON := .venv/bin/python
SETUP := $(if $(PYTHON),--python "$(PYTHON)") $(if $(CAFFE_SRC),--caffe-src "$(CAFFE_SRC)") \
         $(if $(CUDA),--cuda "$(CUDA)") $(if $(ONEDNN),--onednn "$(ONEDNN)") $(if $(SLURM),--slurm)
SYSTEM_PYTHON := $(or $(PYTHON),python3)

OPTIONS := $(if $(ITERATIONS),--iterations $(ITERATIONS)) \
       $(if $(BACKBONE),--backbone $(BACKBONE)) $(if $(WEIGHTS),--weights "$(WEIGHTS)") \
       $(if $(REFINEMENT),--refinement "$(REFINEMENT)") $(if $(SIZE),--size $(SIZE)) \
       $(if $(CRAF),--craf "$(CRAF)") $(if $(SEED),--seed $(SEED)) $(if $(LISTS),--lists $(LISTS)) \
       $(if $(VALIDATION),--validation $(VALIDATION)) $(if $(QUALITY),--recipe $(QUALITY)) \
       $(if $(GENERIC_ITERATIONS),--generic-iterations $(GENERIC_ITERATIONS)) \
       $(if $(JOBS),--jobs $(JOBS)) $(if $(THREADS),--threads $(THREADS)) \
       $(if $(GPUS),--gpus $(GPUS)) $(if $(CLUSTER),--cluster $(CLUSTER)) \
       $(if $(CLUSTER_OPTIONS),--cluster-options $(CLUSTER_OPTIONS)) $(if $(DRY),--dry-run) \
       $(if $(RESTART),--restart) $(if $(KEEP),--keep-snapshots) $(if $(BOTH),--train-both)
RUN := $(if $(NAME),--name "$(NAME)") $(if $(UNTIL),--until $(UNTIL)) $(OPTIONS)

# Variables that have another name now.
renamed = $(if $($(1)),$(error $(1) is now $(2)))
$(call renamed,ITER,ITERATIONS)
$(call renamed,GENERIC_ITER,GENERIC_ITERATIONS)
$(call renamed,SEQUENCES,VIDEOS)
$(call renamed,CLASS,VIDEO)

.DEFAULT_GOAL := help
.PHONY: help setup check check-cuda check-gpu weights backbone data prototxts generic davis \
        annotate segment train-refine demo test test-slurm lint quality bench clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20

setup:  ## Debian packages, .venv, real Caffe (CUDA=1 or 0, ONEDNN=0 or 1, CAFFE_SRC=folder or pinned, PYTHON=python3.11)
	@$(SYSTEM_PYTHON) -m tools.setup.environment $(SETUP)

check: setup  ## Caffe's path, mode and layers, and a small net run
	@$(VENV_PYTHON) -m tools.setup.check

check-cuda: setup  ## compiles the CUDA code of our layers, where there is nvcc (no GPU needed)
	@$(VENV_PYTHON) -m tools.setup.check_cuda

check-gpu: backbone  ## runs our layers on a GPU and compares them with the CPU (after make setup CUDA=1)
	@$(VENV_PYTHON) -m tools.setup.check_gpu

weights: setup  ## the pretrained thin backbone (VGG=1: VGG-16 as well); where to get the others
	@$(VENV_PYTHON) -m tools.setup.weights $(if $(VGG),--vgg)

backbone: setup
	@$(VENV_PYTHON) -m tools.setup.weights --quiet

data: setup  ## DAVIS 2017 into data/DAVIS (SPLITS="trainval test-dev test-challenge")
	@$(VENV_PYTHON) tools/davis.py get $(if $(SPLITS),--splits $(SPLITS))

prototxts: setup  ## train nets and solvers of DAVIS 2017 test-challenge
	@$(VENV_PYTHON) ResNetF/write_prototxts.py --split test-challenge

davis: setup  ## all of a list: SPLIT=val (VIDEOS, ITERATIONS, BACKBONE, CRAF, GPUS, CLUSTER=slurm, BOTH=1, DRY=1)
	@$(VENV_PYTHON) tools/run.py $(if $(DATA),--data "$(DATA)") $(if $(SPLIT),--split "$(SPLIT)") \
	    $(if $(VIDEOS),--videos $(VIDEOS)) --annotated "$(or $(ANNOTATED),first)" $(RUN)

annotate: setup  ## draw and correct masks in a browser: VIDEO=name or CLIP=file (FRAME=00042, DATA, PORT)
	@$(VENV_PYTHON) tools/annotate.py $(if $(VIDEO),--video "$(VIDEO)") $(if $(CLIP),--clip "$(CLIP)") \
	    $(if $(DATA),--data "$(DATA)") $(if $(FRAME),--frame "$(FRAME)") $(if $(PORT),--port "$(PORT)")

segment: setup  ## a video of your own: VIDEO=name, after make annotate (ANNOTATED=first, all, or frames)
	@$(VENV_PYTHON) tools/run.py --data "$(or $(DATA),data/videos)" --annotated "$(or $(ANNOTATED),all)" \
	    $(if $(VIDEO),--videos "$(VIDEO)") $(RUN)

generic: backbone  ## the generic foreground model, of DAVIS or pairs (DATA, LISTS, VALIDATION, GENERIC_ITERATIONS)
	@$(VENV_PYTHON) tools/run.py --generic-only $(if $(DATA),--data "$(DATA)") $(RUN)

train-refine: backbone  ## the refinement net anew, from data/DAVIS and synthetic videos (SOURCES, GENERIC, NET, EXCLUDE="dog")
	@$(if $(filter refine_vgg,$(NET)),$(VENV_PYTHON) -m tools.setup.weights --quiet --vgg)
	@$(VENV_PYTHON) tools/train_refine.py $(if $(EXCLUDE),--exclude $(EXCLUDE)) \
	    $(if $(NET),--net $(NET)) $(if $(SOURCES),--sources $(SOURCES)) \
	    $(if $(GENERIC),--generic "$(GENERIC)") $(if $(GPU),--gpu $(GPU)) \
	    $(if $(ITERATIONS),--iterations $(ITERATIONS)) $(if $(RESTART),--restart)

demo: setup  ## a real video, segmented from its first frame
	@$(VENV_PYTHON) -m tools.setup.demo

test: backbone  ## unit tests and a small end-to-end run
	@$(VENV_PYTHON) -m pytest -n 2

test-slurm: backbone  ## the small run on a real Slurm, which is started and stopped here
	@$(SYSTEM_PYTHON) -m tools.setup.environment --slurm
	@$(VENV_PYTHON) -m pytest tests/slurm

lint: setup  ## ruff
	@$(VENV_PYTHON) -m ruff check .

quality: setup  ## J and F by stage and by video, synthetic or of DATA= SPLIT= (NAME, EVERY, ITERATIONS, …)
	@$(VENV_PYTHON) tools/quality.py $(if $(DATA),--data "$(DATA)") $(if $(SPLIT),--split "$(SPLIT)") \
	    $(if $(VIDEOS),--videos $(VIDEOS)) $(if $(NAME),--name "$(NAME)") \
	    $(if $(EVERY),--every $(EVERY)) -- $(OPTIONS)

bench: backbone  ## speed and memory, as ratios in one run (WHAT="nets propagation jobs": of these)
	@for what in $(or $(WHAT),nets propagation); do \
	    $(VENV_PYTHON) -m tools.bench $$what || exit 1; done

clean:  ## remove the build and .venv (data, models and results stay)
	rm -rf build .venv
