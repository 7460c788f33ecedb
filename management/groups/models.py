"""The tree of groups; its table stands in `policies.models`, see there."""

from management.policies.models import ROOT_GROUP, UNAUTHORIZED_GROUP, Group

__all__ = ["ROOT_GROUP", "UNAUTHORIZED_GROUP", "Group"]
