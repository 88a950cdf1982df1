"""The nouns and the errors: no I/O, no clock, no environment, standard library and msgspec only."""
