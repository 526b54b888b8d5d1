"""The login simulator for tests of single adapters. Its keys take a while to make: once for the run."""

from collections.abc import AsyncIterator

import pytest

from actors.testing.oauth_simulator.control import SimulatorControl
from actors.testing.oauth_simulator.keys import SimulatorKeys
from actors.testing.oauth_simulator.server import Simulator, serving


@pytest.fixture(scope="session")
def simulator_keys() -> SimulatorKeys:
    return SimulatorKeys()


@pytest.fixture
async def simulator(simulator_keys: SimulatorKeys) -> AsyncIterator[Simulator]:
    async with serving(simulator_keys) as (_, running):
        yield running


@pytest.fixture
async def control(simulator: Simulator) -> AsyncIterator[SimulatorControl]:
    async with SimulatorControl(simulator.desk.url) as driving:
        yield driving
