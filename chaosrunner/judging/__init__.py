"""What a run is decided by: tolerances, coverage, steadiness, recovery. Pure functions over readings."""
