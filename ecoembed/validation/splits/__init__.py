"""Splits: which rows are held out together, and from what. Named protocols, a user's own splitter, frozen folds."""
