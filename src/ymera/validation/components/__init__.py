"""One file per component; each tries the real thing and yields what came of it."""
