# many.json: one model a group by lapply(split()), one negative binomial a response by MASS::glm.nb, a jackknife by
# refitting, and leave-one-out cross-validation of boot::cv.glm.
# Rscript many.R, in the folder tests/many. R 4.2.2.
source("../reference/r/lib_json.R")
suppressPackageStartupMessages({library(MASS); library(boot)})
options(digits = 17)
tight <- glm.control(epsilon = 1e-15, maxit = 200)
read <- function(name) read.csv(file.path("../reference/data", paste0(name, ".csv")), stringsAsFactors = FALSE)
sorted <- function(x) factor(x, levels = sort(unique(x), method = "radix"))

facts <- function(fit) {
  s <- summary(fit)
  b <- coef(fit)
  se <- rep(NA_real_, length(b))
  se[!is.na(b)] <- sqrt(diag(s$cov.unscaled) * s$dispersion)
  list(params = unname(b), bse = se, dispersion = s$dispersion, deviance = fit$deviance, null = fit$null.deviance,
       llf = as.numeric(logLik(fit)), aic = AIC(fit), df = fit$df.residual, n = nobs(fit))
}
by <- function(formula, data, key, family, ...) {
  groups <- split(data, data[[key]])
  fits <- lapply(groups, function(d) suppressWarnings(glm(formula, family, d, control = tight, ...)))
  list(names = names(coef(fits[[1]])), keys = names(groups), fits = unname(lapply(fits, facts)))
}

insurance <- read("insurance")
insurance$District <- sorted(insurance$District)
insurance$Age <- sorted(insurance$Age)
insurance$Group <- sorted(insurance$Group)
petrol <- read("petrol")
petrol$No <- sorted(petrol$No)
budworm <- read("budworm")
lots <- read("clotting")
clotting <- rbind(data.frame(u = lots$u, lot = "a", y = lots$lot1), data.frame(u = lots$u, lot = "b", y = lots$lot2))
seatbelts <- read("Seatbelts")
seatbelts$year <- (seatbelts$t - 1) %/% 12

out <- list(
  poisson = by(Claims ~ Group + Age + offset(log(Holders)), insurance, "District", poisson()),
  gaussian = by(Y ~ EP, petrol, "No", gaussian()),
  binomial = by(cbind(dead, alive) ~ ldose, budworm, "sex", binomial()),
  gamma = by(y ~ log(u), clotting, "lot", Gamma())
)
responses <- c("DriversKilled", "front", "rear", "VanKilled")
out$sizes <- lapply(responses, function(name) {
  fit <- suppressWarnings(glm.nb(as.formula(paste(name, "~ kms + PetrolPrice + law")), seatbelts, control = glm.control(1e-14, maxit = 500)))
  for (k in 1:50) {  # glm.nb stops its alternation early
    theta <- theta.ml(fit$y, fitted(fit), limit = 200, eps = 1e-14)
    fit <- glm(formula(fit), negative.binomial(as.numeric(theta)), seatbelts, control = tight)
  }
  s <- summary(fit, dispersion = 1)
  list(name = name, params = unname(coef(fit)), bse = unname(s$coefficients[, 2]), theta = as.numeric(theta),
       se_theta = attr(theta, "SE"), deviance = fit$deviance,
       llf = sum(dnbinom(fit$y, size = as.numeric(theta), mu = fitted(fit), log = TRUE)))
})
front <- glm(front ~ kms + PetrolPrice + law, Gamma("log"), seatbelts, control = tight)
without <- function(unit) {
  units <- unique(unit)
  b <- t(sapply(units, function(u) coef(update(front, data = seatbelts[unit != u, ]))))
  gaps <- sweep(b, 2, colMeans(b))
  list(covariance = unname(crossprod(gaps)) * (length(units) - 1) / length(units), first = unname(b[1, ]))
}
out$jackknife <- list(rows = without(seatbelts$t), clusters = without(seatbelts$year))
binary <- glm(Sex ~ Days, binomial(), transform(read("quine"), Sex = as.integer(Sex == "M")), control = tight)
gaussian <- glm(front ~ kms + law, gaussian(), seatbelts)
out$cross_validation <- list(binomial = cv.glm(binary$data, binary)$delta[1], gaussian = cv.glm(seatbelts, gaussian)$delta[1])
writeLines(to_json(out), "many.json")
