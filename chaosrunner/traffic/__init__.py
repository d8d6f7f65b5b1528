"""The built-in load: an open-loop generator as a process of its own, and what the run knows of it.

`generator` and `wire` are that process (standard library only); `source` starts it and listens to it; `window` is the
arithmetic.
"""
