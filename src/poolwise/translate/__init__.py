"""The same model as code for other systems."""
