# Point estimates of lme4 (normal) and glmmTMB (other families), both by REML, of many models in one process.
#
# Numeric predictors are standardised, since both peers lose their way on columns far from zero; estimates are turned
# back to the columns as they are, which changes neither the likelihood nor REML.
#
# Rscript peers.R TASKS OUT SECONDS. TASKS is a CSV with a line for each model: id, file of its rows, family, its text
# columns and its numeric predictors (joined by ";") and formula. OUT gets lines (id, kind, name, value, text) as models
# are done: "start" before each, then "beta", "se", "sd" (named "factor|effect"), "sigma", "singular", "seconds",
# "message", "error" and, last, "end". Of other families than the normal "beta2", "se2" and "sd2" are a second opinion:
# by maximum likelihood, with 25 quadrature nodes where there is one effect. More than SECONDS is too long for a model.

arguments <- commandArgs(trailingOnly = TRUE)
tasks <- read.csv(arguments[1], colClasses = "character")
out <- arguments[2]
limit <- as.numeric(arguments[3])
invisible(Sys.setlocale("LC_COLLATE", "C")) # levels in the order of Python's sort
suppressWarnings(suppressPackageStartupMessages({
  library(lme4)
  library(glmmTMB)
}))

say <- function(id, kind, name = "", value = NA, text = "") {
  if (!length(value)) return(invisible())
  text <- gsub("[\r\n]+", " ", text)
  lines <- data.frame(id = id, kind = kind, name = name, value = sprintf("%.17g", as.numeric(value)), text = text)
  write.table(lines, out, append = TRUE, sep = ",", row.names = FALSE, col.names = FALSE, qmethod = "double")
}

split <- function(text) strsplit(text, ";")[[1]]

read_rows <- function(task) {
  rows <- read.csv(task$file, colClasses = NA, na.strings = character(0), stringsAsFactors = FALSE)
  for (name in split(task$factors)) rows[[name]] <- factor(as.character(rows[[name]]))
  rows
}

standardised <- function(rows, numbers) {
  for (name in numbers) rows[[name]] <- (rows[[name]] - mean(rows[[name]])) / sd(rows[[name]])
  rows
}

# The matrix M with (coefficients of columns as they are) = M (those of standardised ones).
turned_back <- function(formula, rows, numbers) {
  common <- nobars(formula)
  raw <- model.matrix(common, rows)
  sizes <- sqrt(colSums(raw^2))
  qr.solve(sweep(raw, 2, sizes, "/"), model.matrix(common, standardised(rows, numbers)), tol = 1e-14) / sizes
}

# sds of a factor's effects from their covariance matrix, turned back too.
spreads <- function(covariance, rows, numbers) {
  effects <- rownames(covariance)
  back <- diag(length(effects))
  for (k in which(effects %in% numbers)) {
    x <- rows[[effects[k]]]
    back[1, k] <- -mean(x) / sd(x)
    back[k, k] <- 1 / sd(x)
  }
  sds <- sqrt(pmax(diag(back %*% covariance %*% t(back)), 0))
  names(sds) <- effects
  sds
}

say_estimates <- function(task, model, rows, suffix = "") {
  id <- task$id
  numbers <- split(task$numbers)
  mixed <- inherits(model, "merMod")
  beta <- if (mixed) fixef(model) else fixef(model)$cond
  covariance <- if (mixed) as.matrix(vcov(model)) else vcov(model)$cond
  back <- turned_back(as.formula(task$formula), rows, numbers)
  say(id, paste0("beta", suffix), names(beta), back %*% beta)
  say(id, paste0("se", suffix), names(beta), suppressWarnings(sqrt(diag(back %*% covariance %*% t(back)))))
  found <- if (mixed) VarCorr(model) else VarCorr(model)$cond
  for (factor in names(found)) {
    sds <- spreads(as.matrix(found[[factor]]), rows, numbers)
    say(id, paste0("sd", suffix), paste(factor, names(sds), sep = "|"), sds)
  }
}

family_of <- function(task) if (task$family == "poisson") poisson() else binomial()

fit <- function(task, rows) {
  formula <- as.formula(task$formula)
  if (task$family == "gaussian") return(lmer(formula, data = rows, REML = TRUE))
  glmmTMB(formula, data = rows, family = family_of(task), REML = TRUE)
}

quiet <- function(expression) suppressMessages(suppressWarnings(expression))

# lme4 from two more starts: its REML may have several modes, and the first one found need not be the highest.
highest <- function(task, rows, model) {
  lower <- getME(model, "lower")
  for (size in c(0.3, 3)) {
    start <- ifelse(lower == 0, size, 0)
    other <- try(quiet(lmer(as.formula(task$formula), data = rows, REML = TRUE, start = start)), silent = TRUE)
    if (!inherits(other, "try-error") && logLik(other) > logLik(model) + 0.01) {
      say(task$id, "message", text = sprintf("REML is %.2f higher from another start", logLik(other) - logLik(model)))
      model <- other
    }
  }
  model
}

second_opinion <- function(task, rows) {
  formula <- as.formula(task$formula)
  scalar <- length(findbars(expandDoubleVerts(formula))) == 1 && !grepl("/", task$formula, fixed = TRUE)
  alone <- scalar && grepl("(1 |", task$formula, fixed = TRUE)
  if (alone) return(glmer(formula, data = rows, family = family_of(task), nAGQ = 25))
  glmmTMB(formula, data = rows, family = family_of(task))
}

report <- function(task, model, rows) {
  id <- task$id
  say_estimates(task, model, rows)
  if (task$family == "gaussian") {
    say(id, "sigma", value = sigma(model))
    say(id, "singular", value = isSingular(model))
    for (text in unlist(model@optinfo$conv$lme4$messages)) say(id, "message", text = text)
  } else {
    sds <- unlist(lapply(VarCorr(model)$cond, function(each) attr(each, "stddev")))
    say(id, "singular", value = min(sds) < 1e-3)
    if (model$fit$convergence != 0) say(id, "message", text = paste("not converged:", model$fit$message))
    if (!isTRUE(model$sdr$pdHess)) say(id, "message", text = "the Hessian is not positive definite")
  }
}

for (i in seq_len(nrow(tasks))) {
  task <- tasks[i, ]
  say(task$id, "start")
  rows <- read_rows(task)
  scaled <- standardised(rows, split(task$numbers))
  note <- function(condition) {
    say(task$id, "message", text = conditionMessage(condition))
    invokeRestart(if (inherits(condition, "warning")) "muffleWarning" else "muffleMessage")
  }
  setTimeLimit(elapsed = limit, transient = TRUE)
  tryCatch(
    withCallingHandlers(
      {
        taken <- system.time(model <- fit(task, scaled))[["elapsed"]]
        say(task$id, "seconds", value = taken)
        if (task$family == "gaussian" && taken < limit / 4) model <- highest(task, scaled, model)
        report(task, model, rows)
      },
      warning = note, message = note
    ),
    error = function(condition) say(task$id, "error", text = conditionMessage(condition))
  )
  if (task$family != "gaussian") {
    setTimeLimit(elapsed = limit, transient = TRUE)
    try(quiet(say_estimates(task, second_opinion(task, scaled), rows, "2")), silent = TRUE)
  }
  setTimeLimit(elapsed = Inf)
  say(task$id, "end")
}
