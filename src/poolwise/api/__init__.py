"""What users hold: `fit`, `Fit`, comparisons, marginal effects and power. Methods call the rooms below."""
