# Log densities by R's own d functions, and joint standard errors of glm.nb from the second derivatives written out:
# Rscript r/likelihoods.R FOLDER_OF_DATA OUTPUT.json
suppressMessages({library(jsonlite); library(MASS); library(statmod)})
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
rows <- function(y, ..., value) { g <- expand.grid(y = y, ...); g$value <- do.call(value, g); g }
counts <- c(0, 1, 2, 7, 40, 1000); thetas <- c(1e-4, 0.05, 1, 14, 200, 1e6); means <- c(1e-3, 0.6, 7, 900)
shares <- c(1e-6, 0.2, 0.5, 0.97); sizes <- c(1e-3, 0.4, 2, 30)
out <- list(
  negative_binomial = rows(counts, mean = means, theta = thetas, value = function(y, mean, theta) dnbinom(y, size = theta, mu = mean, log = TRUE)),
  negative_binomial_1 = rows(counts, mean = means, theta = thetas, value = function(y, mean, theta) dnbinom(y, size = theta * mean, mu = mean, log = TRUE)),
  poisson = rows(counts, mean = means, value = function(y, mean) dpois(y, mean, log = TRUE)),
  beta = rows(shares, mean = c(1e-3, 0.3, 0.9), precision = c(0.01, 1, 30, 1e5), value = function(y, mean, precision) dbeta(y, mean * precision, (1 - mean) * precision, log = TRUE)),
  gamma = rows(sizes, mean = c(0.1, 3), phi = c(1e-6, 0.04, 1, 20), value = function(y, mean, phi) dgamma(y, shape = 1 / phi, scale = mean * phi, log = TRUE)),
  gaussian = rows(sizes, mean = c(-1, 3), phi = c(1e-4, 1, 20), value = function(y, mean, phi) dnorm(y, mean, sqrt(phi), log = TRUE)),
  inverse_gaussian = rows(sizes, mean = c(0.1, 3), phi = c(1e-3, 1, 20), value = function(y, mean, phi) dinvgauss(y, mean = mean, dispersion = phi, log = TRUE))
)
joint <- function(fit) {
  X <- model.matrix(fit); y <- fit$y; eta <- fit$linear.predictors; mu <- fit$fitted.values; t <- fit$theta
  d <- fit$family$mu.eta(eta); d2 <- if (fit$family$link == "sqrt") 2 else mu
  by_mu <- (y - mu) / (mu * (1 + mu / t)); by_mu2 <- -y / mu^2 + (y + t) / (mu + t)^2
  bb <- -t(X) %*% (X * (by_mu2 * d^2 + by_mu * d2)); bt <- -colSums(X * ((y - mu) / (mu + t)^2 * d))
  tt <- -sum(trigamma(y + t) - trigamma(t) + 1 / t - 2 / (mu + t) + (y + t) / (mu + t)^2)
  unname(sqrt(diag(solve(rbind(cbind(bb, bt), c(bt, tt))))))
}
control <- glm.control(epsilon = 1e-14, maxit = 200); quine <- read("quine"); recreation <- read("RecreationDemand")
out$joint <- list(
  nb_estimated_quine = joint(glm.nb(Days ~ Eth + Sex + Age + Lrn, data = quine, control = control)),
  nb_estimated_recreation = joint(glm.nb(trips ~ quality + ski + income + userfee + costC + costS + costH, data = recreation, control = control)),
  nb_estimated_sqrt = joint(glm.nb(Days ~ Eth + Age, link = sqrt, data = quine, control = control))
)
write(toJSON(out, digits = NA, auto_unbox = TRUE, dataframe = "columns"), arguments[2])
