"""The receiver of receiver.py as a function of AWS Lambda, by Mangum. It only stores; a worker elsewhere handles.

The variables are WEBHOOK_RECEIVER_SECRET, and WEBHOOK_RECEIVER_INBOX with the URL of a PostgreSQL inbox: a file in /tmp
is gone with the function's environment.
"""

from mangum import Mangum
from receiver import hooks
from starlette.applications import Starlette

app = Starlette(routes=[hooks.route("/webhooks")])
# For an HTTP API with a named stage, such as prod, add api_gateway_base_path="/prod": its paths begin with the stage.
handler = Mangum(app, lifespan="off")  # with it, Mangum would connect to the inbox anew for each request
