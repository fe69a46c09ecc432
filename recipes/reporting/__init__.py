"""What is kept and shown of runs: records, plots, tables."""
