# Monotonic effects as brms fits them; writes monotonic.json. Run in this folder: Rscript monotonic.R
library(brms)
library(jsonlite)

rows <- read.csv("monotonic.csv")
priors <- c(
  prior(normal(0, 3), class = b, coef = Intercept), prior(normal(0, 1), class = b, coef = x),
  prior(normal(0, 1), class = b, coef = mok), prior(dirichlet(2, 1, 1), class = simo, coef = mok1),
  prior(normal(0, 1), class = sd)
)
found <- function(formula, family, priors) {
  fit <- brm(formula, rows, family = family, prior = priors, chains = 4, iter = 6000, refresh = 0, seed = 1)
  draws <- posterior_summary(fit)
  draws[!grepl("^r_|lprior|lp__|^z_", rownames(draws)), c("Estimate", "Est.Error")]
}
normal <- found(y ~ 0 + Intercept + x + mo(k) + (1 | g), gaussian(), c(priors, prior(normal(0, 2), class = sigma)))
binary <- found(b ~ 0 + Intercept + x + mo(k) + (1 | g), bernoulli(), priors)
as_list <- function(table) apply(table, 1, as.numeric, simplify = FALSE)
said <- list(brms = as.character(packageVersion("brms")), gaussian = as_list(normal), bernoulli = as_list(binary))
write(toJSON(said, auto_unbox = TRUE, digits = 6, pretty = TRUE), "monotonic.json")
