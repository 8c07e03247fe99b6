# Slopes, comparisons, averaged predictions and marginal means of glm fits: Rscript r/effects.R FOLDER_OF_DATA OUTPUT.json
# Effects are those that marginaleffects defines, with derivatives in the data and in the coefficients by numDeriv
# (Richardson); marginal means and their contrasts are those of emmeans with cov.keep = 0.
suppressMessages({library(jsonlite); library(numDeriv); library(emmeans); library(splines); library(MASS)})
arguments <- commandArgs(TRUE); folder <- arguments[1]
facts <- fromJSON(file.path(folder, "datasets.json"), simplifyVector = FALSE)
read <- function(name) {
  d <- read.csv(file.path(folder, facts[[name]]$file), na.strings = "NA", stringsAsFactors = FALSE)
  for (column in names(d)) {
    fact <- facts[[name]]$columns[[column]]
    if (identical(fact$type, "factor")) d[[column]] <- factor(as.character(d[[column]]), levels = unlist(fact$levels))
  }
  d
}
tight <- glm.control(epsilon = 1e-14, maxit = 100)
dispersion <- function(fit) if (fit$family$family %in% c("poisson", "binomial")) 1 else
  sum(fit$weights * fit$residuals^2, na.rm = TRUE) / fit$df.residual
covariance <- function(fit) summary(fit, dispersion = dispersion(fit))$cov.scaled
matrix_of <- function(fit, data) {
  b <- coef(fit); kept <- !is.na(b)
  tt <- delete.response(terms(fit))
  frame <- suppressWarnings(model.frame(tt, data, xlev = fit$xlevels, na.action = na.pass))
  offset <- model.offset(frame)
  list(X = suppressWarnings(model.matrix(tt, frame, contrasts.arg = fit$contrasts))[, kept, drop = FALSE],
       offset = if (is.null(offset)) rep(0, nrow(data)) else offset)
}
used <- function(fit, data) data[rownames(model.frame(fit)), , drop = FALSE]
mean_by <- function(v, w, groups) if (is.null(groups)) sum(v * w) / sum(w) else
  sapply(split(seq_along(v), groups, drop = TRUE), function(i) sum(v[i] * w[i]) / sum(w[i]))
delta <- function(f, fit) {
  b <- coef(fit); b <- b[!is.na(b)]; J <- jacobian(f, b); V <- covariance(fit)[names(b), names(b)]
  list(estimate = as.numeric(f(b)), se = sqrt(diag(J %*% V %*% t(J))))
}
groups_of <- function(d, by) if (is.null(by)) NULL else interaction(d[by], drop = TRUE, lex.order = TRUE)
slope <- function(fit, data, x, by = NULL, link = FALSE, w = NULL) {
  d <- used(fit, data); w <- if (is.null(w)) rep(1, nrow(d)) else d[[w]]
  at <- function(t) { e <- d; e[[x]] <- e[[x]] + t; matrix_of(fit, e) }
  m <- at(0)
  dX <- matrix(jacobian(function(t) as.vector(at(t)$X), 0), nrow(d))
  do <- as.vector(jacobian(function(t) at(t)$offset, 0))
  delta(function(b) {
    step <- as.vector(dX %*% b) + do; eta <- as.vector(m$X %*% b) + m$offset
    mean_by(if (link) step else fit$family$mu.eta(eta) * step, w, groups_of(d, by))
  }, fit)
}
compare <- function(fit, data, x, high, low, kind = "difference", by = NULL, link = FALSE, w = NULL) {
  d <- used(fit, data); w <- if (is.null(w)) rep(1, nrow(d)) else d[[w]]
  set <- function(v) { e <- d; e[[x]] <- if (is.factor(d[[x]])) factor(v, levels(d[[x]])) else v(d[[x]]); matrix_of(fit, e) }
  h <- set(high); l <- set(low); inverse <- if (link) identity else fit$family$linkinv
  delta(function(b) {
    hi <- mean_by(inverse(as.vector(h$X %*% b) + h$offset), w, groups_of(d, by))
    lo <- mean_by(inverse(as.vector(l$X %*% b) + l$offset), w, groups_of(d, by))
    switch(kind, difference = hi - lo, ratio = hi / lo, lift = (hi - lo) / lo)
  }, fit)
}
average <- function(fit, data, set = list(), by = NULL) {
  d <- used(fit, data)
  e <- d; for (n in names(set)) e[[n]] <- if (is.factor(d[[n]])) factor(set[[n]], levels(d[[n]])) else set[[n]]
  m <- matrix_of(fit, e)
  delta(function(b) mean_by(fit$family$linkinv(as.vector(m$X %*% b) + m$offset), rep(1, nrow(d)), groups_of(d, by)), fit)
}
out <- list()
add <- function(model, call, value) out[[length(out) + 1]] <<- list(model = unbox(model), call = call, value = value)
u <- unbox
models <- list()
model <- function(id, data, python, fit, beside = list()) {
  models[[id]] <<- c(list(data = u(data), formula = u(python), family = u(sub("^Gamma$", "gamma", fit$family$family)),
                          link = u(sub("1/mu^2", "inverse_squared", fit$family$link, fixed = TRUE))), lapply(beside, u))
  fit
}
shift <- function(by) function(v) v + by
same <- function(v) v
to <- function(value) function(v) rep(value, length(v))

trees <- read("trees"); birthwt <- read("birthwt"); discoveries <- read("discoveries"); clotting <- read("clotting")
budworm <- read("budworm"); insurance <- read("insurance"); mtcars2 <- read("mtcars"); cars2 <- read("cars")
survey <- read("survey"); quine <- read("quine"); warp <- read("warpbreaks"); sprays <- read("InsectSprays")
g <- function(...) glm(..., control = tight)

f <- model("gamma_log", "trees", "Volume ~ log(Girth) * Height", g(Volume ~ log(Girth) * Height, Gamma("log"), trees))
for (x in c("Girth", "Height")) { add("gamma_log", list(what = u("slopes"), variables = u(x)), slope(f, trees, x))
  add("gamma_log", list(what = u("slopes"), variables = u(x), scale = u("link")), slope(f, trees, x, link = TRUE)) }
f <- model("gamma_inverse", "clotting", "lot1 ~ log(u)", g(lot1 ~ log(u), Gamma, clotting))
add("gamma_inverse", list(what = u("slopes"), variables = u("u")), slope(f, clotting, "u"))
add("gamma_inverse", list(what = u("comparisons"), variables = u("u"), kind = u("ratio")), compare(f, clotting, "u", shift(1), same, "ratio"))
f <- model("poisson_poly", "discoveries", "count ~ poly(t, 3)", g(count ~ poly(t, 3), poisson, discoveries))
add("poisson_poly", list(what = u("slopes"), variables = u("t")), slope(f, discoveries, "t"))
f <- model("logit_bs", "birthwt", "low ~ bs(age, df=5, degree=3) + lwt * C(race) + smoke",
           g(low ~ bs(age, df = 5) + lwt * race + smoke, binomial, birthwt))
for (by in list(NULL, "race", c("smoke", "race"))) for (x in c("age", "lwt"))
  add("logit_bs", list(what = u("slopes"), variables = u(x), by = by), slope(f, birthwt, x, by))
for (kind in c("difference", "ratio", "lift")) {
  add("logit_bs", list(what = u("comparisons"), variables = list(race = c("white", "other")), kind = u(kind)), compare(f, birthwt, "race", "other", "white", kind))
  add("logit_bs", list(what = u("comparisons"), variables = list(race = c("black", "other")), kind = u(kind), by = "smoke"), compare(f, birthwt, "race", "other", "black", kind, "smoke"))
  add("logit_bs", list(what = u("comparisons"), variables = list(lwt = u(10)), kind = u(kind)), compare(f, birthwt, "lwt", shift(10), same, kind))
  add("logit_bs", list(what = u("comparisons"), variables = list(lwt = c(100, 150)), kind = u(kind)), compare(f, birthwt, "lwt", to(150), to(100), kind))
}
ends <- mean(birthwt$lwt) + c(-1, 1) * sd(birthwt$lwt) / 2; quarters <- unname(quantile(birthwt$lwt, c(.25, .75)))
add("logit_bs", list(what = u("comparisons"), variables = list(lwt = u("sd"))), compare(f, birthwt, "lwt", to(ends[2]), to(ends[1])))
add("logit_bs", list(what = u("comparisons"), variables = list(lwt = u("iqr"))), compare(f, birthwt, "lwt", to(quarters[2]), to(quarters[1])))
add("logit_bs", list(what = u("comparisons"), variables = list(race = c("white", "black")), scale = u("link")), compare(f, birthwt, "race", "black", "white", link = TRUE))
add("logit_bs", list(what = u("predictions"), average = u(TRUE)), average(f, birthwt))
add("logit_bs", list(what = u("predictions"), by = "race"), average(f, birthwt, by = "race"))
add("logit_bs", list(what = u("predictions"), grid = list(race = u("black"), lwt = u(120)), average = u(TRUE)), average(f, birthwt, list(race = "black", lwt = 120)))
f <- model("cloglog_cbind", "budworm", "cbind(dead, alive) ~ C(sex) * ldose", g(cbind(dead, alive) ~ sex * ldose, binomial("cloglog"), budworm))
add("cloglog_cbind", list(what = u("slopes"), variables = u("ldose"), by = "sex"), slope(f, budworm, "ldose", "sex"))
add("cloglog_cbind", list(what = u("comparisons"), variables = u("sex"), kind = u("ratio")), compare(f, budworm, "sex", "M", "F", "ratio"))
f <- model("cauchit", "birthwt", "low ~ lwt + smoke * age", suppressWarnings(glm(low ~ lwt + smoke * age, binomial("cauchit"), birthwt,
           control = glm.control(epsilon = 1e-300, maxit = 100))))  # its steps shrink slowly
add("cauchit", list(what = u("slopes"), variables = u("age"), by = "smoke"), slope(f, birthwt, "age", "smoke"))
f <- model("offset_of_variable", "insurance", "Claims ~ C(District) + I(Holders**0.5) + offset(log(Holders))",
           g(Claims ~ District + sqrt(Holders) + offset(log(Holders)), poisson, insurance))
add("offset_of_variable", list(what = u("slopes"), variables = u("Holders")), slope(f, insurance, "Holders"))
add("offset_of_variable", list(what = u("comparisons"), variables = list(Holders = u(5))), compare(f, insurance, "Holders", shift(5), same))
add("offset_of_variable", list(what = u("comparisons"), variables = list(District = c("D1", "D4"))), compare(f, insurance, "District", "D4", "D1"))
f <- model("gaussian_t", "mtcars", "mpg ~ wt * hp + C(cyl) + I(qsec**2)", g(mpg ~ wt * hp + factor(cyl) + I(qsec^2), gaussian, mtcars2))
for (x in c("wt", "hp", "qsec")) add("gaussian_t", list(what = u("slopes"), variables = u(x), by = "cyl"), slope(f, mtcars2, x, "cyl"))
f <- model("prior_weights", "cars", "dist ~ speed", glm(dist ~ speed, gaussian("log"), cars2, weights = w, control = tight), list(weights = "w"))
add("prior_weights", list(what = u("slopes"), variables = u("speed")), slope(f, cars2, "speed"))
add("prior_weights", list(what = u("slopes"), variables = u("speed"), weights = u("w")), slope(f, cars2, "speed", w = "w"))
f <- model("missing_rows", "survey", "Height ~ Wr_Hnd * C(Sex) + C(Smoke)", g(Height ~ Wr_Hnd * Sex + Smoke, gaussian("log"), survey))
add("missing_rows", list(what = u("slopes"), variables = u("Wr_Hnd"), by = "Sex"), slope(f, survey, "Wr_Hnd", "Sex"))
add("missing_rows", list(what = u("comparisons"), variables = list(Smoke = c("Never", "Heavy"))), compare(f, survey, "Smoke", "Heavy", "Never"))
f <- model("aliased", "quine", "Days ~ C(Eth) * C(Sex) + C(Age) * C(Lrn)", g(Days ~ Eth * Sex + Age * Lrn, quasipoisson, quine))
add("aliased", list(what = u("comparisons"), variables = list(Eth = c("A", "N"))), compare(f, quine, "Eth", "N", "A"))

means <- list()
tidy <- function(s) {
  d <- as.data.frame(s)
  names(d) <- sub("^(emmean|prob|rate|response|hazard|ratio|odds.ratio)$", "estimate", names(d))
  names(d) <- sub("^(asymp.LCL|lower.CL)$", "low", names(d)); names(d) <- sub("^(asymp.UCL|upper.CL)$", "high", names(d))
  names(d) <- sub("^(z|t).ratio$", "statistic", names(d))
  for (j in seq_along(d)) if (is.factor(d[[j]])) d[[j]] <- as.character(d[[j]])
  as.list(d[setdiff(names(d), c("df", "null"))])
}
quiet <- function(x) suppressWarnings(suppressMessages(x))
marginal <- function(id, fit, specs, by = NULL, at = list(), offset = NULL, data) {
  ask <- list(fit, specs = specs, by = by, at = at, data = data, cov.keep = 0)
  if (!is.null(offset)) ask$offset <- offset
  em <- quiet(do.call(emmeans, ask)); both <- c(TRUE, TRUE)
  case <- list(model = u(id), specs = specs, by = by, at = if (length(at)) at else NULL, offset = if (is.null(offset)) NULL else u(offset),
    link = tidy(summary(em, type = "link")), response = tidy(summary(em, type = "response")), pairs = list(), contrasts = list())
  for (adjust in c("tukey", "holm", "bonferroni", "fdr", "sidak", "none"))
    case$pairs[[adjust]] <- tidy(quiet(summary(pairs(em), adjust = adjust, infer = both, type = "link")))
  case$ratios <- tidy(quiet(summary(pairs(em), adjust = "none", infer = both, type = "response")))
  for (m in c("trt.vs.ctrl1", "consec", "eff", "revpairwise"))
    case$contrasts[[m]] <- tidy(quiet(summary(contrast(em, m), adjust = "sidak", infer = both, type = "link")))
  means[[length(means) + 1]] <<- case
}
f <- model("insurance", "insurance", "Claims ~ C(District) + C(Group) + C(Age) + offset(log(Holders))",
           g(Claims ~ District + Group + Age + offset(log(Holders)), poisson, insurance))
marginal("insurance", f, "Group", data = insurance)
marginal("insurance", f, c("Age", "District"), offset = 0, data = insurance)
f <- model("gaussian_means", "mtcars", "mpg ~ wt * C(am) + log(qsec) + C(cyl)",
           g(mpg ~ wt * am + log(qsec) + cyl, gaussian, transform(mtcars2, am = factor(am), cyl = factor(cyl))))
data2 <- transform(mtcars2, am = factor(am), cyl = factor(cyl))
marginal("gaussian_means", f, "cyl", data = data2)
marginal("gaussian_means", f, "cyl", "am", at = list(wt = 2.5), data = data2)
f <- model("gamma_means", "warpbreaks", "breaks ~ C(wool) * C(tension)", g(breaks ~ wool * tension, Gamma, warp))
marginal("gamma_means", f, "tension", "wool", data = warp)
f <- model("logit_means", "birthwt", "low ~ age + lwt * C(race) + smoke", g(low ~ age + lwt * race + smoke, binomial, birthwt))
marginal("logit_means", f, "race", data = birthwt)
marginal("logit_means", f, c("race", "lwt"), at = list(lwt = c(100, 140)), data = birthwt)
f <- model("spray_means", "InsectSprays", "count ~ C(spray)", g(count ~ spray, poisson("sqrt"), sprays))
marginal("spray_means", f, "spray", data = sprays)
f <- model("empty_cell", "quine", "Days ~ C(Sex) + C(Age) * C(Lrn)", g(Days ~ Sex + Age * Lrn, poisson, quine))
marginal("empty_cell", f, "Age", data = quine)
marginal("empty_cell", f, "Age", "Lrn", data = quine)
writeLines(toJSON(list(models = models, effects = out, means = means), digits = I(17), na = "null", null = "null", pretty = FALSE), arguments[2])
