"""Pictures and statistics of data sets for people."""
