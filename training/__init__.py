"""Snapshot folder in, run folder out. No Django, no database."""
