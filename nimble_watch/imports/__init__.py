"""Sessions of others taken into a folder of ours: from folders, archives and files, each one once.

`sources` finds what may be sessions in a path, `archives` looks into zip and tar files, `parquet` into ours, `texts`
into what is in the end a text, `taking` decides what becomes of each: new here, newer, here already, or refused.
Nothing is ever unpacked to disk, no name in an archive becomes a path, no link is followed, and nothing is read beyond
a limit.
"""

from nimble_watch.imports.sources import found_in
from nimble_watch.imports.taking import Taken, Taking
from nimble_watch.imports.texts import Found, Trouble

__all__ = ["Found", "Taken", "Taking", "Trouble", "found_in"]
