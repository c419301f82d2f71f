"""Backups that are proven: taken, restored in a drill, kept and let go."""
