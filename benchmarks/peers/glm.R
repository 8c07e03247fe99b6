# Fits one problem with glm() and writes seconds, memory, coefficients and standard errors beside its data.
home <- commandArgs(TRUE)[1]
path <- function(name) file.path(home, name)
source(path("problem.R"))

status_kb <- function(field) {
  line <- grep(paste0("^", field, ":"), readLines("/proc/self/status"), value = TRUE)
  as.integer(gsub("[^0-9]", "", line))
}

data <- list()
for (name in doubles) data[[name]] <- readBin(path(paste0(name, ".double")), "double", rows)
for (name in factors) {
  codes <- readBin(path(paste0(name, ".codes")), "integer", rows)
  data[[name]] <- structure(codes, levels = readLines(path(paste0(name, ".levels"))), class = "factor")
}
data <- as.data.frame(data)

run <- function() {
  fit <- glm(formula, family = family, data = data)
  s <- summary(fit, dispersion = dispersion)
  if (print_summary) capture.output(print(s))
  coef(s)
}
stopwatch <- function() {
  start <- proc.time()[["elapsed"]]
  result <<- run()
  proc.time()[["elapsed"]] - start
}

invisible(summary(glm(y ~ 1, family = family, data = data[1:1000 %% nrow(data) + 1, ])))
invisible(gc())
cat("5", file = "/proc/self/clear_refs")
before <- status_kb("VmRSS")
first <- stopwatch()
seconds <- if (first < 3 && repeats > 1) numeric() else first
while (length(seconds) < repeats && (!length(seconds) || sum(seconds) + tail(seconds, 1) < budget)) {
  seconds <- c(seconds, stopwatch())
}
writeLines(as.character(c(before, status_kb("VmHWM"))), path("memory.txt"))
writeLines(format(seconds, digits = 6), path("seconds.txt"))
writeLines(rownames(result), path("names.txt"))
writeBin(as.double(result[, 1]), path("params.bin"))
writeBin(as.double(result[, 2]), path("bse.bin"))
