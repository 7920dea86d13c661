"""What the operating system offers, and what stands in where it does not: decided here, by asking, and nowhere else.

Linux has every call that we want.  macOS lacks some (`calls`), has no /proc (`tree`), and names its clocks otherwise
(`clock`).  Standard library only, its cheap parts: the launcher uses all of it beside the child.
"""
