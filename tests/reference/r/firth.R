# firth.json: bias-reduced and Jeffreys-penalised fits of brglm2, and penalised profile intervals by brute force.
# Rscript r/firth.R, in the folder tests/reference. brglm2 0.9, R 4.2.2.
suppressMessages(library(brglm2))
data("endometrial", package = "brglm2")
read <- function(name, factors = character()) {
  d <- read.csv(file.path("data", paste0(name, ".csv")), stringsAsFactors = FALSE)
  for (f in factors) d[[f]] <- factor(d[[f]], levels = sort(unique(d[[f]]), method = "radix"))
  d
}
write.csv(endometrial, "data/endometrial.csv", row.names = FALSE, quote = FALSE)
sep_quasi <- read("sep_quasi", "g"); sep_complete <- read("sep_complete"); zero_level <- read("zero_level", "g")
budworm <- read("budworm", "sex"); clotting <- read("clotting"); insurance <- read("insurance", c("District", "Group", "Age"))
warpbreaks <- read("warpbreaks", c("wool", "tension"))

# A case: R's call, ours, and what differs from the defaults.
binomial_links <- c("logit", "probit", "cloglog", "cauchit")
cases <- list()
add <- function(name, call, formula, data, family, link, kwargs = list()) {
  for (type in c("AS_mean", "MPL_Jeffreys")) {
    call$method <- "brglmFit"; call$type <- type; call$epsilon <- 1e-13; call$maxit <- 5000
    fit <- tryCatch(suppressWarnings(eval(call)), error = function(e) list(converged = FALSE))
    # with the cauchit link brglm2 can run off to 1e300 and say that it has converged
    if (!fit$converged || any(abs(coef(fit)) > 1e3)) { message(name, " ", type, " did not converge"); next }
    known <- family %in% c("binomial", "poisson")
    cases[[length(cases) + 1]] <<- list(
      name = name, type = type, formula = formula, data = data, family = family, link = link, kwargs = kwargs,
      coef = unname(coef(fit)), dispersion = if (known) 1 else fit$dispersion,
      se = unname(sqrt(diag(vcov(fit)))[seq_along(coef(fit))]), deviance = deviance(fit),
      loglik = if (known) as.numeric(logLik(fit)) else NA, null_deviance = fit$null.deviance)
  }
}
for (l in binomial_links) {
  add("endometrial", bquote(glm(HG ~ NV + PI + EH, binomial(.(l)), endometrial)), "HG ~ NV + PI + EH", "endometrial", "binomial", l)
  add("sep_quasi", bquote(glm(y ~ g + x, binomial(.(l)), sep_quasi)), "y ~ C(g) + x", "sep_quasi", "binomial", l)
  add("sep_complete", bquote(glm(y ~ x + z, binomial(.(l)), sep_complete)), "y ~ x + z", "sep_complete", "binomial", l)
  add("budworm", bquote(glm(cbind(dead, alive) ~ sex * ldose, binomial(.(l)), budworm)), "cbind(dead, alive) ~ C(sex) * ldose", "budworm", "binomial", l)
}
add("zero_level", quote(glm(y ~ g + x, poisson, zero_level)), "y ~ C(g) + x", "zero_level", "poisson", "log")
add("insurance", quote(glm(Claims ~ District + Age + offset(log(Holders)), poisson, insurance)),
    "Claims ~ C(District) + C(Age) + offset(np.log(Holders))", "insurance", "poisson", "log")
add("warpbreaks", quote(glm(breaks ~ wool + tension, poisson("sqrt"), warpbreaks)), "breaks ~ C(wool) + C(tension)", "warpbreaks", "poisson", "sqrt")
for (l in c("log", "inverse", "identity"))
  add("clotting", bquote(glm(lot1 ~ log(u), Gamma(.(l)), clotting)), "lot1 ~ np.log(u)", "clotting", "gamma", l)
add("clotting_weighted", quote(glm(lot1 ~ log(u), Gamma("log"), clotting, weights = lot2)), "lot1 ~ np.log(u)", "clotting", "gamma", "log", list(weights = "lot2"))
add("clotting_gaussian", quote(glm(lot1 ~ log(u), gaussian("log"), clotting, start = c(6, -0.8))), "lot1 ~ np.log(u)", "clotting", "gaussian", "log")
add("clotting_ig", quote(glm(lot1 ~ log(u), inverse.gaussian("log"), clotting)), "lot1 ~ np.log(u)", "clotting", "inverse_gaussian", "log")

# ---- penalised profiles: l(beta) + 1/2 log det I(beta), one coefficient held, the others maximised over --------
penalised <- function(X, y, family) function(beta) {
  eta <- drop(X %*% beta); mu <- family$linkinv(eta)
  if (!all(is.finite(mu)) || (family$family == "binomial" && any(mu <= 0 | mu >= 1))) return(-1e10)
  W <- family$mu.eta(eta)^2 / family$variance(mu)
  l <- if (family$family == "binomial") sum(dbinom(y, 1, mu, log = TRUE)) else sum(dpois(y, mu, log = TRUE))
  l + 0.5 * as.numeric(determinant(crossprod(X * sqrt(W)), logarithm = TRUE)$modulus)
}
highest <- function(f, start) {                        # restarted BFGS on numDeriv gradients
  best <- start
  for (k in 1:6) best <- optim(best, function(b) -f(b), gr = function(b) -numDeriv::grad(f, b), method = "BFGS", control = list(reltol = 1e-16, maxit = 500))$par
  best
}
profile_case <- function(name, X, y, family, formula, data, link, level = 0.95) {
  f <- penalised(X, y, family); theta <- highest(f, rep(0.1, ncol(X))); top <- f(theta)
  ends <- sapply(seq_along(theta), function(j) {
    nuisance <- theta[-j]
    drop_at <- function(b) {
      g <- function(o) { full <- numeric(length(theta)); full[j] <- b; full[-j] <- o; f(full) }
      o <- highest(g, nuisance)
      2 * (top - g(o)) - qchisq(level, 1)
    }
    se <- 1 / sqrt(-numDeriv::hessian(f, theta)[j, j])
    side <- function(s) { far <- se; while (drop_at(theta[j] + s * far) < 0) far <- 1.6 * far
      theta[j] + s * uniroot(function(d) drop_at(theta[j] + s * d), c(1e-6, far), tol = 1e-10)$root }
    c(side(-1), side(1))
  })
  list(name = name, formula = formula, data = data, family = family$family, link = link, level = level,
       coef = theta, penalised_loglik = top, lower = ends[1, ], upper = ends[2, ])
}
profiles <- list(
  profile_case("endometrial", model.matrix(~ NV + PI + EH, endometrial), endometrial$HG, binomial(), "HG ~ NV + PI + EH", "endometrial", "logit"),
  profile_case("sep_quasi", model.matrix(~ g + x, sep_quasi), sep_quasi$y, binomial(), "y ~ C(g) + x", "sep_quasi", "logit"),
  profile_case("sep_quasi_probit", model.matrix(~ g + x, sep_quasi), sep_quasi$y, binomial("probit"), "y ~ C(g) + x", "sep_quasi", "probit", 0.9),
  profile_case("zero_level", model.matrix(~ g + x, zero_level), zero_level$y, poisson(), "y ~ C(g) + x", "zero_level", "log"))
# as the manual of logistf prints it for its data set sex2; the data here grouped, with counts
published <- list(
  names = c("(Intercept)", "age", "oc", "vic", "vicl", "vis", "dia"),
  coef = c(0.12025405, -1.10598130, -0.06881673, 2.26887464, -2.11140816, -0.78831694, 3.09601166),
  lower = c(-0.81855936, -1.97379059, -0.94140984, 1.27301958, -3.26086064, -1.60809721, 0.77456805),
  upper = c(1.07315110, -0.30742658, 0.78923010, 3.43543222, -1.11781660, 0.01518319, 8.03030804),
  chisq = c(0.06286298, 7.50773092, 0.02467044, 22.93139022, 19.10407252, 3.69740975, 7.89693139),
  p = c(8.020268e-01, 6.143472e-03, 8.751911e-01, 1.678877e-06, 1.237805e-05, 5.449701e-02, 4.951873e-03))
jsonlite::write_json(list(cases = cases, profiles = profiles, sex2 = published), "firth.json", auto_unbox = TRUE, digits = NA, na = "null", pretty = TRUE)
