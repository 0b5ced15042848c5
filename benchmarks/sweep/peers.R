# Point estimates of lme4 (normal) and glmmTMB (other families), both by REML, of many models in one process.
#
# Rscript peers.R TASKS OUT SECONDS. TASKS is a CSV with a line for each model: id, file of its rows, family, its text
# columns (joined by ";") and formula. OUT gets lines (id, kind, name, value, text) as models are done: "start" before
# each, then "beta", "se", "sd" (named "factor|effect"), "sigma", "singular", "seconds", "message" and, last, "end".
# A model that takes more than SECONDS is given up.

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

read_rows <- function(task) {
  rows <- read.csv(task$file, colClasses = NA, na.strings = character(0), stringsAsFactors = FALSE)
  for (name in strsplit(task$factors, ";")[[1]]) rows[[name]] <- factor(as.character(rows[[name]]))
  rows
}

# sds of effects by factor: a list of named vectors.
spreads <- function(model, normal) {
  found <- VarCorr(model)
  lapply(if (normal) found else found$cond, function(each) attr(each, "stddev"))
}

fit <- function(task, rows) {
  formula <- as.formula(task$formula)
  if (task$family == "gaussian") return(lmer(formula, data = rows, REML = TRUE))
  family <- if (task$family == "poisson") poisson() else binomial()
  glmmTMB(formula, data = rows, family = family, REML = TRUE)
}

report <- function(task, model) {
  id <- task$id
  normal <- task$family == "gaussian"
  beta <- if (normal) fixef(model) else fixef(model)$cond
  covariance <- if (normal) as.matrix(vcov(model)) else vcov(model)$cond
  say(id, "beta", names(beta), beta)
  say(id, "se", names(beta), suppressWarnings(sqrt(diag(covariance))))
  sds <- spreads(model, normal)
  for (factor in names(sds)) say(id, "sd", paste(factor, names(sds[[factor]]), sep = "|"), sds[[factor]])
  if (normal) {
    say(id, "sigma", value = sigma(model))
    say(id, "singular", value = isSingular(model))
    for (text in unlist(model@optinfo$conv$lme4$messages)) say(id, "message", text = text)
  } else {
    say(id, "singular", value = min(unlist(sds)) < 1e-3)
    if (model$fit$convergence != 0) say(id, "message", text = paste("not converged:", model$fit$message))
    if (!isTRUE(model$sdr$pdHess)) say(id, "message", text = "the Hessian is not positive definite")
  }
}

for (i in seq_len(nrow(tasks))) {
  task <- tasks[i, ]
  say(task$id, "start")
  rows <- read_rows(task)
  note <- function(condition) {
    say(task$id, "message", text = conditionMessage(condition))
    invokeRestart(if (inherits(condition, "warning")) "muffleWarning" else "muffleMessage")
  }
  setTimeLimit(elapsed = limit, transient = TRUE)
  tryCatch(
    withCallingHandlers(
      {
        taken <- system.time(model <- fit(task, rows))[["elapsed"]]
        say(task$id, "seconds", value = taken)
        report(task, model)
      },
      warning = note, message = note
    ),
    error = function(condition) say(task$id, "error", text = conditionMessage(condition))
  )
  setTimeLimit(elapsed = Inf)
  say(task$id, "end")
}
