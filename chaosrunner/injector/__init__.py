"""What runs beside a target, as a process of its own. Standard library only; imports nothing of ours."""
