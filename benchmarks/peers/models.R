# Fits one model and writes seconds, memory, coefficients and standard errors, named as torchglm names them.
source(file.path(commandArgs(TRUE)[2], "harness.R"))
data <- read_data()

named <- function(names, params, bse) list(names = names, params = params, bse = bse)

fits <- list(
  negative_binomial = function(data) {
    fit <- MASS::glm.nb(formula, data = data)
    table <- coef(summary(fit))
    named(c(rownames(table), "log(theta)"), c(table[, 1], log(fit$theta)), c(table[, 2], fit$SE.theta / fit$theta))
  },
  ordinal = function(data) {
    table <- coef(summary(MASS::polr(formula, data = data, Hess = TRUE)))
    named(rownames(table), table[, 1], table[, 2])
  },
  multinomial = function(data) {
    s <- summary(nnet::multinom(formula, data = data, maxit = 1000, Hess = TRUE, trace = FALSE))
    names <- outer(colnames(s$coefficients), rownames(s$coefficients), function(x, class) paste0(class, ":", x))
    named(as.vector(names), as.vector(t(s$coefficients)), as.vector(t(s$standard.errors)))
  },
  zero_inflated = function(data) {
    tables <- coef(summary(pscl::zeroinfl(formula, data = data)))
    names <- c(paste0("count_", rownames(tables$count)), paste0("zero_", rownames(tables$zero)))
    named(names, c(tables$count[, 1], tables$zero[, 1]), c(tables$count[, 2], tables$zero[, 2]))
  }
)
fit <- fits[[model]]
if (model %in% c("ordinal", "multinomial")) data$y <- factor(data$y)

invisible(fit(data[seq_len(min(rows, 2000)), ]))
result <- measure(function() fit(data))
writeLines(result$names, path("names.txt"))
writeBin(as.double(result$params), path("params.bin"))
writeBin(as.double(result$bse), path("bse.bin"))
