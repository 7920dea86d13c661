# Phases and sessions for a Makefile.  In it:  include scripts/nimble-watch.mk
#
#   make all                the phases, in order, as one session
#   make PHASE              one phase, as part of the session that is open
#   make session-init       begin a session; make session-end ends it
#   make session-summary    what happened;  make session-compare: the newest sessions beside each other
#
# A phase is a target with a recipe of yours, or else the script PHASE.sh beside this file.  A recipe of yours is tracked
# under `make all`; by itself, too, if its command is written behind $(track):
#
#   install:
#   	@$(track) helm upgrade --install nim deploy/nim --wait
#
# What can be set, in the Makefile before the include or when make is called:
#
#   NIMBLE_WATCH         the command [nimble-watch]
#   NIMBLE_WATCH_PHASES  the phases of `make all` [those of discover, prereqs, install, verify that there are]
#   WATCH_ARGS           flags for nimble-watch in front of the phases, such as --fail-fast or -q
#   CLEANUP              yes: `make all` ends with cleanup, whatever happened
#
# For GNU make 3.81 and newer.

nimble_watch_folder := $(dir $(lastword $(MAKEFILE_LIST)))
nimble_watch_theirs := $(filter-out $(lastword $(MAKEFILE_LIST)),$(MAKEFILE_LIST))
nimble_watch_goal   := $(.DEFAULT_GOAL)
NIMBLE_WATCH        ?= nimble-watch
track                = $(NIMBLE_WATCH) exec $(WATCH_ARGS) --phase $@ --leave-open --

# make would run lines with + also under -n, -q and -t, whose letters come first in MAKEFLAGS, without a dash.
nimble_watch_told := $(strip $(foreach letter,n q t,$(findstring $(letter),$(filter-out -%,$(firstword $(MAKEFLAGS))))))
nimble_watch_run  := $(if $(nimble_watch_told),,+)

# The targets that the Makefile itself has: they stay as they are.
nimble_watch_theirs := $(shell sed -n 's/^\([A-Za-z0-9_][^:=]*\):\([^:=].*\)\{0,1\}$$/\1/p' $(nimble_watch_theirs))
nimble_watch_scripts := $(notdir $(basename $(wildcard $(addprefix $(nimble_watch_folder),$(addsuffix .sh, \
    $(or $(NIMBLE_WATCH_PHASES),discover prereqs install verify) cleanup)))))

define nimble_watch_phase
.PHONY: $(1)
$(1):
	$$(nimble_watch_run)@$$(track) $$(nimble_watch_folder)$(1).sh
endef
$(foreach phase,$(filter-out $(nimble_watch_theirs),$(nimble_watch_scripts)),$(eval $(call nimble_watch_phase,$(phase))))

define nimble_watch_all
.PHONY: all
all:
	$$(nimble_watch_run)@$$(NIMBLE_WATCH) run $$(WATCH_ARGS) --file $$(firstword $$(MAKEFILE_LIST)) \
	    $$(if $$(filter 1 yes true on,$$(CLEANUP)),--always cleanup) $$(NIMBLE_WATCH_PHASES) -- --no-print-directory
endef
$(if $(filter all,$(nimble_watch_theirs)),,$(eval $(nimble_watch_all)))

define nimble_watch_session
.PHONY: session-$(1)
session-$(1):
	@$$(NIMBLE_WATCH) session $(1)
endef
$(foreach word,init end summary compare,$(if $(filter session-$(word),$(nimble_watch_theirs)),, \
    $(eval $(call nimble_watch_session,$(word)))))

# Including this changes no default goal.
.DEFAULT_GOAL := $(nimble_watch_goal)
