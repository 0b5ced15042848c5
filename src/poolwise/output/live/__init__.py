"""What follows when a prior is moved, as numbers that a page or a notebook draws."""
