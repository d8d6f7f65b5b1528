"""The figures that chaosrunner answers for, next to Chaos Toolkit and haproxy: `make bench`, `python -m benchmarks`.

Each figure has a file of its own, which says what is measured and how. Everything is measured in the same run on the
same machine, on loopback only, in turns where two programs are compared; nothing is left running.
"""
