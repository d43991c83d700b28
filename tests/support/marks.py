"""Marks that several modules of tests use."""

import pytest

reaches_no_upstream = pytest.mark.only_route("direct", reason="is answered before an upstream is reached")
