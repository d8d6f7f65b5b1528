"""`chaosrunner serve`: what other programs ask of chaosrunner over HTTP. Each question is one file in `routes/`."""
