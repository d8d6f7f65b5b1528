"""What lies on disk: journals, the list of runs, leases, halt files, the local faults in force."""
