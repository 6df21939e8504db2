"""Settings that hold for all tests."""

from hypothesis import settings

# A shared machine may stall any one example: each test has a time limit of its own instead.
settings.register_profile("default", deadline=None)
settings.register_profile("soak", deadline=None, max_examples=20_000)
settings.load_profile("default")
