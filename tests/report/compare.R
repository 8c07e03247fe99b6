# Columns of tests/report/test_compare.py. Rscript tests/report/compare.R from the root writes tests/report/compare.json.
# Made with R 4.2.2, sandwich 3.0.2.

suppressPackageStartupMessages({ library(sandwich); library(jsonlite) })
claims <- read.csv("docs/data/insurance.csv")
claims$Age <- factor(claims$Age, c("<25", "25-29", "30-35", ">35"))
exact <- glm.control(epsilon = 1e-14, maxit = 50)
fits <- list(
  glm(Claims ~ District + offset(log(Holders)), poisson, claims, control = exact),
  glm(Claims ~ District + Age + offset(log(Holders)), poisson, claims, control = exact),
  glm(Claims ~ District + Age + offset(log(Holders)), quasipoisson, claims, control = exact)
)
column <- function(fit) {
  table <- coef(summary(fit))
  ends <- confint.default(fit)
  if (family(fit)$family == "quasipoisson") {
    half <- qt(0.975, df.residual(fit)) * table[, 2]
    ends <- cbind(coef(fit) - half, coef(fit) + half)
  }
  null <- update(fit, . ~ 1 + offset(log(Holders)))
  list(
    names = names(coef(fit)), estimate = table[, 1], std.error = table[, 2], statistic = table[, 3], p.value = table[, 4],
    conf.low = ends[, 1], conf.high = ends[, 2],
    HC1 = sqrt(diag(vcovHC(fit, "HC1"))),
    cluster = sqrt(diag(vcovCL(fit, ~ Group))),
    ratio.std.error = exp(coef(fit)) * table[, 2],
    llf = as.numeric(logLik(fit)), aic = AIC(fit), bic = BIC(fit), deviance = deviance(fit), nobs = nobs(fit),
    scale = summary(fit)$dispersion, pseudo_r2 = 1 - as.numeric(logLik(fit)) / as.numeric(logLik(null))
  )
}
out <- lapply(fits, function(fit) lapply(column(fit), unname))
write(toJSON(out, digits = NA, auto_unbox = TRUE, na = "null", pretty = TRUE), "tests/report/compare.json")
