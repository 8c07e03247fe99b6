# What the scripts share: the data of a problem, and the seconds and memory of a piece of work, written beside them.
home <- commandArgs(TRUE)[1]
path <- function(name) file.path(home, name)
source(path("problem.R"))

status_kb <- function(field) {
  line <- grep(paste0("^", field, ":"), readLines("/proc/self/status"), value = TRUE)
  as.integer(gsub("[^0-9]", "", line))
}

read_data <- function() {
  data <- list()
  for (name in doubles) data[[name]] <- readBin(path(paste0(name, ".double")), "double", rows)
  for (name in factors) {
    codes <- readBin(path(paste0(name, ".codes")), "integer", rows)
    data[[name]] <- structure(codes, levels = readLines(path(paste0(name, ".levels"))), class = "factor")
  }
  as.data.frame(data)
}

# The last result of run(); its first run is a warm-up where it is fast.
measure <- function(run) {
  stopwatch <- function() {
    start <- proc.time()[["elapsed"]]
    result <<- run()
    proc.time()[["elapsed"]] - start
  }
  result <- NULL
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
  result
}
