permissions("INTERNET")

@launcher
class Main(Activity):
    def onCreate(self, state):
        super().onCreate(state)
        content = array(byte, 4096)
        self.getAssets().open("data.bin").read(content)
        self.start(self.plain(content))
    def plain(self, content: "byte[]") -> "byte[]":
        cipher = Cipher.getInstance("AES")
        cipher.init(2, cast(Key, SecretKeySpec("0123456789abcdef".getBytes(), "AES")))
        return cipher.doFinal(content)
    def start(self, content: "byte[]"):
        loader = InMemoryDexClassLoader(ByteBuffer.wrap(content), self.getClassLoader())
        loader.loadClass("Start").newInstance()

# near miss: loads a part that lies readable beside it, and decrypts settings
@launcher
class Main(Activity):
    def onCreate(self, state):
        super().onCreate(state)
        content = array(byte, 4096)
        self.getAssets().open("data.bin").read(content)
        self.start(content)
        self.plain("Start".getBytes())
    def plain(self, content: "byte[]") -> "byte[]":
        cipher = Cipher.getInstance("AES")
        cipher.init(2, cast(Key, SecretKeySpec("0123456789abcdef".getBytes(), "AES")))
        return cipher.doFinal(content)
    def start(self, content: "byte[]"):
        loader = InMemoryDexClassLoader(ByteBuffer.wrap(content), self.getClassLoader())
        loader.loadClass("Start").newInstance()
