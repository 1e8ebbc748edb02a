"""Reading the secret that --secret or --secret-file gives."""

from __future__ import annotations

import os
from pathlib import Path

from typer import BadParameter

from ..errors import ConfigurationError
from ..senders.preset import Preset
from ..signatures import Secret
from .options import SECRET_VARIABLES, origin_of_secret, secret_in_environment

FILE_VARIABLE = f"{SECRET_VARIABLES[0]}_FILE"
"""The variable that names a file with the secret."""


def read_secret(given: str | None, file: Path | None) -> Secret | None:
    """Return the secret given as text or in a file; None if neither is given."""
    if given is not None and file is not None and given != secret_in_environment():
        raise BadParameter("give --secret or --secret-file, not both", param_hint="--secret-file")
    try:
        if file is not None:
            return Secret.from_file(file)
        return None if given is None else Secret(given)
    except ConfigurationError as error:
        if file is None:
            origin = origin_of_secret(given)
        else:
            origin = FILE_VARIABLE if file == file_in_environment() else "--secret-file"
        raise BadParameter(str(error), param_hint=origin) from None


def file_in_environment() -> Path | None:
    """Return the file with a secret that the environment names, as the settings have it; None if a variable has one."""
    given = os.environ.get(FILE_VARIABLE)
    return Path(given) if given and not os.environ.get(SECRET_VARIABLES[0]) else None


def typed(secret: str | None) -> bool:
    """Whether a secret was given by an option, and not by the environment, which may be set for something else."""
    return secret is not None and secret != secret_in_environment()


def token_of(preset: Preset, token: str) -> Secret:
    """Return the token that a sender shows with its challenges.

    Raises:
        BadParameter: it shows none, or the token is empty.
    """
    if preset.asking is None:
        raise BadParameter(f"{preset.name} shows no token", param_hint="--verify-token")
    try:
        return Secret(token)
    except ConfigurationError as error:
        raise BadParameter(str(error), param_hint="--verify-token") from None
