"""Numbers: special functions, linear algebra, sums, ranks, registries."""
