"""Records: immutable values with named fields, the stuff that modules hand to each other."""
