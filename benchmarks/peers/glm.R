# Fits one problem with glm() and writes seconds, memory, coefficients and standard errors beside its data.
source(file.path(commandArgs(TRUE)[2], "harness.R"))
data <- read_data()

invisible(summary(glm(y ~ 1, family = family, data = data[1:1000 %% nrow(data) + 1, ])))
result <- measure(function() {
  fit <- glm(formula, family = family, data = data)
  s <- summary(fit, dispersion = dispersion)
  if (print_summary) capture.output(print(s))
  coef(s)
})
writeLines(rownames(result), path("names.txt"))
writeBin(as.double(result[, 1]), path("params.bin"))
writeBin(as.double(result[, 2]), path("bse.bin"))
