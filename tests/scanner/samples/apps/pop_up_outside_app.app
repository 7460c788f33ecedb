permissions("INTERNET")

@receiver(actions=["android.intent.action.USER_PRESENT"])
class Unlocked(BroadcastReceiver):
    def onReceive(self, context, intent):
        context.startActivity(Intent(context, Offer).addFlags(268435456))

@activity
class Offer(Activity):
    def onCreate(self, state):
        super().onCreate(state)

# near miss: goes on with its work in a service
@receiver(actions=["android.intent.action.USER_PRESENT"])
class Unlocked(BroadcastReceiver):
    def onReceive(self, context, intent):
        context.startService(Intent(context, Offer).addFlags(268435456))
