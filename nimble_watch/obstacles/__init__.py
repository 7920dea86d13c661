"""Obstacles: findings through time, one obstacle for one trouble.

A rule says what it sees now.  Here it gets a beginning, an end and a duration that can be priced; replicas with the
same cause become one obstacle, symptoms are attached to their root cause, and nothing counts as fixed because it went
away.  No side effects: what changed is given back as a list, and the time is an argument.
"""

from nimble_watch.obstacles.hindsight import is_ready
from nimble_watch.obstacles.links import linked
from nimble_watch.obstacles.model import Change, Obstacle, Symptom, Waiting
from nimble_watch.obstacles.proof import Fresh, proven_by
from nimble_watch.obstacles.tracker import Tracker

__all__ = ["Change", "Fresh", "Obstacle", "Symptom", "Tracker", "Waiting", "is_ready", "linked", "proven_by"]
