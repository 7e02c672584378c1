"""Configuration: text to a tree of values, to the options of a node, or to a list of what is wrong.

The way of a file, one module a step:

    includes, cursor, scalars, lexer, parser    the language of nats.conf: text to a map of values that know their place
    digest                                      the fingerprint of that map
    reading, schema, schema_*, unsupported      tables of option names: the map to `options.Options`, problems collected
    overrides, baseline                         flags over the file; what a zero means
    load                                        all of it: for a start, for a reload, for `-t`
    validation                                  contradictions between options; not part of `-t`
    diff                                        what a reload changes, and whether a running node can follow

Invariants: nothing here opens a file or reads the environment (both are arguments), every option that nats-server has is
read or refused with a sentence, every text can be refused only with a `ConfigError`, and no message shows a secret that
the configuration holds. Modules of rare blocks are imported when a file has such a block.
"""
