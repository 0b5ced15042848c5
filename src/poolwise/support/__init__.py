"""What any room may use and what knows nothing of models: errors, threads, progress, files."""
