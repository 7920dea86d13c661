"""Large histories: a partitioned Parquet dataset, written by `session compact`, asked through DuckDB."""
