# For three simulators on this machine. Secrets of your own: python -c 'import secrets; print(secrets.token_urlsafe())'
export PUBLIC_URL=http://127.0.0.1:8000
export WEBHOOK_SECRET=try-me SKYFI_SECRET=a-secret-path-for-tests PLANET_SECRET=try-me-too
export UP42_URL=http://127.0.0.1:8042 UP42_USERNAME=me UP42_PASSWORD=anything
export SKYFI_URL=http://127.0.0.1:8043 SKYFI_API_KEY=key-0123456789
export PLANET_URL=http://127.0.0.1:8044 PLANET_API_KEY=key-0123456789
