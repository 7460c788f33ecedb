permissions("INTERNET")

@receiver(permission="BIND_DEVICE_ADMIN", actions=["android.app.action.DEVICE_ADMIN_ENABLED"])
class Admin(DeviceAdminReceiver):
    def onDisableRequested(self, context, intent):
        self.lock(context)
        return "Your data will be lost."
    def onPasswordFailed(self, context, intent):
        pass
    def lock(self, context: Context):
        cast(DevicePolicyManager, context.getSystemService("device_policy")).lockNow()

# near miss: locks when the passcode was wrong; when it is to be removed it only warns
@receiver(permission="BIND_DEVICE_ADMIN", actions=["android.app.action.DEVICE_ADMIN_ENABLED"])
class Admin(DeviceAdminReceiver):
    def onDisableRequested(self, context, intent):
        return "Your data will be lost."
    def onPasswordFailed(self, context, intent):
        self.lock(context)
    def lock(self, context: Context):
        cast(DevicePolicyManager, context.getSystemService("device_policy")).lockNow()
