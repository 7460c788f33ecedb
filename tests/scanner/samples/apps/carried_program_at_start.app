permissions("RECEIVE_BOOT_COMPLETED")

@receiver(actions=["android.intent.action.BOOT_COMPLETED"])
class Start(BroadcastReceiver):
    def onReceive(self, context, intent):
        file = File(context.getFilesDir(), "run")
        self.copy(context, file)
        file.setExecutable(True)
        self.run(file)
    def copy(self, context: Context, file: File):
        content = array(byte, 4096)
        context.getAssets().open("run").read(content)
        FileOutputStream(file).write(content)
    def run(self, file: File):
        Runtime.getRuntime().exec(file.getPath())

# near miss: copies its data, and runs a program of the system
@receiver(actions=["android.intent.action.BOOT_COMPLETED"])
class Start(BroadcastReceiver):
    def onReceive(self, context, intent):
        file = File(context.getFilesDir(), "run")
        self.run(file)
        self.copy(context, file)
    def copy(self, context: Context, file: File):
        content = array(byte, 4096)
        context.getAssets().open("run").read(content)
        FileOutputStream(file).write(content)
    def run(self, file: File):
        Runtime.getRuntime().exec("run")
