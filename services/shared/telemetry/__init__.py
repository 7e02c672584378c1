"""The log: levels, lines, files. Opens nothing but log files."""
