"""The command line: `torchglm fit`, `predict` and `summary`."""
