"""From a formula, data and priors to a posterior; updating and storing it."""
