"""What every test may use: the shared fixtures, by area."""

pytest_plugins = [
    "tests.fixtures.parts",
    "tests.fixtures.broker",
    "tests.fixtures.bus",
    "tests.fixtures.certificates",
    "tests.fixtures.core",
    "tests.fixtures.gateway",
    "tests.fixtures.lobby",
    "tests.fixtures.plugins",
    "tests.fixtures.receivers",
    "tests.fixtures.agents",
    "tests.fixtures.relay",
    "tests.fixtures.spine",
    "tests.fixtures.tenants",
    "tests.fixtures.environments",
    "hub.testing.fixtures",
    "tests.fixtures.aws",
    "tests.fixtures.victoria",
    "tests.fixtures.trouble",
    "tests.fixtures.complaints",
    "tests.fixtures.office",
]
