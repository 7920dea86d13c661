"""A session: what is kept of one run of the workflow.

`model` is what the file holds, `records` what the journals hold, `fold` turns the one into the other, `document` reads
and writes JSON, `money` shares costs out, `variance` holds them against the plan, `scores` says how well it went,
`foreign` merges what others wrote, `annotations` what people say later, `identity` tells one session from another,
`reasons` says why what is unknown is, `schema` has the file's schema.
No side effects anywhere here: files are `store`'s business.
"""

from nimble_watch.session.annotations import annotate, helped_before, misshapen
from nimble_watch.session.document import encode, encode_documents, encode_line, from_document, to_document
from nimble_watch.session.fold import fold
from nimble_watch.session.foreign import apply_changes, changes_between
from nimble_watch.session.identity import uid_of
from nimble_watch.session.model import (
    RESULTS,
    SCHEMA,
    Cause,
    Costs,
    Held,
    Obstacle,
    Performance,
    Phase,
    Remedy,
    Session,
    Standing,
    Stop,
    Taken,
    Usage,
    Wait,
)
from nimble_watch.session.reasons import say_why
from nimble_watch.session.records import (
    Record,
    alive,
    annotated,
    costs_known,
    costs_planned,
    fields_set,
    foreign_changes,
    obstacle_closed,
    obstacle_logged,
    obstacle_opened,
    obstacle_updated,
    phase_cause,
    phase_ended,
    phase_started,
    remembered,
    session_ended,
    session_started,
    stopped,
    waited,
)
from nimble_watch.session.scores import band, efficiency, is_counted, performance
from nimble_watch.session.times import milliseconds, moment, new_uid, stamp, whole_seconds
from nimble_watch.session.variance import COST_VARIANCE, given_variance, percent_above

__all__ = [
    "COST_VARIANCE",
    "RESULTS",
    "SCHEMA",
    "Cause",
    "Costs",
    "Held",
    "Obstacle",
    "Performance",
    "Phase",
    "Record",
    "Remedy",
    "Session",
    "Standing",
    "Stop",
    "Taken",
    "Usage",
    "Wait",
    "alive",
    "annotate",
    "annotated",
    "apply_changes",
    "band",
    "changes_between",
    "costs_known",
    "costs_planned",
    "efficiency",
    "encode",
    "encode_documents",
    "encode_line",
    "fields_set",
    "fold",
    "foreign_changes",
    "from_document",
    "given_variance",
    "helped_before",
    "is_counted",
    "milliseconds",
    "misshapen",
    "moment",
    "new_uid",
    "obstacle_closed",
    "obstacle_logged",
    "obstacle_opened",
    "obstacle_updated",
    "percent_above",
    "performance",
    "phase_cause",
    "phase_ended",
    "phase_started",
    "remembered",
    "say_why",
    "session_ended",
    "session_started",
    "stamp",
    "stopped",
    "to_document",
    "uid_of",
    "waited",
    "whole_seconds",
]
