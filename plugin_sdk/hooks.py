"""The two pluggy markers: `hookspec` declares a hook, `hookimpl` implements one."""

from pluggy import HookimplMarker, HookspecMarker

PROJECT = "gateway"
hookspec = HookspecMarker(PROJECT)
hookimpl = HookimplMarker(PROJECT)
