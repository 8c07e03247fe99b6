# Models of mean and dispersion by nlm() and optim() on R's own densities, polished by Newton steps of numDeriv's
# derivatives; the gaussian one by nlme::gls too. Rscript r/dispersion.R . dispersion.json
suppressPackageStartupMessages({library(jsonlite); library(numDeriv); library(nlme); library(MASS); library(statmod)})
args <- commandArgs(TRUE)
read <- function(name) read.csv(file.path(args[1], "data", paste0(name, ".csv")), stringsAsFactors = TRUE)
write.csv(MASS::petrol, file.path(args[1], "data", "petrol.csv"), row.names = FALSE)
maximum <- function(start, nll) {
  fit <- optim(start, nll, method = "BFGS", control = list(reltol = 1e-15, maxit = 2000))
  par <- fit$par
  for (k in 1:6) par <- par - solve(hessian(nll, par), grad(nll, par))
  list(par = par, nll = nll(par), gradient = max(abs(grad(nll, par))))
}
mtcars$hp100 <- mtcars$hp / 100
X <- model.matrix(~ wt + hp100, mtcars); Z <- model.matrix(~ wt, mtcars); y <- mtcars$mpg
normal <- function(b) -sum(dnorm(y, X %*% b[1:3], exp(0.5 * Z %*% b[4:5]), log = TRUE))
gamma <- function(b) { m <- exp(X %*% b[1:3]); s <- exp(-Z %*% b[4:5]); -sum(dgamma(y, s, s / m, log = TRUE)) }
inverse <- function(b) { m <- exp(X %*% b[1:3]); -sum(dinvgauss(y, m, dispersion = exp(Z %*% b[4:5]), log = TRUE)) }
lg <- coef(lm(log(y) ~ wt + hp100, mtcars))
out <- list()
out$gaussian <- maximum(c(coef(lm(mpg ~ wt + hp100, mtcars)), 2, 0), normal)
out$gamma <- maximum(c(lg, -4, 0), gamma)
out$inverse_gaussian <- maximum(c(lg, -7, 0), inverse)
g <- gls(mpg ~ wt + hp100, mtcars, weights = varExp(form = ~ wt), method = "ML", control = glsControl(tolerance = 1e-12))
out$gls <- list(coef = unname(coef(g)), slope = 2 * unname(coef(g$modelStruct$varStruct)), loglik = as.numeric(logLik(g)))
petrol <- MASS::petrol
petrol$p <- petrol$Y / 100
X <- model.matrix(~ EP + VP, petrol); Z <- model.matrix(~ EP, petrol); p <- petrol$p
X[, 2] <- X[, 2] / 100; Z[, 2] <- Z[, 2] / 100
beta <- function(inverse) function(b) {
  m <- inverse(X %*% b[1:3]); s <- exp(Z %*% b[4:5]); -sum(dbeta(p, m * s, (1 - m) * s, log = TRUE))
}
out$beta_logit <- maximum(c(coef(lm(qlogis(p) ~ X - 1)), 4, 0), beta(plogis))
out$beta_probit <- maximum(c(coef(lm(qnorm(p) ~ X - 1)), 4, 0), beta(pnorm))
write_json(out, args[2], digits = I(15), auto_unbox = TRUE)
