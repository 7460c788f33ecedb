"""The stored judgement; its table stands in `devices.models`, see there."""

from management.devices.models import DeviceJudgement

__all__ = ["DeviceJudgement"]
