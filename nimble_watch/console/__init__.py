"""The console: the only one who writes to the user's terminal while a child runs.

Our lines are guests between the child's: whole, prefixed, few, on stderr, and never in a hurry.  `terminal` writes them
without ever holding anybody up; `words` says what they say, short and calm, for somebody who reads them at 2 a.m.
"""

from nimble_watch.console.terminal import PREFIX, Console, wants_colour
from nimble_watch.console.words import (
    ended,
    gave_up_wrongly,
    in_hindsight,
    obstacle_block,
    one_line,
    span,
    still_billing,
    stopping,
    updated,
    waited,
    waiting_line,
)

__all__ = [
    "PREFIX",
    "Console",
    "ended",
    "gave_up_wrongly",
    "in_hindsight",
    "obstacle_block",
    "one_line",
    "span",
    "still_billing",
    "stopping",
    "updated",
    "waited",
    "waiting_line",
    "wants_colour",
]
