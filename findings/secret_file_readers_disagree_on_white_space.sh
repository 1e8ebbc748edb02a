#!/usr/bin/env bash
# What surprises: the same file of a secret, read by five libraries of settings, gives two secrets. It ends in a newline,
# as `echo` and every editor write it. pydantic-settings cuts all white space at both ends, a blank that belongs to the
# secret too, but not from the same text in an environment variable. The other four keep the newline, among them
# django-environ and environs, whose FileAwareEnv is made for secrets that Docker mounts. All load and start without a
# word. What shows is that every delivery has a wrong signature, or, if sender and receiver share the code, that nothing
# is wrong until one of them changes from a variable to a file.
#
# What a receiver should do: read the file of a secret by a rule of its own that is written down: cut the newline at the
# end, and what is invisible there; refuse an empty one; and where all deliveries are rejected, say whether the secret
# with or without white space would verify them.
#
# Measured with pydantic-settings 2.16.3, python-decouple 3.8, django-environ 0.14.0, environ-config 26.1.0 and environs
# 15.2.0 on CPython 3.11. Fails if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/secrets"
printf ' blanks are part of it \n' > "$work/secrets/webhook_secret"
cat > "$work/probe.py" <<'PYTHON'
import os
import sys
from importlib.metadata import version

library, folder = sys.argv[1], sys.argv[2]
file = os.path.join(folder, "webhook_secret")


def pydantic_settings():
    from pydantic_settings import BaseSettings

    class Settings(BaseSettings):
        webhook_secret: str

    return Settings(_secrets_dir=folder).webhook_secret


def python_decouple():
    from decouple import Config, RepositorySecret

    return Config(RepositorySecret(folder))("webhook_secret")


def django_environ():
    import environ

    os.environ["WEBHOOK_SECRET_FILE"] = file
    return environ.FileAwareEnv()("WEBHOOK_SECRET")


def environ_config():
    import environ
    from environ.secrets import DirectorySecrets

    secrets = DirectorySecrets(secrets_dir=folder)

    @environ.config(prefix="")
    class Settings:
        webhook_secret = secrets.secret(name="webhook_secret")

    return environ.to_config(Settings, {}).webhook_secret


def environs():
    from environs import FileAwareEnv

    os.environ["WEBHOOK_SECRET_FILE"] = file
    return FileAwareEnv().str("WEBHOOK_SECRET")


print(f"{library} {version(library)}: {str(globals()[library.replace('-', '_')]())!r}")
if library == "pydantic-settings":
    with open(file, encoding="ascii") as secret:
        os.environ["WEBHOOK_SECRET"] = secret.read()
    print(f"the same in an environment variable: {pydantic_settings()!r}")
PYTHON
for package in pydantic-settings==2.16.3 python-decouple==3.8 django-environ==0.14.0 environ-config==26.1.0 environs==15.2.0; do
    python3 -m venv --clear "$work/venv"
    "$work/venv/bin/pip" install --quiet --disable-pip-version-check "$package"
    "$work/venv/bin/python" "$work/probe.py" "${package%%=*}" "$work/secrets" | tee -a "$work/seen"
done
diff "$work/seen" - <<'EXPECTED'
pydantic-settings 2.16.3: 'blanks are part of it'
the same in an environment variable: ' blanks are part of it \n'
python-decouple 3.8: ' blanks are part of it \n'
django-environ 0.14.0: ' blanks are part of it \n'
environ-config 26.1.0: ' blanks are part of it \n'
environs 15.2.0: ' blanks are part of it \n'
EXPECTED
