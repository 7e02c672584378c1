"""Account JWTs. The role is not built yet: `operator` and `resolver` in a configuration are refused with a clear error."""
