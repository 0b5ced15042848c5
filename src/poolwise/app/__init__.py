"""The page in the browser: from what is asked by clicks to answers that follow the sliders."""
