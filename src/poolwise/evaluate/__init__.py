"""Questions asked of a posterior: how well it predicts, and what its priors say."""
