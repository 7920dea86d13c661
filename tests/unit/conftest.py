"""What the tests of pure functions share: how long an example takes says something of the machine, not of them."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
