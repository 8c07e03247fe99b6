# Cumulative and multinomial models beyond cases.json, and their sandwiches: Rscript classes.R FOLDER_OF_THE_DATA > ../classes.json
# The likelihoods are written out here and solved by Newton's method with exact scores; MASS::polr, nnet::multinom and
# sandwich::sandwich, whose optimisers stop earlier, must agree with that to their own accuracy.
suppressMessages({library(MASS); library(nnet); library(sandwich); library(jsonlite)})
folder <- commandArgs(TRUE)[1]
read <- function(name, ...) {
  d <- read.csv(file.path(folder, paste0(name, ".csv")))
  for (f in names(list(...))) d[[f]] <- factor(d[[f]], levels = list(...)[[f]])
  d
}
housing <- read("housing", Sat = c("Low", "Medium", "High"), Infl = c("Low", "Medium", "High"),
                Type = c("Tower", "Apartment", "Atrium", "Terrace"), Cont = c("Low", "High"))
quine <- read("quine", Age = c("F0", "F1", "F2", "F3"), Sex = c("F", "M"), Eth = c("A", "N"), Lrn = c("AL", "SL"))
quine$w <- 1 + (seq_len(nrow(quine)) %% 3) / 2
quine$o <- quine$Days / 40

jacobian <- function(f, x) {  # Richardson's extrapolation of central differences
  column <- function(j, h) { e <- replace(0 * x, j, h); (f(x + e) - f(x - e)) / (2 * h) }
  sapply(seq_along(x), function(j) {
    h <- 1e-3
    d <- c(column(j, h), column(j, h / 2), column(j, h / 4))
    n <- length(x); a <- d[1:n]; b <- d[n + 1:n]; c <- d[2 * n + 1:n]
    (64 * c - 20 * b + a) / 45
  })
}
solved <- function(scores, loglik, theta, w, cluster = NULL, frequency = FALSE) {
  total <- function(t) colSums(w * scores(t))
  for (i in 1:100) {
    step <- solve(jacobian(total, theta), total(theta))
    theta <- unname(theta - step)
    if (max(abs(step)) < 1e-12) break
  }
  bread <- solve(-jacobian(total, theta)); bread <- (bread + t(bread)) / 2
  g <- scores(theta)

  out <- list(coef = unname(theta), vcov = bread, loglik = loglik(theta))
  out$HC0 <- bread %*% crossprod(g * (if (frequency) sqrt(w) else w)) %*% bread
  if (!is.null(cluster)) out$CR0 <- bread %*% crossprod(rowsum(g * w, cluster)) %*% bread
  out
}
F <- list(logit = list(plogis, dlogis), probit = list(pnorm, dnorm),
          cauchit = list(pcauchy, dcauchy), cloglog = list(function(q) -expm1(-exp(q)), function(q) ifelse(is.finite(q), exp(q - exp(q)), 0)))
# theta: location without intercept, then for each cut the columns of `nom`, then the log scale
cumulative <- function(y, X, nom, S, link, w, offset = 0, start = NULL, ...) {
  K <- nlevels(y); y <- as.integer(y); p <- ncol(X); q <- ncol(nom); s <- ncol(S); p0 <- F[[link]][[1]]; d0 <- F[[link]][[2]]
  ends <- function(t) {
    cut <- nom %*% matrix(t[p + seq_len(q * (K - 1))], q)
    eta <- drop(X %*% t[seq_len(p)]) + offset
    e <- exp(-drop(S %*% t[p + q * (K - 1) + seq_len(s)]))
    list(a = (cbind(cut, Inf)[cbind(seq_along(y), y)] - eta) * e, b = (cbind(-Inf, cut)[cbind(seq_along(y), y)] - eta) * e, e = e)
  }
  prob <- function(z) p0(z$a) - p0(z$b)
  loglik <- function(t) sum(w * log(prob(ends(t))))
  scores <- function(t) {
    z <- ends(t); P <- prob(z); da <- d0(z$a) / P; db <- d0(z$b) / P
    cuts <- do.call(cbind, lapply(seq_len(K - 1), function(k) nom * ((y == k) * da - (y == k + 1) * db) * z$e))
    za <- ifelse(is.finite(z$a), z$a, 0); zb <- ifelse(is.finite(z$b), z$b, 0)
    cbind(X * ((db - da) * z$e), cuts, S * (db * zb - da * za))
  }
  if (is.null(start)) {
    share <- cumsum(tapply(w, y, sum))[seq_len(K - 1)] / sum(w)
    link0 <- list(logit = qlogis, probit = qnorm, cauchit = qcauchy, cloglog = function(m) log(-log1p(-m)))[[link]](share)
    start <- c(rep(0, p), c(rbind(link0, matrix(0, q - 1, K - 1))), rep(0, s))
    # halved steps by the cross product of the scores first (BHHH): Newton's method alone may leave the region
    for (i in 1:60) {
      g <- scores(start)
      step <- solve(crossprod(g * sqrt(w)), colSums(w * g)); size <- 1; at <- loglik(start)
      while (!isTRUE(suppressWarnings(loglik(start + size * step)) >= at) && size > 1e-9) size <- size / 2
      start <- start + unname(size * step)
    }
  }
  solved(scores, loglik, start, w, ...)
}
multinomial <- function(y, X, w, offset = 0, ...) {
  K <- nlevels(y); y <- as.integer(y); p <- ncol(X)
  P <- function(t) { z <- cbind(0, X %*% matrix(t, p) + offset); z <- exp(z - apply(z, 1, max)); z / rowSums(z) }
  loglik <- function(t) sum(w * log(P(t)[cbind(seq_along(y), y)]))
  scores <- function(t) { r <- outer(y, seq_len(K), "==") - P(t); do.call(cbind, lapply(2:K, function(k) X * r[, k])) }
  out <- solved(scores, loglik, rep(0, p * (K - 1)), w, ...)
  out$probs <- P(out$coef)[1:6, ]
  out
}
M <- function(f, d) model.matrix(f, d)
location <- function(f, d) M(f, d)[, -1, drop = FALSE]
one <- function(d) matrix(1, nrow(d), 1)
none <- function(d) matrix(0, nrow(d), 0)

out <- list()
out$plain_quine <- with(quine, cumulative(Age, location(~ Days + Sex, quine), one(quine), none(quine), "logit", rep(1, 146), cluster = Eth))
p <- polr(Age ~ Days + Sex, quine, Hess = TRUE, control = list(reltol = 1e-15))
stopifnot(all.equal(unname(c(coef(p), p$zeta)), out$plain_quine$coef, tolerance = 1e-5),
          all.equal(unname(sandwich(p)), unname(out$plain_quine$HC0), check.attributes = FALSE, tolerance = 1e-3),
          all.equal(check.attributes = FALSE, unname(vcovCL(p, quine$Eth, type = "HC0", cadjust = FALSE)), unname(out$plain_quine$CR0), tolerance = 1e-3))
out$weights_offset_quine <- with(quine, cumulative(Age, location(~ Sex + Lrn, quine), one(quine), none(quine), "probit", w, o, cluster = Eth))
p <- suppressWarnings(polr(Age ~ Sex + Lrn + offset(o), quine, weights = w, method = "probit", control = list(reltol = 1e-15)))
stopifnot(all.equal(unname(c(coef(p), p$zeta)), out$weights_offset_quine$coef, tolerance = 1e-5))
out$nominal_housing <- with(housing, cumulative(Sat, location(~ Infl + Type, housing), M(~ Cont, housing), none(housing), "logit", Freq, frequency = TRUE))
out$scale_housing <- with(housing, cumulative(Sat, location(~ Infl + Type, housing), one(housing), location(~ Cont, housing), "probit", Freq, frequency = TRUE))
out$both_housing <- with(housing, cumulative(Sat, location(~ Infl, housing), M(~ Cont, housing), location(~ Type, housing), "cloglog", Freq, frequency = TRUE))
quine$Age2 <- relevel(quine$Age, "F2"); housing$Sat3 <- relevel(housing$Sat, "High")
out$multinom_base_housing <- with(housing, multinomial(Sat3, M(~ Infl + Type + Cont, housing), Freq, frequency = TRUE))
m <- multinom(Sat3 ~ Infl + Type + Cont, housing, weights = Freq, trace = FALSE, reltol = 1e-15, maxit = 1000)
stopifnot(all.equal(c(t(coef(m))), out$multinom_base_housing$coef, tolerance = 1e-5),
          all.equal(unname(vcov(m)), unname(out$multinom_base_housing$vcov), tolerance = 1e-5))
out$multinom_offset_quine <- with(quine, multinomial(Age2, M(~ Days + Sex, quine), w, o, cluster = Eth))
m <- multinom(Age2 ~ Days + Sex + offset(cbind(0, o, o, o)), quine, weights = w, trace = FALSE, reltol = 1e-15, maxit = 1000)
stopifnot(all.equal(c(t(coef(m))), out$multinom_offset_quine$coef, tolerance = 1e-4))
cat(toJSON(lapply(out, function(o) lapply(o, unname)), digits = NA, pretty = FALSE), "\n")
