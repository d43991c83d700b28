"""Marks that several modules of tests use."""

import shutil

import pytest

reaches_no_upstream = pytest.mark.only_route("direct", reason="is answered before an upstream is reached")
needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="no curl on this machine: apt-get install curl")
