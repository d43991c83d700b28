"""Made-up secrets, each with a mark by which it is found wherever it should not be."""

KEY = "sk-or-v1-CANARY-configured-0123456789abcdef"
OWN_KEY = "sk-or-v1-CANARY-of-the-client-fedcba9876543210"
TOKEN = "CANARY-access-token-0f1e2d3c4b5a"
PLACEHOLDER = "CANARY-placeholder"

BEARER_KEY = [b"Bearer " + KEY.encode()]
