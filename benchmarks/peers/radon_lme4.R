# lme4's lmer (REML): a point estimate, so there are no draws and no ESS.

arguments <- commandArgs(trailingOnly = TRUE)
option <- function(name) arguments[match(name, arguments) + 1]
seconds <- function(expression) system.time(expression)[["elapsed"]]

import_s <- seconds(suppressPackageStartupMessages(library(lme4)))
radon <- read.csv(option("--data"))
fit <- function() lmer(log_radon ~ floor + (floor || county), data = radon)
fit_s <- seconds(model <- fit())
again <- vapply(seq_len(as.integer(option("--warm-fits"))), function(i) seconds(fit()), numeric(1))
means <- sprintf("%.4f", c(fixef(model), as.data.frame(VarCorr(model))$sdcor))

cat(sprintf(
  '{"import_s": %.3f, "fit_s": %.3f, "warm_fit_s": %s, "means": [%s], "versions": {"R": "%s", "lme4": "%s"}}\n',
  import_s, fit_s, if (length(again)) sprintf("%.4f", median(again)) else "null",
  paste(means, collapse = ", "), getRversion(), packageVersion("lme4")
))
