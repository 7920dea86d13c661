"""Facts that come with the program, each file dated by its name."""
