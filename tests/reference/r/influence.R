# Influence, partial residuals, added variables and checks in R: Rscript r/influence.R, from this folder's parent.
# Writes influence.json. Needs car and jsonlite.
suppressMessages({library(car); library(jsonlite); library(MASS)})

facts <- fromJSON("datasets.json", simplifyVector = FALSE)
read <- function(name) {
  data <- read.csv(facts[[name]]$file, na.strings = "NA", check.names = FALSE)
  for (column in names(data)) {
    fact <- facts[[name]]$columns[[column]]
    if (fact$type == "factor") data[[column]] <- factor(data[[column]], levels = unlist(fact$levels))
  }
  data
}
tight <- glm.control(epsilon = 1e-14, maxit = 100)

cases <- list(
  gaussian = list(data = "mtcars", formula = mpg ~ wt + hp + qsec, family = gaussian(), python = "mpg ~ wt + hp + qsec",
                  name = "gaussian", variable = "hp"),
  logit = list(data = "infert", formula = case ~ age + spontaneous + induced, family = binomial(),
               python = "case ~ age + spontaneous + induced", name = "binomial", variable = "age"),
  cloglog = list(data = "birthwt", formula = low ~ age + lwt + race + smoke, family = binomial("cloglog"),
                 python = "low ~ age + lwt + race + smoke", name = "binomial", link = "cloglog", variable = "lwt"),
  grouped = list(data = "budworm", formula = cbind(dead, alive) ~ sex + ldose, family = binomial(),
                 python = "cbind(dead, alive) ~ sex + ldose", name = "binomial", variable = "ldose"),
  poisson = list(data = "RecreationDemand", formula = trips ~ quality + income + costC + costS, family = poisson(),
                 python = "trips ~ quality + income + costC + costS", name = "poisson", variable = "income"),
  offset = list(data = "insurance", formula = Claims ~ District + Age + offset(log(Holders)), family = poisson(),
                python = "Claims ~ District + Age + offset(log(Holders))", name = "poisson",
                variable = "DistrictD2", variable_python = "District[T.D2]"),
  zeros = list(data = "quine", formula = Days ~ Sex + Age, family = poisson(), python = "Days ~ Sex + Age",
               name = "poisson", variable = "SexM", variable_python = "Sex[T.M]"),
  discoveries = list(data = "discoveries", formula = count ~ t + I(t^2), family = poisson(), python = "count ~ t + I(t**2)", name = "poisson",
                     variable = "t"),
  weights = list(data = "warpbreaks", formula = breaks ~ wool + tension, family = gaussian(), weights = TRUE,
                 python = "breaks ~ wool + tension", name = "gaussian", variable = "tensionM",
                 variable_python = "tension[T.M]"),
  gamma = list(data = "trees", formula = Volume ~ log(Girth) + log(Height), family = Gamma("log"),
               python = "Volume ~ np.log(Girth) + np.log(Height)", name = "gamma", link = "log",
               variable = "log(Height)", variable_python = "np.log(Height)"),
  aliased = list(data = "npk", formula = yield ~ block + N * P * K, family = gaussian(),
                 python = "yield ~ block + N * P * K", name = "gaussian", variable = NULL)
)

hoslem <- function(y, mu, g) {  # as the documentation of ResourceSelection::hoslem.test describes it
  group <- cut(mu, unique(quantile(mu, seq(0, 1, 1 / g))), include.lowest = TRUE)
  o1 <- tapply(y, group, sum); e1 <- tapply(mu, group, sum); n <- table(group)
  chi2 <- sum((o1 - e1)^2 / e1 + (o1 - e1)^2 / (n - e1))
  list(chi2 = chi2, df = g - 2, p = pchisq(chi2, g - 2, lower.tail = FALSE))
}

zeros <- function(m) {  # He et al. (2019) and van den Broek (1995), log link
  mu <- fitted(m); X <- model.matrix(m); p0 <- exp(-mu); A <- solve(crossprod(X, X * mu))
  score <- sum((m$y == 0) / p0 - 1)
  b <- crossprod(X, mu); cc <- crossprod(X, mu * p0)
  list(observed = sum(m$y == 0), expected = sum(p0), chi2 = score^2 / (sum(1 / p0 - 1) - drop(t(b) %*% A %*% b)),
       z = (sum(m$y == 0) - sum(p0)) / sqrt(sum(p0 * (1 - p0)) - drop(t(cc) %*% A %*% cc)))
}

linktest <- function(m) {
  eta <- m$linear.predictors
  frame <- data.frame(y = I(if (is.matrix(m$model[[1]])) m$model[[1]] else m$y), eta = eta, w = m$prior.weights)
  again <- if (is.matrix(m$model[[1]])) glm(y ~ eta + I(eta^2), m$family, frame, control = tight)
           else glm(y ~ eta + I(eta^2), m$family, frame, weights = w, control = tight)
  as.list(unname(coef(summary(again))[3, ]))
}

kept <- function(n) unique(round(seq(1, n, length.out = 24)))  # rows that are stored

one <- function(case) {
  data <- read(case$data)
  data$w_ <- rep(c(1, 2, 3), length.out = nrow(data))
  # An epsilon of 1e-14 would switch the detection of aliased columns off.
  args <- list(case$formula, case$family, data, control = if (case$name == "gaussian") glm.control() else tight)
  if (isTRUE(case$weights)) args$weights <- quote(w_)
  m <- do.call(glm, args)
  for (again in 1:4) if (case$name != "gaussian") m <- do.call(glm, c(args, list(start = coef(m))))  # to the last digit
  im <- influence.measures(m)
  k <- sum(!is.na(coef(m)))
  X <- model.matrix(m)[, !is.na(coef(m)), drop = FALSE]
  out <- list(
    python = case$python, data = case$data, family = case$name, link = case$link, weights = case$weights,
    names = colnames(X), aliased = names(which(is.na(coef(m)))), hat = hatvalues(m), rstandard = rstandard(m), rstandard_pearson = rstandard(m, type = "pearson"),
    rstudent = rstudent(m), cooks = cooks.distance(m), dffits = dffits(m), covratio = covratio(m),
    sigma = influence(m)$sigma, dfbeta = dfbeta(m), dfbetas = dfbetas(m), inf = apply(im$is.inf, 1, any),
    terms = colnames(residuals(m, "partial")), partial = residuals(m, "partial"), linktest = linktest(m)
  )
  test <- outlierTest(if (case$name == "gaussian") do.call(lm, args[c(1, 3, if (isTRUE(case$weights)) 5)]) else m,
                      cutoff = Inf, n.max = 3)
  out$outlier <- list(rstudent = test$rstudent, p = test$p, row = match(names(test$rstudent), rownames(X)))
  if (!is.null(case$variable)) {
    j <- match(case$variable, colnames(X)); x <- X[, j]; O <- X[, -j]
    smaller <- glm.fit(O, m$y, m$prior.weights, family = m$family, offset = m$offset, control = tight)
    for (again in 1:4) smaller <- glm.fit(O, m$y, m$prior.weights, start = smaller$coefficients, family = m$family,
                                          offset = m$offset, control = tight)
    res <- function(v, w) drop(sqrt(w) * lm.wfit(O, v, w)$residuals)
    z <- m$linear.predictors - (if (is.null(m$offset)) 0 else m$offset) + residuals(m, "working")
    pearson <- (m$y - smaller$fitted.values) * sqrt(m$prior.weights / m$family$variance(smaller$fitted.values))
    pdf(NULL)
    wang <- avPlots(m, type = "Wang")
    dev.off()
    out$added <- list(variable = if (is.null(case$variable_python)) case$variable else case$variable_python,
                      score_x = res(x, smaller$weights), score_y = pearson,
                      car_wang_y = if (all(m$prior.weights == 1) && is.null(m$offset)) unname(wang[[case$variable]][, 2]),
                      working_x = res(x, m$weights), working_y = res(z, m$weights))
    out$vif <- vif(m)
  }
  if (case$name == "binomial" && !is.matrix(m$model[[1]])) out$hoslem <- lapply(c(5, 10), function(g) c(g = g, hoslem(m$y, fitted(m), g)))
  if (case$name == "poisson") out$zeros <- zeros(m)
  n <- nrow(X)
  rows <- kept(n)
  pick <- function(v) if (is.list(v)) lapply(v, pick) else if (is.matrix(v) && nrow(v) == n) unname(v[rows, , drop = FALSE])
          else if (is.numeric(v) && length(v) == n) unname(v[rows]) else v
  out <- lapply(out, pick)
  out$inf_all <- which(apply(im$is.inf, 1, any)) - 1
  out$inf <- NULL
  out$rows <- rows - 1
  out
}

result <- lapply(cases, one)
result$versions <- list(R = R.version.string, car = as.character(packageVersion("car")))
writeLines(toJSON(result, digits = NA, auto_unbox = TRUE, na = "null"), "influence.json")
