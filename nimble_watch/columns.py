"""Sessions as the columns of a table for Parquet: the one schema that exports and the dataset share."""
