"""What `make bench` measures; one file per question, each printing ratios taken in one run."""
