# One work after a fit by glm(): its seconds, memory and numbers, a name a column.
source(file.path(commandArgs(TRUE)[2], "harness.R"))
data <- read_data()

control <- if (work == "profile") glm.control() else glm.control(epsilon = 1e-12)
fit_to <- function(data) glm(formula, family = family, data = data, control = control)

errors <- function(covariance) t(sqrt(diag(covariance)))

influences <- function(fit) {
  out <- influence.measures(fit)$infmat
  colnames(out) <- c(paste0("dfb_", names(coef(fit))), "dffits", "cov_ratio", "cooks_distance", "leverage")
  out
}

bootstrap <- function(fit, replicates) {
  x <- model.matrix(fit)
  y <- fit$y
  thetas <- replicate(replicates, {
    drawn <- sample.int(nrow(x), replace = TRUE)
    glm.fit(x[drawn, ], y[drawn], family = family)$coefficients
  })
  t(apply(thetas, 1, sd))
}

works <- list(
  HC3 = function(fit, firm) errors(sandwich::vcovHC(fit, type = "HC3")),
  cluster = function(fit, firm) errors(sandwich::vcovCL(fit, cluster = firm)),
  influence = function(fit, firm) influences(fit),
  profile = function(fit, firm) suppressMessages(t(confint(fit, parm = seq_len(part)))),
  bootstrap = function(fit, firm) bootstrap(fit, part)
)
do <- works[[work]]

tiny <- data[seq_len(min(rows, 2000)), ]
invisible(do(fit_to(tiny), tiny$firm))
fit <- fit_to(data)
result <- measure(function() do(fit, data$firm))
writeLines(colnames(result), path("names.txt"))
writeBin(as.double(result), path("params.bin"))
