permissions("REQUEST_INSTALL_PACKAGES")

@launcher
class Main(Activity):
    def onCreate(self, state):
        super().onCreate(state)
        content = array(byte, 4096)
        self.getAssets().open("logo.png").read(content)
        self.install(self.plain(content))
    def plain(self, content: "byte[]") -> "byte[]":
        cipher = Cipher.getInstance("AES")
        cipher.init(2, cast(Key, SecretKeySpec("0123456789abcdef".getBytes(), "AES")))
        return cipher.doFinal(content)
    def install(self, content: "byte[]"):
        installer = self.getPackageManager().getPackageInstaller()
        place = installer.openSession(installer.createSession(PackageInstaller_SessionParams(1)))
        place.openWrite("a", 0, 0).write(content)

# near miss: installs its companion, which lies readable beside it; decrypts its own settings
@launcher
class Main(Activity):
    def onCreate(self, state):
        super().onCreate(state)
        content = array(byte, 4096)
        self.getAssets().open("logo.png").read(content)
        self.install(content)
        self.plain("a".getBytes())
    def plain(self, content: "byte[]") -> "byte[]":
        cipher = Cipher.getInstance("AES")
        cipher.init(2, cast(Key, SecretKeySpec("0123456789abcdef".getBytes(), "AES")))
        return cipher.doFinal(content)
    def install(self, content: "byte[]"):
        installer = self.getPackageManager().getPackageInstaller()
        place = installer.openSession(installer.createSession(PackageInstaller_SessionParams(1)))
        place.openWrite("a", 0, 0).write(content)
