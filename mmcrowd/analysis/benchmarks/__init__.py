"""What the benchmarks of the command line time; nothing else imports it."""
