"""The testing kit: conformance checks, a scripted upstream and stores in memory. It needs no gateway."""

from plugin_sdk.testing.services import MemoryGenerations, MemoryKeys, MemoryServices, MemoryWallets
from plugin_sdk.testing.upstream import Scripted, ScriptedUpstream, answer, cut, stream

__all__ = [
    "MemoryGenerations",
    "MemoryKeys",
    "MemoryServices",
    "MemoryWallets",
    "Scripted",
    "ScriptedUpstream",
    "answer",
    "cut",
    "stream",
]
