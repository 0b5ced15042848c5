# Ratings of two inhalers (Ezzet and Whitehead 1991) by brms, whose articles use them: `Rscript tests/reference/inhaler.R`
# writes `inhaler.csv`, a line for each parameter, and prints the counts that the test makes the rows from.
library(brms)

priors <- c(
  set_prior("normal(0, 2.5)", class = "b"), set_prior("normal(0, 50)", class = "Intercept"),
  set_prior("student_t(3, 0, 2.5)", class = "sd")
)
fit <- brm(
  rating ~ treat + period + carry + (1 | subject), data = inhaler, family = cumulative("logit"), prior = priors,
  chains = 4, iter = 6000, warmup = 1000, seed = 1, refresh = 0, cores = 1
)
draws <- as.data.frame(fit)
draws <- draws[, c("b_Intercept[1]", "b_Intercept[2]", "b_Intercept[3]", "b_treat", "b_period", "b_carry", "sd_subject__Intercept")]
found <- posterior::summarise_draws(posterior::as_draws(fit), "mean", "sd", "mcse_mean", "ess_bulk", "rhat")
found <- found[found$variable %in% names(draws), ]
found <- data.frame(variable = found$variable, lapply(found[-1], as.numeric))
write.csv(found, "tests/reference/inhaler.csv", row.names = FALSE, quote = FALSE)
first <- inhaler[inhaler$period > 0, ]
second <- inhaler[inhaler$period < 0, ]
both <- merge(first, second, by = "subject")
print(table(both$treat.x, both$rating.x, both$rating.y))
print(unique(inhaler[, c("treat", "period", "carry")]))
