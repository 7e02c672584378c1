"""What monitoring shows of a router: values in, dicts out, with the keys of the reference in their order.

Loaded when somebody asks for the first time, so that a router which nobody watches starts without it.
"""
