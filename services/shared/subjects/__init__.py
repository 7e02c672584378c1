"""What subjects and their wildcards mean, for whoever decides about them once per object.

Once per message the engine does the same (`engine/core/src/subject.rs`, `engine/core/src/mapping`); both are held to
the tables in `spec/subjects`.
"""
