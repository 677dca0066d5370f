"""A package, so that pytest takes the stage down behind the last test that needs it."""
