"""Who somebody is: keys, passwords, certificates, and the shape of what they may do.

Values in, values out: nothing here reads a file, a clock or randomness. The libraries behind it (PyNaCl, nkeys, bcrypt,
cryptography) are imported inside the functions that need them, because most nodes never use most of them.
"""
