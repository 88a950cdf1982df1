"""The HTTP front doors: our own HTTP/1.1 server, hot routes, Starlette for everything else."""
