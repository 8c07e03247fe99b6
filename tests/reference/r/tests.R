# Tests of terms and hypotheses, for tests/reference/test_anova.py and test_selection.py.
# Rscript tests.R FOLDER, the folder of datasets.json and data/, writes tests.json there.
# Made with R 4.2.2, car 3.1.1, sandwich 3.0.2.

suppressPackageStartupMessages({ library(car); library(sandwich); library(jsonlite) })
folder <- commandArgs(TRUE)[1]
known <- fromJSON(file.path(folder, "datasets.json"), simplifyVector = FALSE)
for (name in c("birthwt", "swiss", "mtcars", "trees", "quine", "insurance", "warpbreaks")) {
  frame <- read.csv(file.path(folder, known[[name]]$file), na.strings = "NA", stringsAsFactors = FALSE)
  for (column in names(known[[name]]$columns)) {
    facts <- known[[name]]$columns[[column]]
    if (facts$type == "factor") frame[[column]] <- factor(frame[[column]], levels = unlist(facts$levels))
  }
  assign(name, frame)
}
tight <- glm.control(epsilon = 1e-14, maxit = 100)
fit <- function(formula, data, family = gaussian(), weights = NULL)
  eval(bquote(glm(.(formula), family = .(family), data = .(as.name(data)), weights = .(substitute(weights)), control = tight)))
python <- function(data, formula, family, link = NULL, ...) c(list(data = data, formula = formula, family = family, link = link), list(...))

rows <- function(a) { a <- as.data.frame(a); c(list(term = I(rownames(a))), setNames(lapply(a, function(x) I(as.numeric(x))), names(a))) }
quiet <- suppressWarnings

models <- list(
  logit = list(fit(low ~ age + lwt + race, "birthwt", binomial()), python("birthwt", "low ~ age + lwt + race", "binomial")),
  logit_cross = list(fit(low ~ age * smoke + lwt + race, "birthwt", binomial()), python("birthwt", "low ~ age * smoke + lwt + race", "binomial")),
  probit = list(fit(low ~ age + lwt + race, "birthwt", binomial("probit")), python("birthwt", "low ~ age + lwt + race", "binomial", "probit")),
  gaussian = list(fit(Fertility ~ Agriculture + Education, "swiss"), python("swiss", "Fertility ~ Agriculture + Education", "gaussian")),
  gaussian_weights = list(fit(breaks ~ wool * tension, "warpbreaks", weights = pw), python("warpbreaks", "breaks ~ wool * tension", "gaussian", weights = "pw")),
  gaussian_zeros = list(fit(breaks ~ wool + tension, "warpbreaks", weights = zw), python("warpbreaks", "breaks ~ wool + tension", "gaussian", weights = "zw")),
  gamma = list(fit(Volume ~ log(Girth) + Height, "trees", Gamma("log")), python("trees", "Volume ~ log(Girth) + Height", "gamma", "log")),
  inverse = list(fit(Volume ~ log(Girth) + Height, "trees", inverse.gaussian("log")), python("trees", "Volume ~ log(Girth) + Height", "inverse_gaussian", "log")),
  poisson = list(fit(Claims ~ District + Group + Age + offset(log(Holders)), "insurance", poisson()), python("insurance", "Claims ~ District + Group + Age + offset(log(Holders))", "poisson")),
  quine = list(fit(Days ~ Eth * Sex + Age, "quine", poisson()), python("quine", "Days ~ Eth * Sex + Age", "poisson")),
  quasipoisson = list(fit(breaks ~ wool * tension, "warpbreaks", quasipoisson()), python("warpbreaks", "breaks ~ wool * tension", "quasipoisson")),
  no_intercept = list(fit(breaks ~ 0 + wool + tension, "warpbreaks", poisson()), python("warpbreaks", "breaks ~ 0 + wool + tension", "poisson"))
)
scopes <- list(logit = "~ . + smoke + ht + ui + I(age * lwt)", logit_cross = "~ (.)^2", probit = "~ . + smoke + ht", gaussian = "~ . + Examination + Catholic + Infant_Mortality",
  gaussian_weights = "~ . + fw", gamma = "~ . + log(Height) + Girth", inverse = "~ . + Girth", poisson = "~ .^2", quine = "~ .^2 + Lrn", quasipoisson = "~ . + pw", no_intercept = "~ . + wool:tension")
estimated <- function(f) !(f$family$family %in% c("poisson", "binomial"))

tables <- lapply(names(models), function(name) {
  f <- models[[name]][[1]]
  tests <- if (estimated(f)) c("Chisq", "Rao", "F") else c("Chisq", "Rao")
  out <- list(id = name, python = models[[name]][[2]])
  out$anova <- lapply(setNames(tests, tests), function(t) rows(quiet(anova(f, test = t))))
  out$drop1 <- lapply(setNames(tests, tests), function(t) rows(quiet(drop1(f, test = t))))
  out$drop1_bic <- rows(drop1(f, k = log(nobs(f))))
  if (!is.null(scopes[[name]])) {
    out$scope <- scopes[[name]]
    out$add1 <- lapply(setNames(tests, tests), function(t) rows(quiet(add1(f, as.formula(scopes[[name]]), test = t))))
  }
  if (!(name %in% c("no_intercept", "gaussian_zeros"))) for (type in c("II", "III"))
    out$robust[[type]] <- rows(quiet(Anova(f, type = type, vcov. = vcovHC(f, type = "HC0"), test.statistic = "Wald")))
  out
})

pair <- function(id, data, family, link, formulas, tests) {
  fits <- lapply(formulas, function(g) fit(as.formula(g), data, family))
  list(id = id, data = data, family = sub("Gamma", "gamma", sub("inverse.gaussian", "inverse_gaussian", family$family)), link = link, formulas = I(formulas),
    tests = lapply(setNames(tests, tests), function(t) rows(quiet(do.call(anova, c(fits, list(test = t)))))))
}
nested <- list(
  pair("logit", "birthwt", binomial(), "logit", c("low ~ age", "low ~ age + lwt + race", "low ~ age * lwt + race + smoke"), c("Chisq", "Rao")),
  pair("logit_down", "birthwt", binomial(), "logit", c("low ~ age + lwt + race", "low ~ age"), c("Chisq")),
  pair("gaussian", "swiss", gaussian(), "identity", c("Fertility ~ Agriculture", "Fertility ~ Agriculture + Education", "Fertility ~ Agriculture * Education + Catholic"), c("F", "Chisq", "Rao")),
  pair("gamma", "trees", Gamma("log"), "log", c("Volume ~ Height", "Volume ~ Height + log(Girth)"), c("F", "Chisq", "Rao")),
  pair("poisson", "insurance", poisson(), "log", c("Claims ~ Group + offset(log(Holders))", "Claims ~ District + Group + Age + offset(log(Holders))"), c("Chisq", "Rao")),
  pair("offset", "insurance", poisson(), "log", c("Claims ~ Group + offset(log(Holders))", "Claims ~ Group + log(Holders)"), c("Chisq")),
  pair("quasipoisson", "warpbreaks", quasipoisson(), "log", c("breaks ~ tension", "breaks ~ wool * tension"), c("F", "Chisq"))
)

walk <- function(id, f, python, scope = NULL, ...) {
  s <- if (is.null(scope)) step(f, trace = 0, ...) else step(f, scope = scope, trace = 0, ...)
  a <- as.data.frame(s$anova)
  list(id = id, python = python, scope = if (is.null(scope)) NULL else lapply(scope, function(g) if (inherits(g, "formula")) paste(deparse(g), collapse = " ") else g),
    arguments = list(...), terms = I(attr(terms(s), "term.labels")), step = I(trimws(a$Step)),
    path = c(list(), lapply(a[, -1], function(x) I(as.numeric(x)))))
}
full <- fit(low ~ age + lwt + race + smoke + ptd + ht + ui + ftv, "birthwt", binomial())
full_python <- python("birthwt", "low ~ age + lwt + race + smoke + ptd + ht + ui + ftv", "binomial")
cars_null <- fit(mpg ~ 1, "mtcars")
walks <- list(
  walk("logit_backward", full, full_python),
  walk("logit_bic", full, full_python, k = log(189)),
  walk("logit_both", fit(low ~ age + lwt, "birthwt", binomial()), python("birthwt", "low ~ age + lwt", "binomial"), list(upper = ~ (age + lwt + smoke + ptd + ui)^2 + race)),
  walk("logit_lower", full, full_python, list(lower = ~ age + ftv, upper = ~ age + lwt + race + smoke + ptd + ht + ui + ftv), k = 6),
  walk("cars_forward", cars_null, python("mtcars", "mpg ~ 1", "gaussian"), list(upper = ~ cyl + disp + hp + drat + wt + qsec), direction = "forward"),
  walk("cars_both", fit(mpg ~ cyl + disp, "mtcars"), python("mtcars", "mpg ~ cyl + disp", "gaussian"), list(upper = ~ cyl + disp + hp + drat + wt * qsec)),
  walk("gamma", fit(Volume ~ Girth + Height + log(Girth) + log(Height), "trees", Gamma("log")), python("trees", "Volume ~ Girth + Height + log(Girth) + log(Height)", "gamma", "log")),
  walk("aliased", fit(Days ~ Eth * Sex * Age * Lrn, "quine", poisson()), python("quine", "Days ~ Eth * Sex * Age * Lrn", "poisson"), k = 40)
)

delta <- function(id, python, f, g) {
  d <- deltaMethod(f, g)
  list(id = id, python = python, expression = g, estimate = d$Estimate, se = d$SE)
}
lg <- fit(low ~ age + lwt + smoke, "birthwt", binomial()); lp <- python("birthwt", "low ~ age + lwt + smoke", "binomial")
gm <- fit(Volume ~ Girth + Height, "trees", Gamma("log")); gp <- python("trees", "Volume ~ Girth + Height", "gamma", "log")
deltas <- list(
  delta("ratio", lp, lg, "age / lwt"), delta("exp", lp, lg, "exp(smoke) - 1"), delta("power", lp, lg, "smoke^2 * exp(-age) + 3 * lwt"),
  delta("sqrt", gp, gm, "sqrt(Girth) / log(1 + Height)"), delta("gaussian", python("swiss", "Fertility ~ Agriculture + Education", "gaussian"), models$gaussian[[1]], "Agriculture * Education^2")
)

rewritten <- lapply(list(
  c("y ~ x * z", ". ~ . - x:z"), c("y ~ x", ". ~ . + z"), c("y ~ x - 1", ". ~ . + z"), c("y ~ x - 1", ". ~ . + 1"), c("y ~ x", ". ~ . - 1"), c("y ~ x + z", "log(.) ~ ."),
  c("y ~ x + z", ". ~ .:w"), c("y ~ x + z", ". ~ . * w"), c("y ~ x + z", "~ . - x"), c("y ~ x + offset(log(n))", ". ~ . + z"), c("y ~ x + offset(n)", ". ~ . - offset(n)"),
  c("y ~ x", "v ~ z + w"), c("y ~ x:z", ". ~ . + x"), c("y ~ x + z", ". ~ 1"), c("cbind(a, b) ~ x", ". ~ . + z"), c("y ~ a * b * d", ". ~ . - a:b:d")
), function(p) list(old = p[1], change = p[2], new = paste(deparse(update.formula(as.formula(p[1]), as.formula(p[2]))), collapse = " ")))

write(toJSON(list(r_version = R.version.string, tables = tables, nested = nested, steps = walks, delta = deltas, formulas = rewritten),
  digits = NA, auto_unbox = TRUE, na = "null", null = "null", pretty = FALSE), file.path(folder, "tests.json"))
