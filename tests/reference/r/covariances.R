# Robust covariances of packages sandwich and clubSandwich, for tests/reference/test_covariances.py.
# Rscript covariances.R OUTPUT_FOLDER writes covariances.json and data/panel.csv.
# Made with R 4.2.2, sandwich 3.0.2, clubSandwich 0.5.8.

suppressPackageStartupMessages({ library(sandwich); library(clubSandwich); library(jsonlite) })
out <- commandArgs(TRUE)[1]

# 14 firms of unequal size over 12 years, some rows missing; the firms' and years' shocks are shared.
set.seed(20240611)
panel <- expand.grid(year = 2001:2012, firm = sprintf("f%02d", 1:14))
panel <- panel[sort(sample(nrow(panel), 131)), ]
firm_shock <- setNames(rnorm(14, 0, 0.5), sprintf("f%02d", 1:14))
year_shock <- setNames(rnorm(12, 0, 0.3), 2001:2012)
panel <- within(panel, {
  x <- round(rnorm(length(firm)) + firm_shock[as.character(firm)], 3)
  z <- round(runif(length(firm)), 3)
  region <- c("north", "south", "west")[1 + as.integer(substr(firm, 2, 3)) %% 3]
  w <- sample(c(0.5, 1, 2, 3.5), length(firm), TRUE)
  times <- sample(1:3, length(firm), TRUE)
  o <- round(runif(length(firm), -0.3, 0.3), 3)
  eta <- 0.4 + 0.3 * x - 0.4 * z + 0.2 * (region == "south") + firm_shock[as.character(firm)] + year_shock[as.character(year)]
  y <- round(eta + rnorm(length(firm), 0, 0.4), 4)
  count <- rpois(length(firm), exp(eta + o))
  yes <- rbinom(length(firm), 1, plogis(eta - 0.3))
  positive <- round(rgamma(length(firm), 4, 4 / exp(0.5 * eta)), 4)
})
panel <- panel[sample(nrow(panel)), c("firm", "year", "region", "x", "z", "w", "times", "o", "y", "count", "yes", "positive")]
rownames(panel) <- NULL
panel$xz <- panel$x + panel$z
panel$at <- rank(panel$year * 100 + as.integer(substr(panel$firm, 2, 3)))  # a time of its own for every row
panel$firm <- as.character(panel$firm)
write.csv(panel, file.path(out, "data", "panel.csv"), row.names = FALSE, quote = FALSE)
panel$region <- factor(panel$region)

tight <- glm.control(epsilon = 1e-14, maxit = 100)
fits <- list(
  list(id = "gaussian", fit = glm(y ~ x + z + region, data = panel, control = tight),
       python = list(formula = "y ~ x + z + C(region)", family = "gaussian")),
  list(id = "gaussian_weights", fit = glm(y ~ x + z + region, weights = w, data = panel, control = tight),
       python = list(formula = "y ~ x + z + C(region)", family = "gaussian", weights = "w")),
  list(id = "gaussian_aliased", fit = glm(y ~ x + z + xz + region, data = panel),  # a tight epsilon finds no aliasing
       python = list(formula = "y ~ x + z + xz + C(region)", family = "gaussian")),
  list(id = "gaussian_firms", fit = glm(y ~ x + z + firm, data = panel, control = tight),
       python = list(formula = "y ~ x + z + C(firm)", family = "gaussian")),
  list(id = "logit", fit = glm(yes ~ x + z + region, binomial, data = panel, control = tight),
       python = list(formula = "yes ~ x + z + C(region)", family = "binomial")),
  list(id = "probit_no_constant", fit = glm(yes ~ 0 + x + z, binomial("probit"), data = panel, control = tight),
       python = list(formula = "yes ~ 0 + x + z", family = "binomial", link = "probit")),
  list(id = "poisson_offset", fit = glm(count ~ x * region + z, poisson, offset = o, data = panel, control = tight),
       python = list(formula = "count ~ x * C(region) + z", family = "poisson", offset = "o")),
  list(id = "poisson_weights", fit = glm(count ~ x + z, poisson, weights = w, data = panel, control = tight),
       python = list(formula = "count ~ x + z", family = "poisson", weights = "w")),
  list(id = "poisson_firms", fit = glm(count ~ x + z + firm, poisson, data = panel, control = tight),
       python = list(formula = "count ~ x + z + C(firm)", family = "poisson")),
  list(id = "gamma_inverse", fit = glm(positive ~ x + z, Gamma("inverse"), data = panel, control = tight),
       python = list(formula = "positive ~ x + z", family = "gamma", link = "inverse")),
  list(id = "gamma_log_weights", fit = glm(positive ~ x + z + region, Gamma("log"), weights = w, data = panel, control = tight),
       python = list(formula = "positive ~ x + z + C(region)", family = "gamma", link = "log", weights = "w"))
)

numbers <- function(V) { V <- as.matrix(V); unname(V) }
one <- function(name, V, ...) list(kind = name, arguments = list(...), vcov = numbers(V))

covariances <- function(fit, singular) {
  found <- list(
    one("HC0", vcovHC(fit, "HC0")), one("HC1", vcovHC(fit, "HC1")),
    one("HC2", vcovHC(fit, "HC2")), one("HC3", vcovHC(fit, "HC3")),
    one("CR0", vcovCL(fit, cluster = ~firm, type = "HC0", cadjust = FALSE), cluster = "firm"),
    one("cluster", vcovCL(fit, cluster = ~firm, type = "HC0"), cluster = "firm"),
    one("CR1S", vcovCL(fit, cluster = ~firm, type = "HC1"), cluster = "firm"),
    one("CR0", vcovCL(fit, cluster = ~firm + year, type = "HC0", cadjust = FALSE), cluster = c("firm", "year")),
    one("cluster", vcovCL(fit, cluster = ~firm + year, type = "HC0"), cluster = c("firm", "year")),
    one("CR1S", vcovCL(fit, cluster = ~firm + year, type = "HC1"), cluster = c("firm", "year")),
    one("cluster", vcovCL(fit, cluster = ~firm + year + region, type = "HC0"), cluster = c("firm", "year", "region")),
    one("HAC", NeweyWest(fit, lag = 3, prewhite = FALSE, order.by = panel$at), lag = 3, order = "at"),
    one("HAC", NeweyWest(fit, lag = 0, prewhite = FALSE), lag = 0),
    one("HAC", NeweyWest(fit, lag = 5, prewhite = FALSE, adjust = TRUE), lag = 5, adjust = TRUE),
    one("HAC", kernHAC(fit, bw = 5, kernel = "Parzen", prewhite = FALSE, adjust = FALSE, order.by = panel$at),
        lag = 4, order = "at", kernel = "parzen"),
    one("driscoll_kraay", vcovPL(fit, cluster = panel$firm, order.by = panel$year, lag = 2, aggregate = TRUE), time = "year", lag = 2),
    one("driscoll_kraay", vcovPL(fit, cluster = panel$firm, order.by = panel$year, lag = 3, aggregate = TRUE, adjust = FALSE),
        time = "year", lag = 3, adjust = FALSE),
    one("driscoll_kraay", vcovPL(fit, cluster = panel$firm, order.by = panel$year, lag = "NW1987", aggregate = TRUE), time = "year")
  )
  for (type in c("CR2", "CR3")) for (by in c("firm", "year")) {
    if (anyNA(coef(fit)) || (by == "firm" && singular && type == "CR3")) next  # clubSandwich has none
    V <- tryCatch(vcovCR(fit, cluster = panel[[by]], type = type), error = function(e) NULL)
    if (is.null(V)) { message(type, " by ", by, ": none for ", deparse(formula(fit))); next }
    # NULL where clubSandwich needs the inverse of a cross product that has none
    df <- tryCatch(as.numeric(coef_test(fit, vcov = V, test = "Satterthwaite")$df), error = function(e) NULL)
    found <- c(found, list(c(one(type, V, cluster = by), list(df = df))))
  }
  found
}

# One more step a refit: the deviance stops R while a non-canonical link is still 1e-7 standard errors away.
polished <- function(fit) { for (k in 1:8) fit <- update(fit, start = coef(fit)); fit }

cases <- lapply(fits, function(f) {
  if (!anyNA(coef(f$fit))) f$fit <- polished(f$fit)
  keep <- !is.na(coef(f$fit))
  list(id = f$id, python = f$python, coef = unname(coef(f$fit)[keep]), defined = which(keep) - 1,
       names = names(coef(f$fit)), covariances = covariances(f$fit, grepl("firms", f$id)))
})
writeLines(toJSON(list(cases = cases), digits = NA, auto_unbox = TRUE, null = "null", na = "null"), file.path(out, "covariances.json"))
