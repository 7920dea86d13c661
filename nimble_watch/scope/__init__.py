"""Scope: which objects of the cluster the phase is responsible for, and how surely.

A cluster is shared.  It holds our release, one that has been broken since yesterday, and one that a colleague breaks
just now, perhaps in the same namespace; only ours may be priced or end a phase.  Nothing that a phase does carries its
name, so this is a search for evidence: what it was told (`evidence`), what it changed, what follows from that.
"""

from nimble_watch.scope.evidence import Evidence, Named, Release, Selected, Working, from_argv
from nimble_watch.scope.given import from_options
from nimble_watch.scope.membership import Belonging, Level, Scope
from nimble_watch.scope.printed import Reader

__all__ = [
    "Belonging",
    "Evidence",
    "Level",
    "Named",
    "Reader",
    "Release",
    "Scope",
    "Selected",
    "Working",
    "from_argv",
    "from_options",
]
