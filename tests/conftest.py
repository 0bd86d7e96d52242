"""What every test may use: the shared fixtures, by area."""

pytest_plugins = [
    "tests.fixtures.plugins",
    "tests.fixtures.parts",
]
