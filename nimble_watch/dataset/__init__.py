"""Large histories: a partitioned Parquet dataset, written by `session compact`, asked through DuckDB.

    DATASET/project=PROJECT/month=2026-11/sessions.parquet     what is in it, for every reader of Parquet as it is
    DATASET/_log/00000007.json                                 what was committed, by whom, when
    DATASET/_new/...                                           what a compaction prepares

`layout` has the log and the files' names, `compacting` (pyarrow) writes, `asking` (DuckDB) reads.
"""
