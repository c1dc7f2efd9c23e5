"""From a command line to a data set: plan, worker processes, resuming, benchmark."""
