# counts.json: zero-inflated, hurdle and zero-truncated counts of pscl 1.5.5, polished by Newton's method with the analytic
# gradient of lib_other.R, and pscl's Vuong tests.
# Rscript counts.R, in the folder tests/counts. R 4.2.2.
libs <- "../reference/r"
for (f in c("lib_json", "lib_glm", "lib_other")) source(file.path(libs, paste0(f, ".R")))
suppressPackageStartupMessages(library(pscl))
options(digits = 17)
read <- function(name, factors) {
  d <- read.csv(file.path("../reference/data", paste0(name, ".csv")), stringsAsFactors = FALSE)
  for (f in names(factors)) d[[f]] <- factor(d[[f]], levels = factors[[f]])
  d
}
articles <- read("bioChemists", list(fem = c("Men", "Women"), mar = c("Single", "Married")))
articles$w <- rep(1:3, length.out = nrow(articles))
trips <- read("RecreationDemand", list(ski = c("no", "yes"), userfee = c("no", "yes")))

cases <- list()
add <- function(name, data, call, kind, dist, zlink = "logit") {
  r <- run_zi(call, kind, dist, zlink)
  e <- r$exp
  fit <- eval(call)
  at <- c(0, 1, 2, 5)
  # pscl's probabilities at its own optimum, 1e-5 standard errors from this one
  prob <- unname(predict(fit, type = "prob")[1:5, at + 1])
  cases[[length(cases) + 1]] <<- list(
    name = name, data = data, r = cl1(call), kind = kind, dist = dist, zero_link = zlink, formula = cl1(call[[2]]),
    params = e$coef, se = e$se, vcov = e$vcov, loglik = e$loglik, aic = e$aic, mean = e$predict_first10$response_mean,
    count = e$predict_first10$count_mean, zero_part = e$predict_first10$zero, zero = e$predict_first10$prob_of_zero,
    at = arr(at), probabilities = prob)
}
add("zip offset", "articles", quote(zeroinfl(art ~ fem + kid5 + ment + offset(log(phd)) | ment, data = articles, dist = "poisson")), "zeroinfl", "poisson")
add("zip probit", "articles", quote(zeroinfl(art ~ fem + kid5 + ment | fem + ment, data = articles, dist = "poisson", link = "probit")), "zeroinfl", "poisson", "probit")
add("zip weights", "articles", quote(zeroinfl(art ~ fem + kid5 + ment | ment, data = articles, dist = "poisson", weights = w)), "zeroinfl", "poisson")
add("zip constant", "articles", quote(zeroinfl(art ~ fem + mar + kid5 + phd + ment | 1, data = articles, dist = "poisson")), "zeroinfl", "poisson")
add("zinb cloglog", "articles", quote(zeroinfl(art ~ fem + kid5 + ment | ment, data = articles, dist = "negbin", link = "cloglog")), "zeroinfl", "negbin", "cloglog")
add("zinb trips", "trips", quote(zeroinfl(trips ~ quality + ski + income + costC + costS + costH | quality + income, data = trips, dist = "negbin")), "zeroinfl", "negbin")
add("zip offset argument", "articles", quote(zeroinfl(art ~ fem + ment, data = articles, dist = "poisson", offset = log(phd))), "zeroinfl", "poisson")
add("zip offset in both", "articles", quote(zeroinfl(art ~ fem + ment + offset(log(phd)), data = articles, dist = "poisson")), "zeroinfl", "poisson")
add("zinb unscaled", "articles", quote(zeroinfl(art ~ kid5 + ment + phd, data = articles, dist = "negbin")), "zeroinfl", "negbin")
add("hurdle offset argument", "articles", quote(hurdle(art ~ fem + ment, data = articles, dist = "poisson", offset = log(phd))), "hurdle", "poisson")
add("hurdle offset", "articles", quote(hurdle(art ~ fem + kid5 + ment + offset(log(phd)) | mar + ment, data = articles, dist = "poisson")), "hurdle", "poisson")
add("hurdle probit", "articles", quote(hurdle(art ~ fem + kid5 + ment | fem + mar + ment, data = articles, dist = "poisson", link = "probit")), "hurdle", "poisson", "probit")
add("hurdle weights", "articles", quote(hurdle(art ~ fem + kid5 + ment, data = articles, dist = "negbin", weights = w)), "hurdle", "negbin")
add("hurdle cauchit", "articles", quote(hurdle(art ~ fem + kid5 + ment | ment, data = articles, dist = "negbin", link = "cauchit")), "hurdle", "negbin", "cauchit")

# The count part of a hurdle model is the zero-truncated regression of its positive rows.
truncated <- list()
cut <- function(name, data, call, dist, y) {
  e <- run_zi(call, "hurdle", dist)$exp
  keep <- grep("^count_|^log", e$param_names$x)
  yes <- glm((y > 0) ~ 1, binomial, control = glm.control(epsilon = 1e-14))
  truncated[[length(truncated) + 1]] <<- list(name = name, data = data, dist = dist, formula = sub(" [|].*", "", cl1(call[[2]])),
    params = arr(e$coef$x[keep]), se = arr(e$se$x[keep]), loglik = e$loglik - as.numeric(logLik(yes)))
}
cut("poisson", "articles", quote(hurdle(art ~ fem + kid5 + ment | 1, data = articles, dist = "poisson")), "poisson", articles$art)
cut("negative binomial", "articles", quote(hurdle(art ~ fem + kid5 + ment | 1, data = articles, dist = "negbin")), "negbin", articles$art)
cut("trips", "trips", quote(hurdle(trips ~ quality + ski + costC + costS | 1, data = trips, dist = "negbin")), "negbin", trips$trips)

# pscl::vuong prints its numbers only; they are computed here from its predprob(), and the print is kept beside.
vuongs <- list()
compare <- function(name, m1, m2, y) {
  at <- cbind(seq_along(y), y + 1)
  l <- log(predprob(m1)[at]) - log(predprob(m2)[at])
  n <- length(y); k <- length(coef(m1)) - length(coef(m2)) + (!is.null(m1$theta)) - (!is.null(m2$theta))
  v <- c(sum(l), sum(l) - k, sum(l) - k * log(n) / 2) / (sqrt(n) * sd(l))
  vuongs[[length(vuongs) + 1]] <<- list(name = name, statistic = arr(v), p = arr(pnorm(abs(v), lower.tail = FALSE)),
    printed = arr(capture.output(vuong(m1, m2))))
}
tight <- zeroinfl.control(reltol = 1e-16, maxit = 100000)
tighter <- hurdle.control(reltol = 1e-16, maxit = 100000)
zip <- zeroinfl(art ~ fem + mar + kid5 + phd + ment, articles, control = tight)
zinb <- zeroinfl(art ~ fem + mar + kid5 + phd + ment | ment, articles, dist = "negbin", control = tight)
hp <- hurdle(art ~ fem + mar + kid5 + phd + ment, articles, control = tighter)
p <- glm(art ~ fem + mar + kid5 + phd + ment, poisson, articles, control = glm.control(epsilon = 1e-14))
compare("zip hurdle", zip, hp, articles$art)
compare("zinb zip", zinb, zip, articles$art)
compare("zip poisson", zip, p, articles$art)

writeLines(to_json(list(cases = cases, truncated = truncated, vuong = vuongs)), "counts.json")
