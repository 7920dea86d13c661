"""Metering: which machine time is billed to the session, which of it an obstacle held, and what goes on billing.

What the cluster tells is a lower bound: an instance bills from its creation to its termination, and its Node object
comes later and may go earlier.  So a node's time is said as "at least" wherever its beginning lies in the session.
A session pays for the share of each node that its pods hold: GPUs of the shape, on CPU nodes the larger of cpu and
memory; and for the whole of a node that came into being for them.
"""

from nimble_watch.metering.meter import Meter
from nimble_watch.metering.nodes import Machine, machine, quantity, share_of

__all__ = ["Machine", "Meter", "machine", "quantity", "share_of"]
