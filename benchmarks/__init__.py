"""Questions about speed, memory and digits, each with a command: `python -m benchmarks NAME`."""
