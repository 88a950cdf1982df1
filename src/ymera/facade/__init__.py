"""The user's document's accessors under its file names, and the short way (`ymera.connect`)."""
