# vector.json: residuals and tests of terms of polr (MASS), multinom (nnet), zeroinfl and hurdle (pscl), and glm.nb's
# distribution function; car's Anova of types II and III, drop1, likelihood ratios and profile intervals.
# Rscript vector.R, in the folder tests/vector. R 4.2.2, MASS 7.3-58, nnet 7.3-18, pscl 1.5.5, car 3.1.
suppressPackageStartupMessages({library(MASS); library(nnet); library(pscl); library(car); library(jsonlite)})
options(digits = 17, contrasts = c("contr.treatment", "contr.poly"))
read <- function(name) read.csv(file.path("../reference/data", paste0(name, ".csv")), stringsAsFactors = FALSE)
articles <- read("bioChemists")
articles$fem <- factor(articles$fem, levels = c("Men", "Women"))
articles$mar <- factor(articles$mar, levels = c("Single", "Married"))
articles$w <- rep(1:3, length.out = nrow(articles))
housing <- read("housing")
housing$Sat <- factor(housing$Sat, levels = c("Low", "Medium", "High"), ordered = TRUE)
housing$Infl <- factor(housing$Infl, levels = c("Low", "Medium", "High"))
housing$Type <- factor(housing$Type, levels = c("Tower", "Apartment", "Atrium", "Terrace"))
housing$Cont <- factor(housing$Cont, levels = c("Low", "High"))
tight <- list(reltol = 1e-15, maxit = 1000)
table_of <- function(a) list(term = rownames(a), df = a[["Df"]], statistic = a[["LR Chisq"]], p = a[["Pr(>Chisq)"]])
out <- list()

# polr: no residuals of its own; tests of terms and profile intervals
p <- polr(Sat ~ Infl * Cont + Type, data = housing, weights = Freq, Hess = TRUE, control = tight)
d <- drop1(p, test = "Chisq")
flat <- polr(Sat ~ Infl + Cont, data = housing, weights = Freq, Hess = TRUE, method = "probit", control = tight)
out$polr <- list(
  anova2 = table_of(Anova(p, type = "II")), anova3 = table_of(Anova(p, type = "III")),
  drop1 = list(term = rownames(d), df = d[["Df"]], aic = d[["AIC"]], statistic = d[["LRT"]], p = d[["Pr(>Chi)"]]),
  profile = unname(confint(flat)), profiled = rownames(confint(flat)))

# multinom: residuals are indicator less probability
m <- multinom(Sat ~ Infl + Cont + Type, data = housing, weights = Freq, trace = FALSE, maxit = 1000, reltol = 1e-15, abstol = 1e-15)
out$multinom <- list(residuals = unname(residuals(m)[1:12, ]), anova2 = table_of(Anova(m, type = "II", trace = FALSE)))

# pscl: residuals, and likelihood ratios of a term less in one part
lr <- function(a, b) list(df = attr(logLik(a), "df") - attr(logLik(b), "df"), statistic = 2 * as.numeric(logLik(a) - logLik(b)))
pscl_case <- function(f, dist, control) {
  fit <- function(formula) f(formula, data = articles, dist = dist, control = control)
  full <- fit(art ~ fem + kid5 + ment | fem + ment)
  weighted <- f(art ~ fem + ment | ment, data = articles, dist = dist, control = control, weights = w)
  list(pearson = residuals(full, "pearson")[1:12], response = residuals(full, "response")[1:12],
       weighted = residuals(weighted, "pearson")[1:12],
       count_fem = lr(full, fit(art ~ kid5 + ment | fem + ment)), zero_fem = lr(full, fit(art ~ fem + kid5 + ment | ment)),
       zero_ment = lr(full, fit(art ~ fem + kid5 + ment | fem)), aic = AIC(full))
}
zc <- zeroinfl.control(reltol = 1e-15, maxit = 10000); hc <- hurdle.control(reltol = 1e-15, maxit = 10000)
out$zip <- pscl_case(zeroinfl, "poisson", zc)
out$zinb <- pscl_case(zeroinfl, "negbin", zc)
out$hurdle <- pscl_case(hurdle, "poisson", hc)
out$hurdle_nb <- pscl_case(hurdle, "negbin", hc)

# distribution functions of R at made-up values, far into the tails
y <- c(0, 1, 5, 40)
out$cdf <- list(y = y, pois = ppois(y, 3.7), nbinom = pnbinom(y, size = 0.6, mu = 3.7), beta = pbeta(c(1e-8, 0.2, 0.9, 0.999), 0.37, 2.2))
writeLines(toJSON(out, digits = I(17), auto_unbox = TRUE, na = "null"), "vector.json")
