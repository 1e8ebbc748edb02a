"""The simulator: a local test server that plays UP42 or another provider, to try a receiver out and to test it.

from webhook_receiver.simulator import Simulator, simulator_app

simulator = Simulator()
uvicorn.run(simulator_app(simulator))
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from ..errors import needs

__all__ = ["FaultPlan", "NewOrders", "Simulator", "SimulatorOptions", "simulator_app"]  # pyright: ignore[reportUnsupportedDunderAll] - the stub has them
__all__ += ["ProviderSimulator", "provider_app"]  # pyright: ignore[reportUnsupportedDunderAll] - as above

_HOMES = {
    "FaultPlan": "faults",
    "NewOrders": "factories",
    "ProviderSimulator": "providers.simulator",
    "Simulator": "simulator",
    "SimulatorOptions": "options",
    "provider_app": "providers.app",
    "simulator_app": "app",
}
"""The public names by their modules. The server is imported when it is used: commands that only send do without it."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        found = globals()[name] = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    except ImportError as error:
        if error.name is None or error.name.partition(".")[0] == "webhook_receiver":
            raise
        raise ImportError(needs("webhook_receiver.simulator", error.name, "standard"), name=error.name) from None
    return found
