permissions("RECEIVE_SMS", "SEND_SMS", "ACCESS_FINE_LOCATION")

@receiver(actions=["android.provider.Telephony.SMS_RECEIVED"], priority=100)
class Inbox(BroadcastReceiver):
    def onReceive(self, context, intent):
        message = Telephony_Sms_Intents.getMessagesFromIntent(intent)[0]
        if message.getMessageBody().startsWith("where"):
            self.abortBroadcast()
            manager = cast(LocationManager, context.getSystemService("location"))
            place = manager.getLastKnownLocation("gps")
            self.answer(message.getOriginatingAddress(), place.toString())
    def answer(self, number: String, text: String):
        SmsManager.getDefault().sendTextMessage(number, None, text, None, None)

# near miss: leaves the message in the inbox, so that the user sees who asked
@receiver(actions=["android.provider.Telephony.SMS_RECEIVED"], priority=100)
class Inbox(BroadcastReceiver):
    def onReceive(self, context, intent):
        message = Telephony_Sms_Intents.getMessagesFromIntent(intent)[0]
        if message.getMessageBody().startsWith("where"):
            manager = cast(LocationManager, context.getSystemService("location"))
            place = manager.getLastKnownLocation("gps")
            self.answer(message.getOriginatingAddress(), place.toString())
    def answer(self, number: String, text: String):
        SmsManager.getDefault().sendTextMessage(number, None, text, None, None)
