from .app import simulator_app
from .factories import NewOrders
from .faults import FaultPlan
from .options import SimulatorOptions
from .providers.app import provider_app
from .providers.simulator import ProviderSimulator
from .simulator import Simulator

__all__ = [
    "FaultPlan",
    "NewOrders",
    "ProviderSimulator",
    "Simulator",
    "SimulatorOptions",
    "provider_app",
    "simulator_app",
]
