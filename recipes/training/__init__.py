"""What recipes train with: the session, the run and its record, optimizers, progress."""
