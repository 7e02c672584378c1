"""Configuration: text to a tree of values, to the options of a node, or to a list of what is wrong."""
