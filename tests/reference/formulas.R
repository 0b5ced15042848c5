# Which model lme4 builds for each spelling of a formula: formulas.csv and formulas.json.
#
# From the root of the repository, with the packages lme4 and jsonlite:
#
#     Rscript tests/reference/formulas.R
#
# No model is fitted. For every formula, formulas.json holds
#
#   formula    the spelling given to lme4
#   ours       the same model in this package's spelling (Python's ** for R's ^ inside I())
#   fixed      names of the columns of X, and x_product = X (0.1, 0.2, ...)'
#   terms      group, number of levels and effects of every term, in lme4's order
#   theta      number of covariance parameters
#   v_product  Z Sigma Z' w with w = cos(1), ..., cos(n)
#   note       only where the spelling does something that is easily missed
#
# Sigma: within a term, effect k has sd 0.5 + 0.25 k and any two effects have correlation 0.3; the levels of a grouping
# factor are independent copies, and so are the terms. The order of terms therefore leaves v_product alone, the order
# of effects within a term does not. Categories are treatment-coded against their first level in sorted order.

suppressPackageStartupMessages(library(lme4))

directory <- file.path("tests", "reference")
options(contrasts = c("contr.treatment", "contr.poly"))

# ---- Data ----------------------------------------------------------------------------------------------------------

# b repeats its labels within every a. d is nested in a. c is crossed with both, but every a misses one level of c.
simulate <- function() {
  set.seed(20240607, kind = "Mersenne-Twister", normal.kind = "Inversion", sample.kind = "Rejection")
  a <- rep(1:4, times = c(18, 12, 16, 14))
  n <- length(a)
  b <- unlist(lapply(split(a, a), function(rows) rep_len(1:3, length(rows))))
  c <- vapply(a, function(i) sample(setdiff(1:5, i), 1L), integer(1))
  d <- vapply(a, function(i) list(c(1L, 5L), 2L, c(3L, 6L), 4L)[[i]][[sample(c(1L, 1L + i %% 2L), 1L)]], integer(1))
  f <- sample(rep_len(1:3, n))
  x <- rnorm(n)
  z <- rnorm(n)
  y <- 1 + 0.5 * x + rnorm(4)[a] + rnorm(4, sd = 0.5)[a] * x + rnorm(12, sd = 0.7)[3 * (a - 1) + b] +
    rnorm(5, sd = 0.8)[c] + 0.4 * f + rnorm(n)
  rows <- data.frame(
    y = round(y, 3), x = round(x, 3), z = round(z, 3), f = c("p", "q", "r")[f],
    a = paste0("a", a), b = paste0("b", b), c = paste0("c", c), d = paste0("d", d)
  )
  rows[sample(n), ]
}

table_path <- file.path(directory, "formulas.csv")
write.csv(simulate(), table_path, row.names = FALSE, quote = FALSE)
rows <- read.csv(table_path, stringsAsFactors = TRUE)

stopifnot(
  nrow(rows) == 60,
  vapply(rows[c("f", "a", "b", "c", "d")], nlevels, 1L) == c(3, 4, 3, 5, 6),
  table(rows$a, rows$b) > 0, # every label of b in every a
  table(rows$a, rows$f) > 1, # every category in every a
  colSums(table(rows$a, rows$c) > 0) > 1, table(rows$b, rows$c) > 0, any(table(rows$a, rows$c) == 0), # crossed, gaps
  rowSums(table(rows$d, rows$a) > 0) == 1, # every d in one a ...
  table(rows$d) > 1, # ... with several rows
  setequal(colSums(table(rows$d, rows$a) > 0), 1:2) # some a hold one d, some two
)

# ---- Formulas ------------------------------------------------------------------------------------------------------

formulas <- c(
  # Intercepts and slopes: with, without, correlated or not
  "y ~ x + (1 | a)",
  "y ~ x + (x | a)",
  "y ~ x + (1 + x | a)",
  "y ~ x + (0 + x | a)",
  "y ~ x + (-1 + x | a)",
  "y ~ x + (x - 1 | a)",
  "y ~ x + (x || a)",
  "y ~ x + (0 + x || a)",
  "y ~ x + (1 | a) + (0 + x | a)",
  "y ~ x + (0 + x | a) + (1 | a)",
  "y ~ x + (1 | a) + (x | a)",
  "y ~ x + (x + z | a)",
  "y ~ x + (z + x | a)",
  "y ~ x + (x + z || a)",
  "y ~ x + (x | a) + (0 + z | a)",
  # Interactions and transforms
  "y ~ x * z + (x * z | a)",
  "y ~ x * z + (x * z || a)",
  "y ~ x + (x:z | a)",
  "y ~ x:z + x + (x:z + x | a)",
  "y ~ x + (I(x^2) | a)",
  "y ~ log(x + 10) + (1 | a)",
  # Nested and crossed groups
  "y ~ 1 + (1 | a/b)",
  "y ~ x + (x | a/b)",
  "y ~ x + (x || a/b)",
  "y ~ 1 + (1 | a:b)",
  "y ~ 1 + (1 | b:a)",
  "y ~ (1 | (a:b))",
  "y ~ 1 + (1 | b)",
  "y ~ 1 + (1 | a) + (1 | a:b)",
  "y ~ 1 + (1 | a) + (1 | c)",
  "y ~ x + (x | a) + (1 | c)",
  "y ~ x + (x || a) + (1 | c)",
  "y ~ x + (x | a) + (z | c)",
  "y ~ 1 + (1 | a) + (1 | d)",
  "y ~ 1 + (1 | a/d)",
  "y ~ 1 + (1 | a/b/c)",
  "y ~ 1 + (1 | a:b:c)",
  "y ~ 1 + (1 | a/b) + (1 | c)",
  "y ~ 1 + (1 | a) + (x - 1 | c) + (1 | d)",
  # Categories
  "y ~ f + (f | a)",
  "y ~ f + (0 + f | a)",
  "y ~ f + (f || a)",
  "y ~ f + (0 + f || a)",
  "y ~ f + (1 | a) + (1 | a:f)",
  "y ~ f + (1 | f:a)",
  "y ~ f * x + (f * x | a)",
  "y ~ x + f:x + (0 + x + f | a)",
  "y ~ f:x + (0 + f:x | a)",
  "y ~ 0 + f + x + (x | a)",
  # Where the common terms stand
  "y ~ (1 | a) + x",
  "y ~ (x | a)",
  "y ~ x - 1 + (1 | a)"
)

ours <- c("y ~ x + (I(x^2) | a)" = "y ~ x + (I(x**2) | a)")

notes <- c(
  "y ~ f + (f || a)" =
    "|| splits terms, not columns: (1 | a) + (0 + f | a), all three indicators of f, correlated with one another",
  "y ~ f + (0 + f || a)" = "|| splits terms, not columns: the same as (0 + f | a)",
  "y ~ x + (1 | a) + (x | a)" = "two independent intercepts of the same group, kept as written",
  "y ~ x + (x || a) + (1 | c)" = "terms with equally many levels trade places when terms are sorted by levels",
  "y ~ 1 + (1 | b)" = "rows of one label of b share a level across all a",
  "y ~ (x | a)" = "the common intercept is there, a common slope is not"
)

stopifnot(!anyDuplicated(formulas), names(ours) %in% formulas, names(notes) %in% formulas)

# ---- What lme4 builds ----------------------------------------------------------------------------------------------

unchecked <- lmerControl(
  check.nobs.vs.rankZ = "ignore", check.nobs.vs.nlev = "ignore", check.nobs.vs.nRE = "ignore",
  check.nlev.gtreq.5 = "ignore", check.nlev.gtr.1 = "ignore", check.rankX = "ignore", check.scaleX = "ignore",
  check.formula.LHS = "ignore"
)

weights <- cos(seq_len(nrow(rows)))

covariance <- function(size) {
  sds <- 0.5 + 0.25 * seq_len(size)
  correlation <- matrix(0.3, size, size)
  diag(correlation) <- 1
  outer(sds, sds) * correlation
}

describe <- function(formula) {
  built <- lFormula(as.formula(formula), rows, control = unchecked)
  random <- built$reTrms
  sizes <- lengths(random$cnms)

  # A term's rows of Zt are sorted by level, and by effect within a level.
  factors <- lapply(sizes, function(size) t(chol(covariance(size))))
  lambda <- bdiag(Map(function(factor, levels) kronecker(Diagonal(levels), factor), factors, random$nl))
  theta <- unlist(lapply(factors, function(factor) factor[lower.tri(factor, diag = TRUE)]))
  lambdat <- random$Lambdat
  lambdat@x <- theta[random$Lind]
  stopifnot(length(theta) == length(random$theta), all.equal(as.matrix(t(lambdat)), as.matrix(lambda)))

  loadings <- crossprod(random$Zt, lambda)
  described <- list(
    formula = formula,
    ours = if (formula %in% names(ours)) ours[[formula]] else formula,
    fixed = list(
      columns = I(colnames(built$X)),
      x_product = as.vector(built$X %*% seq(0.1, by = 0.1, length.out = ncol(built$X)))
    ),
    terms = unname(Map(
      function(group, levels, effects) list(group = group, levels = levels, effects = I(effects)),
      names(random$cnms), random$nl, random$cnms
    )),
    theta = length(random$theta),
    v_product = as.vector(loadings %*% crossprod(loadings, weights))
  )
  if (formula %in% names(notes)) described$note <- notes[[formula]]
  described
}

models <- setNames(lapply(formulas, describe), formulas)

# ---- The same by hand ----------------------------------------------------------------------------------------------

# One term, densely: two rows share its effects exactly when they carry the same label.
term <- function(label, ...) {
  effects <- cbind(...)
  (effects %*% covariance(ncol(effects)) %*% t(effects)) * outer(label, label, "==")
}

by_hand <- with(lapply(rows, function(column) if (is.factor(column)) as.character(column) else column), {
  one <- rep(1, length(y))
  is_p <- as.numeric(f == "p")
  is_q <- as.numeric(f == "q")
  is_r <- as.numeric(f == "r")
  ab <- paste(a, b)
  abc <- paste(a, b, c)
  list(
    "y ~ x + (x | a)" = term(a, one, x),
    "y ~ x + (x - 1 | a)" = term(a, x),
    "y ~ x + (x || a)" = term(a, one) + term(a, x),
    "y ~ x + (1 | a) + (x | a)" = term(a, one) + term(a, one, x),
    "y ~ x + (x + z | a)" = term(a, one, x, z),
    "y ~ x + (z + x | a)" = term(a, one, z, x),
    "y ~ x * z + (x * z | a)" = term(a, one, x, z, x * z),
    "y ~ x * z + (x * z || a)" = term(a, one) + term(a, x) + term(a, z) + term(a, x * z),
    "y ~ x:z + x + (x:z + x | a)" = term(a, one, x, x * z),
    "y ~ x + (I(x^2) | a)" = term(a, one, x^2),
    "y ~ x + (x | a/b)" = term(a, one, x) + term(ab, one, x),
    "y ~ x + (x || a/b)" = term(a, one) + term(a, x) + term(ab, one) + term(ab, x),
    "y ~ (1 | (a:b))" = term(ab, one),
    "y ~ x + (x | a) + (z | c)" = term(a, one, x) + term(c, one, z),
    "y ~ 1 + (1 | a/d)" = term(a, one) + term(d, one),
    "y ~ 1 + (1 | a/b/c)" = term(a, one) + term(ab, one) + term(abc, one),
    "y ~ 1 + (1 | a) + (x - 1 | c) + (1 | d)" = term(a, one) + term(c, x) + term(d, one),
    "y ~ f + (f | a)" = term(a, one, is_q, is_r),
    "y ~ f + (0 + f | a)" = term(a, is_p, is_q, is_r),
    "y ~ f + (f || a)" = term(a, one) + term(a, is_p, is_q, is_r),
    "y ~ f * x + (f * x | a)" = term(a, one, is_q, is_r, x, is_q * x, is_r * x),
    "y ~ x + f:x + (0 + x + f | a)" = term(a, x, is_p, is_q, is_r),
    "y ~ f:x + (0 + f:x | a)" = term(a, is_p * x, is_q * x, is_r * x)
  )
})

for (formula in names(by_hand)) {
  stopifnot(all.equal(as.vector(by_hand[[formula]] %*% weights), models[[formula]]$v_product, tolerance = 1e-12))
}

# Spellings of one model
same <- function(...) {
  products <- lapply(models[c(...)], `[[`, "v_product")
  stopifnot(vapply(products, function(product) isTRUE(all.equal(product, products[[1]], tolerance = 1e-12)), NA))
}
same("y ~ x + (x | a)", "y ~ x + (1 + x | a)", "y ~ 0 + f + x + (x | a)", "y ~ (x | a)")
same("y ~ x + (0 + x | a)", "y ~ x + (-1 + x | a)", "y ~ x + (x - 1 | a)", "y ~ x + (0 + x || a)")
same("y ~ x + (x || a)", "y ~ x + (1 | a) + (0 + x | a)", "y ~ x + (0 + x | a) + (1 | a)")
same("y ~ 1 + (1 | a/b)", "y ~ 1 + (1 | a) + (1 | a:b)")
same("y ~ 1 + (1 | a:b)", "y ~ 1 + (1 | b:a)", "y ~ (1 | (a:b))")
same("y ~ 1 + (1 | a/d)", "y ~ 1 + (1 | a) + (1 | d)")
same("y ~ f + (0 + f | a)", "y ~ f + (0 + f || a)")

# ---- Write ---------------------------------------------------------------------------------------------------------

versions <- list(R = as.character(getRversion()), lme4 = as.character(packageVersion("lme4")))
text <- jsonlite::toJSON(
  list(versions = versions, formulas = unname(models)),
  auto_unbox = TRUE, digits = NA, pretty = TRUE
)
writeLines(text, file.path(directory, "formulas.json"))
