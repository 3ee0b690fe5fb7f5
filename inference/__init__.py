"""Image in, typed instance labels with uncertainty out. No Django, no Celery, no HTTP."""
