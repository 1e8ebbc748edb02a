"""The simulator: a local test server that plays UP42, to try a receiver out and to test it.

from webhook_receiver.simulator import Simulator, simulator_app

simulator = Simulator()
uvicorn.run(simulator_app(simulator))
"""

from __future__ import annotations

from ..errors import needs

try:
    from .app import simulator_app
    from .factories import NewOrders
    from .faults import FaultPlan
    from .options import SimulatorOptions
    from .simulator import Simulator
except ImportError as error:
    if error.name is None or error.name.partition(".")[0] == "webhook_receiver":
        raise
    raise ImportError(needs("webhook_receiver.simulator", error.name, "standard"), name=error.name) from None

__all__ = ["FaultPlan", "NewOrders", "Simulator", "SimulatorOptions", "simulator_app"]
