"""Tables and text made from a posterior."""
