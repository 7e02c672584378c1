"""The router role: who may connect, what they may do, and the rules by which the engine forwards."""
