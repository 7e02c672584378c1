"""From flags, environment and a file to the options of a node (reference: operations 3.2).

Promise: `load_options` is what a start uses, `reload_options` what a running node uses for its next options and
`check_file` what `-t` uses. All three are pure: the environment and the files come in as arguments. Contradictions
between options are the business of `validation`, which the caller runs afterwards and `-t` does not.
"""

from __future__ import annotations

from collections.abc import Mapping

from services.shared.config.baseline import with_defaults
from services.shared.config.errors import FileError, OptionErrors, ValidationError
from services.shared.config.includes import ReadFile, read_text
from services.shared.config.options import Options, TlsOptions
from services.shared.config.overrides import FlagOverrides, apply_flags, flags_after_start
from services.shared.records.record import record, replace


@record
class Loaded:
    """Options ready to use, and the warnings to print before going on."""

    options: Options
    warnings: tuple[str, ...] = ()


def load_options(*, flags: FlagOverrides, environ: Mapping[str, str], read_file: ReadFile) -> Loaded:
    """The options of a node that starts: defaults, then the file, then every given flag.

    Raises FileError, ParseError, OptionErrors (with at least one error) or ValidationError (TLS flags).
    """
    loaded = Loaded(options=Options())
    if flags.config_file:
        loaded = _load_file(flags.config_file, environ=environ, read_file=read_file)
    options = apply_flags(loaded.options, flags)
    if options.tls_from_flags and options.tls is not None:
        options = replace(options, tls=_check_flag_files(options.tls, read_file))
    return replace(loaded, options=with_defaults(options))


def reload_options(*, flags: FlagOverrides, environ: Mapping[str, str], read_file: ReadFile) -> Loaded:
    """The next options of a running node: the file as it is now, under the flags that survive a reload.

    Raises what `load_options` raises, and FileError when the node was started without a file.
    """
    if not flags.config_file:
        raise FileError("can only reload config when a file is provided using -c or --config")
    return load_options(flags=flags_after_start(flags), environ=environ, read_file=read_file)


def check_file(path: str, *, environ: Mapping[str, str], read_file: ReadFile) -> str:
    """The digest of a file without any problem; warnings count as problems here.

    Raises FileError, ParseError or OptionErrors.
    """
    loaded, problems = _read(path, environ=environ, read_file=read_file)
    if problems is not None:
        raise problems
    return loaded.config_digest


def _load_file(path: str, *, environ: Mapping[str, str], read_file: ReadFile) -> Loaded:
    options, problems = _read(path, environ=environ, read_file=read_file)
    if problems is None:
        return Loaded(options=options)
    if problems.errors:
        raise problems
    return Loaded(options=options, warnings=problems.warnings)


def _read(path: str, *, environ: Mapping[str, str], read_file: ReadFile) -> tuple[Options, OptionErrors | None]:
    # Only a node with a file pays for the language and the tables.
    from services.shared.config.digest import config_digest
    from services.shared.config.parser import parse
    from services.shared.config.schema import interpret

    config = parse(read_text(path, read_file), file=path, environ=environ, read_file=read_file)
    onto = Options(config_file=path, config_digest=config_digest(config))
    options, problems = interpret(config, file=path, read_file=read_file, onto=onto)
    return options, problems.found()


def _check_flag_files(tls: TlsOptions, read_file: ReadFile) -> TlsOptions:
    from services.shared.config.schema_tls import TlsFileError, check_tls_files

    try:
        return check_tls_files(tls, read_file=read_file)
    except TlsFileError as error:
        raise ValidationError(str(error)) from None
