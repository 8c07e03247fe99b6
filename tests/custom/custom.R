# custom.json: Weibull regression with censoring by survival::survreg, and Student-t and Conway-Maxwell-Poisson regression by
# optim, polished by Newton's method with numDeriv's derivatives.
# Rscript custom.R, in the folder tests/custom. R 4.2.2, survival 3.5.3, numDeriv.
for (f in c("lib_json", "lib_glm")) source(file.path("../reference/r", paste0(f, ".R")))
suppressPackageStartupMessages({ library(survival); library(numDeriv) })
options(digits = 17)
read <- function(name) read.csv(file.path("../../docs/data", paste0(name, ".csv")))
ovarian <- read("ovarian"); stackloss <- read("stackloss"); freight <- read("freight")
ovarian$w <- rep(1:3, length.out = nrow(ovarian))
ovarian$site <- rep(1:9, length.out = nrow(ovarian))
tight <- survreg.control(rel.tolerance = 1e-15, maxiter = 200)

weibull <- function(call) {
  f <- eval(call)
  list(r = cl1(call), params = arr(c(coef(f), log(f$scale))), vcov = unname(f$var), loglik = f$loglik[2],
       predicted = arr(unname(predict(f, type = "response")[1:5])), scale = f$scale)
}
plain <- quote(survreg(Surv(futime, fustat) ~ age + ecog_ps + rx, ovarian, dist = "weibull", control = tight))
weighted <- plain; weighted$weights <- quote(w)
clustered <- plain; clustered$cluster <- quote(site)
shifted <- quote(survreg(Surv(futime, fustat) ~ ecog_ps + rx + offset(-age / 20), ovarian, dist = "weibull", control = tight))

# The optimum of a log likelihood, and the covariance of its Hessian.
maximise <- function(ll, start, scale) {
  g <- function(u) ll(u * scale)
  u <- optim(start / scale, g, method = "BFGS", control = list(fnscale = -1, reltol = 1e-15, maxit = 10000))$par
  steps <- list(eps = 0.01, zero.tol = 1)  # in standard errors
  zero <- 0 * u
  for (k in 1:8) { near <- function(v) g(u + v); u <- u - solve(hessian(near, zero, method.args = steps), grad(near, zero, method.args = steps)) }
  near <- function(v) g(u + v)
  V <- scale * t(scale * solve(-hessian(near, zero, method.args = steps)))
  list(params = arr(u * scale), vcov = unname(V), loglik = g(u))
}
X <- model.matrix(stack_loss ~ air_flow + water_temp + acid_conc, stackloss)
student <- maximise(function(p) {
  s <- exp(p[5]); sum(dt((stackloss$stack_loss - X %*% p[1:4]) / s, exp(p[6]), log = TRUE) - p[5])
}, c(-39, 0.7, 1.3, -0.15, 1, 1), c(3.8, 0.05, 0.14, 0.05, 0.4, 0.45))
Z <- model.matrix(broken ~ transfers, freight); k <- 0:300
cmp <- maximise(function(p) {
  e <- drop(Z %*% p[1:2]); nu <- exp(p[3])
  logz <- sapply(e, function(l) { t <- k * l - nu * lgamma(k + 1); max(t) + log(sum(exp(t - max(t)))) })
  sum(freight$broken * e - nu * lgamma(freight$broken + 1) - logz)
}, c(13, 1.4, 1.7), c(6, 0.7, 0.45))
writeLines(to_json(list(weibull = weibull(plain), weighted = weibull(weighted), clustered = weibull(clustered),
                        shifted = weibull(shifted), student = student, cmp = cmp)), "custom.json")
