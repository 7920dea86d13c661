"""Sessions of others taken into a folder of ours: from folders, archives and files, each one once."""
