"""The command line: one module a command, no logic in it; imported by nobody."""
