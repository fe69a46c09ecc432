"""What recipes train with: the session, the run and its record, the trainer for data in memory, progress."""
