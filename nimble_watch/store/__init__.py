"""Sessions on disk: journals while one is open, the files of the user's guide at all times.

`journal` appends, `sessions` begins, folds and ends, `history` reads, `index` spares tables and comparisons most of the
reading (a module of its own: short calls would pay for it), `pulled` keeps those of other machines, `revision` what
people say of a session later, `remedies` finds what helped before, `retention` takes old ones away, `files` sees to it
that nothing is ever half written.  Whatever goes wrong is a StoreError: one sentence, which callers turn into one
warning.
"""

from nimble_watch.store.files import (
    StoreError,
    create_whole,
    locked,
    own_folder,
    replacing,
    storing,
    sync_folder,
    write_whole,
)
from nimble_watch.store.history import (
    SESSION_ID,
    Loaded,
    check_id,
    current_id,
    is_open,
    journal_folder,
    load,
    load_all,
    newest_first,
    own_ids,
    session_ids,
    session_path,
    understand,
)
from nimble_watch.store.journal import Journal, read_records
from nimble_watch.store.pulled import Head, head_of, is_pulled_id, keep_pulled, read_head
from nimble_watch.store.remedies import recall, what_helped
from nimble_watch.store.retention import archive, old_sessions, remove
from nimble_watch.store.revision import keep_annotation
from nimble_watch.store.sessions import (
    as_it_ended,
    begin,
    catch_up,
    close,
    close_abandoned,
    end,
    how_closed,
    keep_reserve,
    make_folders,
    present,
    refold,
    remember,
    restore,
    result_of,
    use_reserve,
)

__all__ = [
    "SESSION_ID",
    "Head",
    "Journal",
    "Loaded",
    "StoreError",
    "archive",
    "as_it_ended",
    "begin",
    "catch_up",
    "check_id",
    "close",
    "close_abandoned",
    "create_whole",
    "current_id",
    "end",
    "head_of",
    "how_closed",
    "is_open",
    "is_pulled_id",
    "journal_folder",
    "keep_annotation",
    "keep_pulled",
    "keep_reserve",
    "load",
    "load_all",
    "locked",
    "make_folders",
    "newest_first",
    "old_sessions",
    "own_folder",
    "own_ids",
    "present",
    "read_head",
    "read_records",
    "recall",
    "refold",
    "remember",
    "remove",
    "replacing",
    "restore",
    "result_of",
    "session_ids",
    "session_path",
    "storing",
    "sync_folder",
    "understand",
    "use_reserve",
    "what_helped",
    "write_whole",
]
