"""Which model to ask: pure decisions over arguments, no files, no clock, no chance.

Read `plan` first: profile -> filters -> score -> selector -> plan.
"""
