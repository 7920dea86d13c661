"""What the tests of pure functions share: how long an example takes is no property, and depends on the machine's load."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
