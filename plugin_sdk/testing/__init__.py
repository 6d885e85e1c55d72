"""The testing kit: conformance checks, a scripted upstream and stores in memory. It needs no gateway."""

from plugin_sdk.testing.protocol import Sample, check_protocol
from plugin_sdk.testing.provider import check_provider, models_of
from plugin_sdk.testing.rules import ConformanceError
from plugin_sdk.testing.services import MemoryGenerations, MemoryKeys, MemoryServices, MemoryWallets
from plugin_sdk.testing.upstream import Scripted, ScriptedUpstream, answer, cut, stream

__all__ = [
    "ConformanceError",
    "MemoryGenerations",
    "MemoryKeys",
    "MemoryServices",
    "MemoryWallets",
    "Sample",
    "Scripted",
    "ScriptedUpstream",
    "answer",
    "check_protocol",
    "check_provider",
    "cut",
    "models_of",
    "stream",
]
