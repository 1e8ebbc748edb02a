from .app import simulator_app
from .factories import NewOrders
from .faults import FaultPlan
from .options import SimulatorOptions
from .simulator import Simulator

__all__ = ["FaultPlan", "NewOrders", "Simulator", "SimulatorOptions", "simulator_app"]
