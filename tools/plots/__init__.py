"""Pictures of epflow's results: one module per subject, drawn by tools/plot.py and tools/compare-models."""
