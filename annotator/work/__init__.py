"""What workers do: rows in, the pure packages at work, rows out through services.

This is the only part of ``annotator`` that loads torch. It is imported by ``tasks`` and by
management commands (whose ``--wait`` does the work in their own process), never by api, services,
urls or admin, so that the web process stays small.
"""
